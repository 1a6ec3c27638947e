"""The main job as a play: a made-up region, one remote bill followed step by step, then a month up to the last payment.

python -m deploy.demo        plays it on a running cluster (`make demo` starts one of its own)
deploy.demo.generator        the made-up world: serves tests and benchmarks too
"""
