"""`python -m deploy.demo`: exit code 0 when every check held, 1 when one did not, 2 when it cannot be played here."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence

import uvloop

from deploy.demo.play import play
from deploy.demo.scene import CannotPlay
from deploy.demo.stage import Stage


def _parse(arguments: Sequence[str], environment: Mapping[str, str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deploy.demo", description=__doc__)
    default_bills = int(environment.get("SIFANG_DEMO_BILLS") or 3_000)
    parser.add_argument("--seed", type=int, default=1, help="another seed is another made-up region")
    parser.add_argument("--people", type=int, default=3_000)
    parser.add_argument("--bills", type=int, default=default_bills, help="by default SIFANG_DEMO_BILLS, or 3,000")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Play, and say what failed."""
    options = _parse(arguments, environment)
    stage = Stage()
    try:
        failures = uvloop.run(play(options.seed, options.people, options.bills, environment, stage))
    except CannotPlay as error:
        stage.failed(str(error))
        return 2
    except KeyboardInterrupt:
        stage.say("interrupted")
        return 130
    for failure in failures:
        stage.failed(failure)
    if not failures:
        stage.held("每一分钱都有去处 every fen is accounted for")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
