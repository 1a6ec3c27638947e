"""What settlement can do: load, decide, record, announce. `parts` holds what the use cases work with."""
