"""A mapping (列名对照): what the columns of somebody's file mean, declared in a small YAML text. Pure."""

from __future__ import annotations

from collections.abc import Mapping as Table
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import yaml

from services.settlement import errors
from shared.refusals import Refusal

SOURCE_MAX = 10_000
"""The longest mapping, in characters."""

NAME_MAX = 100
"""The longest name of a column."""


class Field(StrEnum):
    """What a column can give."""

    NUMBER = "facility_settlement_no"
    SETTLEMENT_ID = "settlement_id"
    REFUND = "refund"
    TOTAL = "total"
    FUND = "fund"
    ACCOUNT = "account"
    SETTLED_ON = "settled_on"
    FACILITY = "facility_code"


AMOUNTS = (Field.TOTAL, Field.FUND, Field.ACCOUNT)


class Unit(StrEnum):
    """How amounts are written."""

    YUAN = "yuan"
    """With at most two decimals."""
    FEN = "fen"


class Charset(StrEnum):
    """How characters are written."""

    AUTO = "auto"
    UTF_8 = "utf-8"
    GB18030 = "gb18030"


DELIMITERS: Table[str, str] = {"comma": ",", "tab": "\t", "semicolon": ";", "bar": "|"}

YES = frozenset({"1", "true", "t", "y", "yes", "是", "退费"})
NO = frozenset({"", "0", "false", "f", "n", "no", "否", "正常"})


@dataclass(frozen=True, slots=True)
class Mapping:
    """A mapping that is in order."""

    columns: Table[Field, str]
    """For each field the name of its column."""
    unit: Unit = Unit.YUAN
    charset: Charset = Charset.AUTO
    delimiter: str | None = None
    """None where the kind of file says it."""
    refund_yes: frozenset[str] = YES
    """Values, in small letters, that say that a line is a refund."""
    refund_no: frozenset[str] = NO


@dataclass(slots=True)
class _Reading:
    """A declaration while it is read, and what is wrong with it."""

    declared: dict[str, Any]
    wrong: list[str] = field(default_factory=list)

    def names(self) -> dict[Field, str]:
        found = self.declared.pop("columns", None)
        if not isinstance(found, dict):
            self.wrong.append("columns must say for each field the name of its column")
            return {}
        known = {f.value: f for f in Field}
        self.wrong += [f"columns: there is no field {name!s:.40}" for name in found if name not in known]
        self.wrong += [f"columns: {name} must be a name" for name, column in found.items() if not _is_name(column)]
        self.wrong += [f"columns: {name} is missing" for name in AMOUNTS if name not in found]
        if Field.NUMBER not in found and Field.SETTLEMENT_ID not in found:
            self.wrong.append("columns: facility_settlement_no or settlement_id is missing")
        names = {known[name]: str(column).strip() for name, column in found.items() if name in known}
        if len(set(names.values())) < len(names):
            self.wrong.append("columns: one column cannot give two fields")
        return names

    def choice(self, name: str, choices: Table[str, Any] | type[StrEnum], default: Any) -> Any:
        found = self.declared.pop(name, None)
        options = {c.value: c for c in choices} if isinstance(choices, type) else choices
        if found is None:
            return default
        if not isinstance(found, str) or found not in options:
            self.wrong.append(f"{name} must be one of {', '.join(options)}")
            return default
        return options[found]

    def refunds(self) -> tuple[frozenset[str], frozenset[str]]:
        found = self.declared.pop("refund_values", None)
        if found is None:
            return YES, NO
        sides = ("refund", "settlement")
        if not isinstance(found, dict) or not set(found) <= set(sides) or not all(map(_is_list, found.values())):
            self.wrong.append("refund_values must hold lists named refund and settlement")
            return YES, NO
        yes, no = (frozenset(str(value).strip().lower() for value in found.get(side, [])) for side in sides)
        if yes & no:
            self.wrong.append("refund_values: a value cannot mean both")
        return yes, no | {""}


def _is_name(column: object) -> bool:
    return isinstance(column, str | int) and not isinstance(column, bool) and 0 < len(str(column).strip()) <= NAME_MAX


def _is_list(values: object) -> bool:
    return isinstance(values, list) and len(values) <= 50 and all(isinstance(v, str | int | bool) for v in values)


def read_mapping(source: str) -> Mapping | list[Refusal]:
    """The mapping a YAML text declares, or everything that is wrong with it."""
    declared = _loaded(source)
    if isinstance(declared, str):
        return [_refusal(declared)]
    reading = _Reading(dict(declared))
    columns = reading.names()
    unit = reading.choice("amounts", Unit, Unit.YUAN)
    charset = reading.choice("encoding", Charset, Charset.AUTO)
    delimiter = reading.choice("delimiter", DELIMITERS, None)
    yes, no = reading.refunds()
    reading.wrong += [f"there is no setting {name!s:.40}" for name in reading.declared]
    if reading.wrong:
        return [_refusal(reason) for reason in reading.wrong[:20]]
    return Mapping(columns, unit, charset, delimiter, yes, no)


def _refusal(reason: str) -> Refusal:
    return errors.MAPPING_INVALID(pointer="/mapping", reason=reason)


def _loaded(source: str) -> dict[Any, Any] | str:
    """The declaration as values, or why it is none. Anchors are refused: they can grow without measure."""
    if len(source) > SOURCE_MAX:
        return f"it is longer than {SOURCE_MAX} characters"
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(source, Loader=yaml.SafeLoader)):
            return "anchors and aliases are not read"
        declared = yaml.safe_load(source)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        return "it is not YAML" + (f" (line {mark.line + 1})" if mark else "")
    return declared if isinstance(declared, dict) else "it must say columns: and what they mean"
