from tests.services.claims.fixtures import flow, his, owner

__all__ = ["flow", "his", "owner"]
