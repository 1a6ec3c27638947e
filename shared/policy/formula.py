"""Formulas of a pack: exact arithmetic over numbers and names, and nothing else. No code is ever executed.

    sum     = product (("+" | "-") product)*          numbers: 12  0.05  85% (that is, 0.85)
    product = factor (("*" | "/") factor)*            names:   in_scope  basic.fund  tag.特药
    factor  = "-" factor | number | name | "(" sum ")" | function "(" sum ("," sum)* ")"

Functions: min, max, round (half-up to whole, away from zero), floor, ceil. A comparison formula has exactly one of
< <= > >= == != between two sums.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from typing import Final, TypeAlias

MAX_LENGTH: Final = 400
MAX_DEPTH: Final = 30

Value: TypeAlias = "Fraction | int"
Lookup: TypeAlias = "Callable[[str], Value]"
_Run: TypeAlias = "Callable[[Lookup], Value]"

_TOKEN: Final = re.compile(
    r"\s*(?:(?P<number>[0-9]+(?:\.[0-9]+)?%?)"
    r"|(?P<name>[^\W\d]\w*(?:\.\w+)*)"
    r"|(?P<comparison><=|>=|==|!=|<|>)"
    r"|(?P<sign>[-+*/(),]))"
)


class FormulaError(ValueError):
    """The text is no formula, or cannot be computed; `position` is the offset of the fault in the text."""

    def __init__(self, position: int, zh: str, en: str) -> None:
        super().__init__(f"{en} (at {position + 1})")
        self.position = position
        self.zh = zh
        self.en = en


@dataclass(frozen=True)
class Expression:
    """A formula that has been read, with the names it needs."""

    text: str
    names: frozenset[str]
    comparison: bool
    ordered_names: tuple[str, ...]
    """The same names, each once, in one order."""
    terms: tuple[tuple[str, int], ...] | None
    """When it is nothing but names added and subtracted: each with its sign. Such a sum needs no fractions."""
    _run: _Run = field(repr=False, compare=False)

    def evaluate(self, lookup: Lookup) -> Fraction:
        """The exact value; a comparison gives 1 or 0. Raises FormulaError for a division by zero, and whatever
        `lookup` raises."""
        return Fraction(self._run(lookup))

    def holds(self, lookup: Lookup) -> bool:
        """Whether a comparison holds. Raises as `evaluate`."""
        return bool(self._run(lookup))


@lru_cache(maxsize=8192)
def parse(text: str, *, comparison: bool = False) -> Expression:
    """Read a formula; with `comparison`, one that compares two sums. Raises FormulaError."""
    return _Parser(text).whole(comparison=comparison)


def round_half_up(value: Value) -> int:
    """The nearest whole number; a half goes away from zero."""
    numerator, denominator = value.numerator, value.denominator
    nearest = (2 * abs(numerator) + denominator) // (2 * denominator)
    return -nearest if numerator < 0 else nearest


_FUNCTIONS: Final[dict[str, tuple[Callable[..., Value], bool]]] = {
    "min": (min, True),
    "max": (max, True),
    "round": (round_half_up, False),
    "floor": (math.floor, False),
    "ceil": (math.ceil, False),
}
"""By name, with whether it takes any number of arguments (else exactly one)."""

FUNCTIONS: Final = frozenset(_FUNCTIONS)

_COMPARISONS: Final[dict[str, Callable[[Value, Value], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    position: int


def _tokens(text: str) -> list[_Token]:
    if len(text) > MAX_LENGTH:
        raise FormulaError(
            MAX_LENGTH, f"公式超过{MAX_LENGTH}个字符", f"the formula is longer than {MAX_LENGTH} characters"
        )
    found: list[_Token] = []
    position = 0
    end = len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            raise _unknown_sign(text, position)
        kind = str(match.lastgroup)
        found.append(_Token(kind, match[kind], match.start(kind)))
        position = match.end()
    return [*found, _Token("end", "", end)]


def _unknown_sign(text: str, position: int) -> FormulaError:
    at = position + len(text[position:]) - len(text[position:].lstrip())
    sign = text[at]
    return FormulaError(
        at,
        f"公式中不能用“{sign}”；可用 + - * / ( ) , % 和 {'、'.join(sorted(FUNCTIONS))}",
        f"{sign!r} means nothing in a formula; it knows + - * / ( ) , % and {', '.join(sorted(FUNCTIONS))}",
    )


class _Parser:
    """Recursive descent; every method reads one rule of the grammar and answers with what computes it."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._next = 0
        self._depth = 0
        self._names: set[str] = set()

    def whole(self, *, comparison: bool) -> Expression:
        run = self._comparison() if comparison else self._sum()
        if self._token.kind != "end":
            raise self._unexpected(comparison)
        names = frozenset(self._names)
        return Expression(self._text, names, comparison, tuple(sorted(names)), self._terms(), run)

    def _terms(self) -> tuple[tuple[str, int], ...] | None:
        names, signs = self._tokens[0:-1:2], self._tokens[1:-1:2]
        if any(token.kind != "name" for token in names) or any(token.text not in ("+", "-") for token in signs):
            return None
        weights = [1, *(1 if token.text == "+" else -1 for token in signs)]
        return tuple((token.text, weight) for token, weight in zip(names, weights, strict=True))

    @property
    def _token(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._token
        self._next += 1
        return token

    def _takes(self, *signs: str) -> _Token | None:
        return self._take() if self._token.kind == "sign" and self._token.text in signs else None

    def _comparison(self) -> _Run:
        left = self._sum()
        if self._token.kind != "comparison":
            at = self._token.position
            raise FormulaError(at, "条件公式须有一个比较：< <= > >= == !=", "a condition needs one of < <= > >= == !=")
        compare = _COMPARISONS[self._take().text]
        right = self._sum()
        return lambda lookup: int(compare(left(lookup), right(lookup)))

    def _sum(self) -> _Run:
        first = self._product()
        rest: list[tuple[Callable[[Value, Value], Value], _Run]] = []
        while sign := self._takes("+", "-"):
            rest.append((operator.add if sign.text == "+" else operator.sub, self._product()))
        return _chain(first, rest) if rest else first

    def _product(self) -> _Run:
        first = self._factor()
        rest: list[tuple[Callable[[Value, Value], Value], _Run]] = []
        while sign := self._takes("*", "/"):
            rest.append((operator.mul if sign.text == "*" else _divide_at(sign.position), self._factor()))
        return _chain(first, rest) if rest else first

    def _factor(self) -> _Run:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise FormulaError(self._token.position, "公式嵌套过深", "the formula is nested too deeply")
        run = self._negated() if self._takes("-") else self._operand()
        self._depth -= 1
        return run

    def _negated(self) -> _Run:
        run = self._factor()
        return lambda lookup: -run(lookup)

    def _operand(self) -> _Run:
        if self._takes("("):
            return self._closed(self._sum())
        token = self._token
        if token.kind == "number":
            return _constant(self._take().text)
        if token.kind != "name":
            raise self._unexpected(comparison=False)
        self._take()
        if self._takes("("):
            return self._call(token)
        self._names.add(token.text)
        return _name(token.text)

    def _call(self, token: _Token) -> _Run:
        if token.text not in _FUNCTIONS:
            known = sorted(FUNCTIONS)
            zh, en = (
                f"没有函数“{token.text}”；可用{'、'.join(known)}",
                f"no function {token.text!r}; known: {', '.join(known)}",
            )
            raise FormulaError(token.position, zh, en)
        function, many = _FUNCTIONS[token.text]
        arguments = [self._sum()]
        while comma := self._takes(","):
            if not many:
                raise FormulaError(comma.position, f"{token.text}只取一个数", f"{token.text} takes one number")
            arguments.append(self._sum())
        if many and len(arguments) < 2:
            raise FormulaError(token.position, f"{token.text}须至少两个数", f"{token.text} takes two numbers or more")
        return self._closed(lambda lookup: function(*[argument(lookup) for argument in arguments]))

    def _closed(self, run: _Run) -> _Run:
        if not self._takes(")"):
            raise FormulaError(self._token.position, "缺少右括号", "a closing parenthesis is missing")
        return run

    def _unexpected(self, comparison: bool) -> FormulaError:
        token = self._token
        if token.kind == "end":
            return FormulaError(token.position, "公式不完整", "the formula is incomplete")
        if token.kind == "comparison" and not comparison:
            return FormulaError(token.position, "此处不能比较", "nothing can be compared here")
        if token.kind == "comparison":
            return FormulaError(token.position, "只能有一个比较", "only one comparison is allowed")
        return FormulaError(token.position, f"此处不应有“{token.text}”", f"{token.text!r} is out of place")


def _constant(text: str) -> _Run:
    exact = Fraction(text[:-1]) / 100 if text.endswith("%") else Fraction(text)
    value: Value = exact.numerator if exact.denominator == 1 else exact
    return lambda _: value


def _name(name: str) -> _Run:
    return lambda lookup: lookup(name)


def _chain(first: _Run, rest: list[tuple[Callable[[Value, Value], Value], _Run]]) -> _Run:
    def run(lookup: Lookup) -> Value:
        value = first(lookup)
        for combine, operand in rest:
            value = combine(value, operand(lookup))
        return value

    return run


def _divide_at(position: int) -> Callable[[Value, Value], Value]:
    def divide(dividend: Value, divisor: Value) -> Value:
        if divisor == 0:
            raise FormulaError(position, "除数为零", "division by zero")
        return Fraction(dividend) / divisor

    return divide
