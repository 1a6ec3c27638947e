"""What the play proves: every check is shown as it is made, and all must hold."""

from __future__ import annotations

from collections.abc import Sequence

from deploy.demo.stage import Stage

_SHOWN = 3
"""So many of what is wrong are named; the rest are counted."""


class Checks:
    """Collects checks. A failed one does not end the play: more of what is wrong is seen that way."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.made = 0
        self.failures: list[str] = []

    def equal(self, what: str, found: object, expected: object) -> bool:
        """Whether something is as expected."""
        return self._note(what, f"expected {expected}, found {found}" if found != expected else "")

    def holds(self, what: str, held: bool, found: str) -> bool:
        """Whether something holds; `found` says what was there instead."""
        return self._note(what, "" if held else f"found {found}")

    def none(self, what: str, wrong: Sequence[str]) -> bool:
        """Whether nothing is wrong with any of many things."""
        named = "; ".join(wrong[:_SHOWN]) + (" …" if len(wrong) > _SHOWN else "")
        return self._note(what, f"expected nothing wrong, found {len(wrong)}: {named}" if wrong else "")

    def _note(self, what: str, problem: str) -> bool:
        self.made += 1
        if problem:
            self.failures.append(f"{what}: {problem}")
            self._stage.failed(self.failures[-1])
        else:
            self._stage.held(what)
        return not problem
