from tests.services.claims.fixtures import his, owner

__all__ = ["his", "owner"]
