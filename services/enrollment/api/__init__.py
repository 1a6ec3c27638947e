"""Routes of enrollment: parse, call one use case or one read, shape the answer."""

from __future__ import annotations

from services.enrollment.api import filings, imports, people

ROUTERS = [people.router, filings.router, imports.router]
