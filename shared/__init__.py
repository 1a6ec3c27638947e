"""The kernel every service stands on: contracts (events), plumbing and value types.

Admission rule: a module may live here when at least two services need it and it knows no business word of any
service. Nothing here imports `services`.
"""
