"""Benchmarks: ours against the bare database or broker on the same work, in the same run."""
