from tests.services.settlement.fixtures import act_as, books, heard, hospital, owner

__all__ = ["act_as", "books", "heard", "hospital", "owner"]
