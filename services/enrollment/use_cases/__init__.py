"""What enrollment can do: load, decide, record, announce."""
