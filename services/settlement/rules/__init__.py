"""The rules of settlement: pure functions and values. No await, no database, no clock."""
