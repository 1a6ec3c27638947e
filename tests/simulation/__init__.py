"""Random months and cycles through the real use cases, held against models that share no code with them.

`make simulate` plays many (`ARGS="--first 4711 --count 1"` plays one again); the tests play some.
"""
