"""Random months through the real use cases, held against a model that shares no code with them.

`make simulate` plays many (`ARGS="--first 4711 --count 1"` plays one again); the tests play some.
"""
