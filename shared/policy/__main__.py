"""`python -m shared.policy …`, or `./sifang policy …`: the tools for the people who own policies."""

import sys

from shared.policy.cli import main

# Replays start further processes, which import this module under another name.
if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
