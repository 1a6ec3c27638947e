"""Routes of claims: parse, call one use case or one read, shape the answer."""

from services.claims.api import explanations, facilities, policies
from services.claims.api.facilities import render
from services.claims.api.service import ClaimsService

ROUTERS = (facilities.router, explanations.router, policies.router)

__all__ = ["ROUTERS", "ClaimsService", "render"]
