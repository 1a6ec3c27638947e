"""Every query of schema settlement: SQL as constants, and small functions around them. Nothing here commits."""
