"""Admission, fee lines, cancellation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from services.claims import errors
from services.claims.rules import lines as line_rules
from services.claims.rules import visits as visit_rules
from services.claims.rules.entitlement import Entitlement
from services.claims.rules.lines import FeeLine
from services.claims.rules.visits import Kind, State, Step
from services.claims.store import copies, visits
from services.claims.store.copies import PersonRef
from services.claims.store.visits import VisitRow
from services.claims.use_cases.parts import Claims, check_codes, check_entitlement, check_line_codes, check_times
from shared.database import Connection
from shared.events import new_id
from shared.refusals import Refusal, Refused
from shared.workdays import shanghai_day


@dataclass(frozen=True, slots=True)
class Admission:
    """A stay to be opened (入院办理)."""

    facility_code: str
    facility_visit_no: str
    person: PersonRef
    med_type: str
    insutype: str | None
    emergency: bool
    began_at: datetime


async def admit(claims: Claims, admission: Admission, now: datetime) -> tuple[VisitRow, bool]:
    """The stay, and whether it is new: sent again, even when it would be refused by now, it is the one admitted before.

    Raises Refused with every reason.
    """
    known = await _admitted_before(claims, admission)
    if known is not None:
        return known, False
    try:
        async with claims.database.transaction() as tx:
            visit = await _decide_admission(tx, claims, admission, now)
            await visits.visits_added([visit]).run(tx)
        return visit, True
    except asyncpg.UniqueViolationError:
        twin = await _admitted_before(claims, admission)
        if twin is None:
            raise
        return twin, False
    except asyncpg.ExclusionViolationError as clash:
        # A twin that is being admitted at this moment takes the same days, and is seen before its number is.
        twin = await _admitted_before(claims, admission)
        if twin is None:
            raise Refused(errors.STAY_OVERLAPS(pointer="/began_at")) from clash
        return twin, False


async def _decide_admission(tx: Connection, claims: Claims, admission: Admission, now: datetime) -> VisitRow:
    facility = (await copies.facilities(tx, [admission.facility_code])).get(admission.facility_code)
    person = (await copies.people(tx, [admission.person])).get(admission.person)
    day = shanghai_day(admission.began_at)
    wrong = check_times(claims, admission.began_at, None, now)
    if facility is not None:
        wrong += check_codes(claims, facility.region, day, admission.med_type)
    found = check_entitlement(
        claims,
        person,
        admission.facility_code,
        facility,
        day,
        admission.insutype,
        kind=Kind.INPATIENT,
        emergency=admission.emergency,
    )
    if wrong or not isinstance(found, Entitlement):
        raise Refused(*wrong, *(found if isinstance(found, list) else ()))
    return VisitRow(
        visit_id=new_id(),
        facility_code=admission.facility_code,
        facility_visit_no=admission.facility_visit_no,
        person_id=found.span.person_id,
        kind=Kind.INPATIENT,
        med_type=admission.med_type,
        insutype=found.span.insutype,
        emergency=admission.emergency,
        began_at=admission.began_at,
        ended_at=None,
        state=State.OPEN,
    )


async def _admitted_before(claims: Claims, admission: Admission) -> VisitRow | None:
    """The stay opened before under this number, if any. Raises Refused when it is another one."""
    async with claims.database.read() as reader:
        visit = await visits.by_number(reader, admission.facility_code, admission.facility_visit_no)
        if visit is None:
            return None
        person = (await copies.people(reader, [admission.person])).get(admission.person)
    same = (
        person is not None
        and admission.insutype in (None, visit.insutype)
        and (visit.person_id, visit.began_at, visit.med_type, visit.emergency)
        == (person.person_id, admission.began_at, admission.med_type, admission.emergency)
    )
    if not same:
        raise Refused(errors.VISIT_NUMBER_TAKEN(pointer="/facility_visit_no", number=admission.facility_visit_no))
    return visit


async def own_visit(tx: Connection, facility_code: str, visit_id: str, *, for_update: bool = False) -> VisitRow:
    """A facility's own visit. Raises Refused: other facilities' visits are as unknown as none."""
    visit = (await visits.visits(tx, [visit_id], for_update=for_update)).get(visit_id)
    if visit is None or visit.facility_code != facility_code:
        raise Refused(errors.VISIT_UNKNOWN())
    return visit


async def add_lines(claims: Claims, facility_code: str, visit_id: str, lines: Sequence[FeeLine]) -> int:
    """Add fee lines to an open visit; those sent before are recognised by their number. How many are new.

    Raises Refused with everything that is wrong with any of them; then none is added.
    """
    async with claims.database.transaction() as tx:
        visit = await own_visit(tx, facility_code, visit_id, for_update=True)
        known = {line.line_no: line for line in (await visits.lines(tx, [visit_id]))[visit_id]}
        facility = (await copies.facilities(tx, [facility_code])).get(facility_code)
        wrong = _check_lines(claims, visit, lines, known)
        if facility is not None:
            wrong += check_line_codes(claims, facility.region, shanghai_day(visit.began_at), tuple(lines))
        if wrong:
            raise Refused(*wrong)
        fresh = [line for line in lines if line.line_no not in known]
        if fresh:
            await visits.add_lines(tx, ((visit_id, line) for line in fresh))
    return len(fresh)


def _check_lines(claims: Claims, visit: VisitRow, lines: Sequence[FeeLine], known: dict[str, FeeLine]) -> list[Refusal]:
    state = visit_rules.take_step(visit.state, Step.ADD_LINES)
    wrong = [state] if isinstance(state, Refusal) else []
    wrong += [
        errors.LINE_CHANGED(pointer=f"/lines/{index}", line=line.line_no)
        for index, line in enumerate(lines)
        if line.line_no in known and known[line.line_no] != line
    ]
    together = {**known, **{line.line_no: line for line in lines}}
    limit = claims.settings.lines_per_visit_max
    if len(together) > limit:
        wrong.append(errors.TOO_MANY_LINES(limit=limit))
    wrong += line_rules.check_each(lines)
    wrong += line_rules.check_within(lines, visit.began_at, None)
    return wrong + line_rules.check_voids(lines, together)


async def cancel(claims: Claims, facility_code: str, visit_id: str) -> VisitRow:
    """Cancel an admission that was never settled, or whose settlement was reversed (入院撤销). Raises Refused."""
    async with claims.database.transaction() as tx:
        visit = await own_visit(tx, facility_code, visit_id, for_update=True)
        state = visit_rules.take_step(visit.state, Step.CANCEL)
        if isinstance(state, Refusal):
            raise Refused(state)
        await visits.states_set([(visit_id, state, visit.ended_at)]).run(tx)
        return (await visits.visits(tx, [visit_id]))[visit_id]
