"""The working as JSON and back: what is stored with a settlement and what a machine reads.

A value is a number (fen), `{"number": "17/20"}` (any other number, exact), a text, true or false, or a list of values.
Read back, the steps are those that were written, and `working.recompute` gives the same fen.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any, Final

import orjson

from shared.policy.decision import Step

_EXACT: Final = "number"


def packed(steps: Sequence[Step]) -> str:
    """The steps as compact JSON: each [kind, name, [[input, value] …], result, [clause …]]."""
    return orjson.dumps([tuple(step) for step in steps], _packed).decode()


def unpacked(text: str) -> tuple[Step, ...]:
    """The steps of compact JSON. Raises ValueError when it is none."""
    try:
        return tuple(
            Step(kind, name, _inputs(inputs), _value(result), tuple(clauses))
            for kind, name, inputs, result, clauses in json.loads(text)
        )
    except (TypeError, KeyError, ZeroDivisionError) as wrong:
        raise ValueError("not a working") from wrong


def machine(steps: Iterable[Step]) -> list[dict[str, Any]]:
    """The steps for a machine to read, each an object with its number, kind, name, inputs, result and clauses."""
    return [
        {
            "step": number,
            "kind": step.kind,
            "name": step.name,
            "inputs": [{"name": name, "value": _written(value)} for name, value in step.inputs],
            "result": _written(step.result),
            "clauses": list(step.clauses),
        }
        for number, step in enumerate(steps, start=1)
    ]


def steps_of(written: Iterable[Mapping[str, Any]]) -> tuple[Step, ...]:
    """The steps of what `machine` wrote. Raises ValueError when it is none."""
    try:
        return tuple(
            Step(
                step["kind"],
                step["name"],
                _inputs([(operand["name"], operand["value"]) for operand in step["inputs"]]),
                _value(step["result"]),
                tuple(step["clauses"]),
            )
            for step in written
        )
    except (TypeError, KeyError, ZeroDivisionError) as wrong:
        raise ValueError("not a working") from wrong


def _packed(value: object) -> dict[str, str] | tuple[object, ...]:
    if type(value) is Fraction:  # its abstract base makes isinstance ten times slower
        return {_EXACT: f"{value.numerator}/{value.denominator}"}
    if isinstance(value, tuple):
        # A named tuple, such as a slice, is no tuple to orjson.
        return tuple(value)
    raise TypeError(f"no value of a step: {value!r}")


def _written(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_written(part) for part in value]
    return {_EXACT: str(value)} if isinstance(value, Fraction) else value


def _inputs(written: Iterable[Sequence[Any]]) -> tuple[tuple[str, Any], ...]:
    return tuple((name, _value(value)) for name, value in written)


def _value(written: Any) -> Any:
    if isinstance(written, list):
        return tuple(_value(part) for part in written)
    if isinstance(written, dict):
        return Fraction(written[_EXACT])
    return written
