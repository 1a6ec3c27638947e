"""Every query of schema enrollment."""
