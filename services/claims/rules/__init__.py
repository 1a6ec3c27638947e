"""The decisions of claims, pure: entitlement, fee lines, the benefit of one bill, the life of a visit."""
