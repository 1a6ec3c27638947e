"""A cycle over HTTP: cut, looked at by everybody who may, paid by orders; and the prepayments beside it."""

from __future__ import annotations

from typing import Any

import pytest

from shared.events import new_id
from tests.services.settlement.cycles import City
from tests.services.settlement.fixtures import ActAs, Caller
from tests.services.settlement.test_money import Month
from tests.services.settlement.test_statements import codes, submit
from tests.services.settlement.world import Books, Hospital

CHANGSHA, CARE, HOME = "430100", "430102", "430121"
"""A city where nothing else of the tests is, and two of its counties."""
LENDER, COLLECTING, CARRYING = "430103", "430104", "430105"
"""A county that owes nobody anything, one that collects what its facilities owe, and one that carries it."""


@pytest.fixture
async def case(books: Books, act_as: ActAs) -> dict[str, Any]:
    """A case of 850 yuan that everybody confirmed, and its hospital."""
    hospital = Hospital(region=CARE)
    bill = hospital.bill(HOME)
    await books.hear(hospital.changed(), bill)
    await submit(act_as("facility", hospital.code), hospital, [bill])
    month = Month(act_as, hospital)
    (found,) = await month.cases()
    await month.confirm(found)
    return found


async def cut(act_as: ActAs) -> dict[str, Any]:
    """The city cuts a cycle."""
    answer = await act_as("finance", CHANGSHA).post("/v1/clearing-cycles")
    assert answer.status_code == 201, answer.text
    return answer.json()  # type: ignore[no-any-return]


async def positions(who: Caller, cycle: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """The positions of a cycle that somebody sees, by payer and payee."""
    answer = await who.get(f"/v1/clearing-cycles/{cycle['cycle_id']}/positions", limit=200)
    assert answer.status_code == 200, answer.text
    return {(p["payer"], p["payee"]): p for p in answer.json()["items"]}


async def pay(act_as: ActAs, payer: str, purpose: str, reference: str) -> None:
    """Two people of the payer make an order, which is paid by its approval."""
    body = {"purpose": purpose, "references": [reference]}
    role = "facility" if payer.startswith("H") else "finance"
    proposed = (await act_as(role, payer, f"one@{payer}").post("/v1/orders", body)).json()
    (order,) = proposed["items"]
    assert order["errors"] == [], proposed
    approved = await act_as(role, payer, f"two@{payer}").post("/v1/order-approvals", {"order_ids": [order["order_id"]]})
    assert approved.json()["items"][0]["errors"] == [], approved.text


async def test_the_clock_of_a_position_stands_still_and_goes_on(act_as: ActAs, case: dict[str, Any]) -> None:
    cycle = await cut(act_as)
    position = (await positions(act_as("finance", CHANGSHA), cycle))[HOME, CHANGSHA]
    path = f"/v1/clearing-positions/{position['position_id']}"
    body = {"reason": "等待对方材料", "papers": ["费用清单"]}
    own, beside = act_as("officer", HOME, "clerk"), act_as("officer", CARE)

    by_others = await beside.post(f"{path}/suspension", body)
    paperless = await own.post(f"{path}/suspension", {"reason": "r", "papers": []})
    stopped = await own.post(f"{path}/suspension", body)
    twice = await own.post(f"{path}/suspension", body)
    agenda = (await act_as("finance", HOME).get("/v1/agenda", limit=200)).json()["items"]
    running = await own.post(f"{path}/resumption")
    again = await own.post(f"{path}/resumption")
    unknown = await own.post(f"/v1/clearing-positions/{new_id()}/resumption")
    shown = (await act_as("finance", CHANGSHA).get(path)).json()

    assert codes(by_others) == ["auth.not-your-area"]
    assert paperless.status_code == 422
    assert stopped.status_code == 200, stopped.text
    assert (codes(twice), codes(again)) == (["settlement.due-suspended"], ["settlement.due-not-suspended"])
    assert codes(unknown) == ["settlement.position-unknown"]
    (task,) = [t for t in agenda if t["reference"] == position["position_id"]]
    assert task["suspended_on"] == stopped.json()["suspended_on"] != position["suspended_on"]
    assert running.json() == shown, "what it is, whoever asks"
    assert (shown["suspended_on"], shown["due_on"]) == (None, position["due_on"]), "on the same day nothing is lost"
    (suspension,) = shown["suspensions"]
    assert (suspension["reason"], suspension["papers"]) == (body["reason"], body["papers"])
    assert (suspension["suspended_by"], suspension["resumed_by"], suspension["party"]) == ("clerk", "clerk", HOME)
    await pay_chain(act_as, cycle)


async def pay_chain(act_as: ActAs, cycle: dict[str, Any]) -> None:
    """Whoever can pay pays, until the cycle is settled: no later test finds it."""
    while found := [
        p
        for p in (await positions(act_as("finance", CHANGSHA), cycle)).values()
        if p["state"] == "open" and not p["waits_for"]
    ]:
        for position in found:
            await pay(act_as, position["payer"], "position", position["position_id"])


async def test_a_cycle_is_cut_paid_and_closed(act_as: ActAs, case: dict[str, Any]) -> None:
    city, facility = act_as("finance", CHANGSHA), act_as("facility", case["facility_code"])
    cycle = await cut(act_as)
    found = await positions(city, cycle)
    hop = await act_as("finance", HOME).post("/v1/payments", {"case_id": case["case_id"]})
    waiting = (await facility.get(f"/v1/cases/{case['case_id']}/clearing")).json()

    for payer, payee in ((HOME, CHANGSHA), (CHANGSHA, CARE), (CARE, case["facility_code"])):
        await pay(act_as, payer, "position", found[payer, payee]["position_id"])

    assert (cycle["netting"], cycle["cases"], cycle["obligations_fen"], cycle["positions_fen"]) == (
        "gross",
        1,
        3 * 85_000,
        3 * 85_000,
    )
    assert codes(hop) == ["settlement.hop-in-position"], "nobody pays a hop twice"
    assert found[CHANGSHA, CARE]["waits_for"] == [HOME]
    assert [c["waits_for"] for c in waiting["cycles"]] == [[CHANGSHA, CARE, HOME]]
    assert [(p["payer"], p["payee"]) for p in waiting["positions"]] == [(CARE, case["facility_code"])]
    detail = (await facility.get(f"/v1/cases/{case['case_id']}")).json()
    assert (detail["state"], {h["state"] for h in detail["hops"]}) == ("closed", {"paid"})
    after = (await city.get(f"/v1/clearing-cycles/{cycle['cycle_id']}")).json()
    assert (after["settled"], after["settled_fen"]) == (3, after["positions_fen"])


async def test_a_cycle_is_cut_once_under_its_key(act_as: ActAs, case: dict[str, Any]) -> None:
    city = act_as("finance", CHANGSHA)

    bare = await city.post("/v1/clearing-cycles", key=None)
    first = await city.post("/v1/clearing-cycles", key=f"cut-{case['case_id']}")
    again = await city.post("/v1/clearing-cycles", key=f"cut-{case['case_id']}")
    nothing = await city.post("/v1/clearing-cycles")

    assert codes(bare) == ["idempotency.key-missing"]
    assert (first.status_code, again.text) == (201, first.text)
    assert codes(nothing) == ["settlement.nothing-to-clear"]
    assert codes(await act_as("officer", CHANGSHA).post("/v1/clearing-cycles")) == ["auth.role-not-allowed"]
    assert codes(await act_as("finance", "999999").post("/v1/clearing-cycles")) == ["settlement.not-a-clearing-agency"]


async def test_everybody_sees_what_is_theirs(act_as: ActAs, case: dict[str, Any]) -> None:
    cycle = await cut(act_as)
    hop = {(HOME, CHANGSHA), (CHANGSHA, CARE), (CARE, case["facility_code"])}

    async def seen(role: str, party: str) -> set[tuple[str, str]]:
        return set(await positions(act_as(role, party), cycle))

    assert await seen("finance", CHANGSHA) == await seen("officer", "430000") == hop
    assert await seen("finance", HOME) == {(HOME, CHANGSHA)}
    assert await seen("finance", CARE) == {(CHANGSHA, CARE), (CARE, case["facility_code"])}
    assert await seen("facility", case["facility_code"]) == {(CARE, case["facility_code"])}
    mine = (await positions(act_as("finance", HOME), cycle))[HOME, CHANGSHA]["position_id"]
    foreign = act_as("finance", CARE)
    for path in (f"/v1/clearing-positions/{mine}", f"/v1/clearing-positions/{mine}/proof"):
        assert codes(await foreign.get(path)) == ["auth.not-your-area"]
    listed = (await act_as("facility", case["facility_code"]).get("/v1/clearing-cycles")).json()["items"]
    assert [c["cycle_id"] for c in listed] == [cycle["cycle_id"]]
    cases = await act_as("finance", HOME).get(f"/v1/clearing-cycles/{cycle['cycle_id']}/cases")
    assert [c["case_id"] for c in cases.json()["items"]] == [case["case_id"]]


async def test_the_proof_comes_in_pages(books: Books, act_as: ActAs) -> None:
    """Three homes' cases of one facility make one position of it: three lines of proof, each with its bills."""
    hospital = Hospital(region=CARE)
    bills = [hospital.bill(home) for home in (HOME, "430112", "430181")]
    await books.hear(hospital.changed(), *bills)
    await submit(act_as("facility", hospital.code), hospital, [*bills])
    month = Month(act_as, hospital)
    for found in await month.cases():
        await month.confirm(found)
    facility = act_as("facility", hospital.code)
    (position,) = (await positions(facility, await cut(act_as))).values()
    path, lines, cursor = f"/v1/clearing-positions/{position['position_id']}/proof", [], None
    for _ in range(3):
        page = (await facility.get(path, limit=1, **({"cursor": cursor} if cursor else {}))).json()
        lines += page["items"]
        cursor = page["next_cursor"]

    assert cursor is None
    assert sum(line["adds_fen"] for line in lines) == position["amount_fen"] == 3 * 85_000
    for line in lines:
        items = (await facility.get(f"/v1/cases/{line['case_id']}/bills")).json()["items"]
        assert sum(bill["payable_fen"] for bill in items) == line["adds_fen"]
    assert codes(await facility.get(path, cursor="eHh4")) == ["request.cursor-invalid"]


async def test_a_facility_pays_what_is_collected_from_it(books: Books, act_as: ActAs) -> None:
    await City(books).agree(COLLECTING, negative_rule="collect")
    hospital = Hospital(region=COLLECTING)
    reversal = hospital.reversal(hospital.bill(COLLECTING))
    await books.hear(hospital.changed(), reversal)
    await submit(act_as("facility", hospital.code), hospital, [reversal])
    month = Month(act_as, hospital)
    (found,) = await month.cases()
    await month.confirm(found)
    cycle = (await act_as("finance", COLLECTING).post("/v1/clearing-cycles")).json()
    position = (await positions(act_as("facility", hospital.code), cycle))[hospital.code, COLLECTING]

    await pay(act_as, hospital.code, "position", position["position_id"])

    assert (await month.case(found["case_id"]))["state"] == "closed"


async def test_what_was_carried_is_collected_from_a_facility_that_earns_nothing_more(
    books: Books, act_as: ActAs
) -> None:
    await City(books).agree(CARRYING, negative_rule="carry")
    hospital = Hospital(region=CARRYING)
    reversal = hospital.reversal(hospital.bill(CARRYING))
    await books.hear(hospital.changed(), reversal)
    await submit(act_as("facility", hospital.code), hospital, [reversal])
    month = Month(act_as, hospital)
    (found,) = await month.cases()
    await month.confirm(found)
    agency, facility = act_as("finance", CARRYING), act_as("facility", hospital.code)
    cycle = (await agency.post("/v1/clearing-cycles")).json()
    carried = (await positions(facility, cycle))[hospital.code, CARRYING]
    path = f"/v1/clearing-positions/{carried['position_id']}/collection"
    unpayable = await facility.post("/v1/orders", {"purpose": "position", "references": [carried["position_id"]]})
    foreign = await act_as("finance", CHANGSHA).post(path)
    unknown = await agency.post(f"/v1/clearing-positions/{new_id()}/collection")
    case = await month.case(found["case_id"])
    collected = await agency.post(path)
    twice = await agency.post(path)

    assert (carried["state"], carried["due_on"]) == ("carried", None)
    assert case["dues"] == [], "nobody is late with what is carried"
    assert [error["code"] for error in unpayable.json()["items"][0]["errors"]] == ["settlement.position-not-open"]
    assert codes(foreign) == ["auth.not-your-area"]
    assert codes(unknown) == ["settlement.position-unknown"]
    assert (collected.json()["state"], collected.json()["due_on"] is None) == ("open", False)
    assert codes(twice) == ["settlement.position-not-open"]
    await pay(act_as, hospital.code, "position", carried["position_id"])
    assert (await month.case(found["case_id"]))["state"] == "closed"


async def test_who_is_not_late_is_left_alone(act_as: ActAs, case: dict[str, Any]) -> None:
    cycle = await cut(act_as)
    position = (await positions(act_as("finance", HOME), cycle))[HOME, CHANGSHA]
    path = f"/v1/clearing-positions/{position['position_id']}/unpaid"

    early = await act_as("finance", CHANGSHA).post(path, {})
    other = await act_as("finance", CARE).post(path, {})
    negative = await act_as("finance", CHANGSHA).post(path, {"available_fen": -1})

    assert codes(early) == ["settlement.position-not-overdue"]
    assert codes(other) == ["auth.not-your-area"]
    assert codes(negative) == ["request.field-invalid"]
    assert case["case_id"]


async def test_a_prepayment_is_paid_by_order_and_seen_by_both(act_as: ActAs) -> None:
    lender, holder = act_as("finance", LENDER), act_as("finance", CHANGSHA)
    path = f"/v1/prepayments/{LENDER}/{CHANGSHA}"
    body = {"holder": CHANGSHA, "amount_fen": 500_000}

    before = await lender.get(path)
    made = (await lender.post("/v1/prepayment-top-ups", body)).json()
    twice = await lender.post("/v1/prepayment-top-ups", body)
    await pay(act_as, LENDER, "prepayment", made["movement_id"])

    assert codes(before) == ["settlement.prepayment-unknown"]
    assert codes(twice) == ["settlement.prepayment-pending"]
    shown = (await holder.get(path)).json()
    assert (shown["held_fen"], shown["level_fen"], shown["use"]) == (500_000, 0, "low")
    assert (await lender.get(path)).json() == shown
    assert shown in (await holder.get("/v1/prepayments")).json()["items"]
    (movement,) = (await holder.get(f"{path}/movements")).json()["items"]
    assert (movement["kind"], movement["state"]) == ("top_up", "settled")
    assert codes(await act_as("finance", CARE).get(path)) == ["auth.not-your-area"]
