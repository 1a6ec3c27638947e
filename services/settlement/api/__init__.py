"""Routes of settlement: parse, call one use case or one read, shape the answer."""

from services.settlement.api import accounts, books, cases, files, invariants, items, payments, requests, statements
from services.settlement.api.calls import router

__all__ = ["accounts", "books", "cases", "files", "invariants", "items", "payments", "requests", "router", "statements"]
