from tests.services.claims.fixtures import flow, his, owner
from tests.services.settlement.fixtures import books
from tests.world import world

__all__ = ["books", "flow", "his", "owner", "world"]
