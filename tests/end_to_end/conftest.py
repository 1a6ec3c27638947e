from tests.services.claims.fixtures import flow

__all__ = ["flow"]
