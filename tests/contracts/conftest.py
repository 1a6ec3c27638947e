from tests.services.settlement.fixtures import books
from tests.world import world

__all__ = ["books", "world"]
