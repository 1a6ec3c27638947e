from tests.services.settlement.fixtures import act_as, books, owner

__all__ = ["act_as", "books", "owner"]
