from tests.services.settlement.fixtures import act_as, books, hospital, owner

__all__ = ["act_as", "books", "hospital", "owner"]
