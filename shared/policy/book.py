"""The packs in force, all versions of all areas: which one decides a bill, however old it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date

from shared.policy import undecidable
from shared.policy.combining import Decide, Portion, decide_portions, divided, service_day
from shared.policy.decision import Bill, BillLine, Counters, Decision
from shared.policy.engine import Policy
from shared.policy.periods import benefit_year


class Book:
    """Compiled packs by area and by day. Of versions that hold on one day the one that begins last counts, and of
    those the one with the highest number."""

    def __init__(self, policies: Iterable[Policy]) -> None:
        self._by_pack: dict[str, list[Policy]] = {}
        self._by_area: dict[str, list[Policy]] = {}
        for policy in sorted(policies, key=_rank, reverse=True):
            self._by_pack.setdefault(policy.document.pack, []).append(policy)
            self._by_area.setdefault(policy.document.area, []).append(policy)

    def policy(self, pack: str, day: date) -> Policy | None:
        """The version of a pack that holds on a day."""
        return _on(self._by_pack.get(pack, ()), day)

    def version(self, pack: str, version: str) -> Policy | None:
        """One version of a pack, whenever it holds."""
        return next((p for p in self._by_pack.get(pack, ()) if p.document.version == version), None)

    def for_area(self, ancestors: Sequence[str], day: date) -> Policy | None:
        """The pack of the nearest division, from the person's own upwards, that has one on a day. Raises Undecidable
        when two packs of that division hold."""
        for area in ancestors:
            found = _only([policy for policy in self._by_area.get(area, ()) if _holds_on(policy, day)])
            if found is not None:
                return found
        return None

    def decide(self, ancestors: Sequence[str], bill: Bill, counters: Counters, *, record: bool = True) -> Decision:
        """Decide a bill by the version whose own rule (discharge, admission, service) puts it there. Where lines are
        decided by their day, those of each version and benefit year apart, in order. Raises Undecidable."""
        days = {line.day or bill.ends_on for line in bill.lines} or {bill.ends_on}
        policies = {day: self._deciding(ancestors, bill, day) for day in days}
        names = {day: _portion_name(policy, day) for day, policy in policies.items()}
        deciders = {names[day]: policy for day, policy in policies.items()}
        if len(deciders) == 1:
            return policies.popitem()[1].decide(bill, counters, record=record)
        groups: dict[str, list[BillLine]] = {}
        for line in bill.lines:
            groups.setdefault(names[service_day(line, bill)], []).append(line)
        portions = [Portion(name, part, _decider(deciders[name], record)) for name, part in divided(bill, groups)]
        return decide_portions(portions, bill, counters)

    def _deciding(self, ancestors: Sequence[str], bill: Bill, service: date) -> Policy:
        """The version that decides what was done on a day of a bill: the one that holds on the day it looks at."""
        for area in ancestors:
            held = [
                policy
                for policy in self._by_area.get(area, ())
                if _holds_on(policy, _day_looked_at(policy, bill, service))
            ]
            found = _only(held)
            if found is not None:
                return found
        raise undecidable.no_pack(bill.ends_on.isoformat())


def _rank(policy: Policy) -> tuple[date, list[int]]:
    document = policy.document
    return document.valid.from_, [int(number) for number in document.version.split(".")]


def _holds_on(policy: Policy, day: date) -> bool:
    valid = policy.document.valid
    return valid.from_ <= day and (valid.to is None or day <= valid.to)


def _on(policies: Iterable[Policy], day: date) -> Policy | None:
    return next((policy for policy in policies if _holds_on(policy, day)), None)


def _only(policies: Sequence[Policy]) -> Policy | None:
    """The first; they are of one pack."""
    packs = sorted({policy.document.pack for policy in policies})
    if len(packs) > 1:
        raise undecidable.two_rules("政策包", "packs", packs)
    return policies[0] if policies else None


def _day_looked_at(policy: Policy, bill: Bill, service: date) -> date:
    match policy.document.decided_by:
        case "admission":
            return bill.begins_on
        case "discharge":
            return bill.ends_on
        case "service":
            return service


def _portion_name(policy: Policy, service: date) -> str:
    """One for all of the bill, unless its pack decides by service."""
    document = policy.document
    if document.decided_by != "service":
        return document.version
    return f"{document.version}/{benefit_year(service, document.year_begins)}"


def _decider(policy: Policy, record: bool) -> Decide:
    return lambda bill, counters: policy.decide(bill, counters, record=record)
