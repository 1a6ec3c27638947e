"""Routes of settlement: parse, call one use case or one read, shape the answer."""

from services.settlement.api import books, cases, payments, requests, statements
from services.settlement.api.calls import router

__all__ = ["books", "cases", "payments", "requests", "router", "statements"]
