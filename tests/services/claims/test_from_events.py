"""The real way into claims: enrolled and contracted at their own services, known here through the broker."""

from __future__ import annotations

from tests.flow import Flow, days_ago, done, eventually
from tests.services.claims.seeds import key, one_call
from tests.services.claims.test_stays import codes


async def test_a_person_enrolled_and_a_facility_contracted_elsewhere_settle_here(flow: Flow) -> None:
    facility, person = await flow.facility(), await flow.person()
    await flow.known(facility, person)
    settled = await flow.settled(facility, one_call(person.person_id))
    assert (settled["person_id"], settled["care_region"], settled["home_region"]) == (
        person.person_id,
        "411603",
        "411603",
    )
    booked = await flow.booked(facility, settled["settlement_id"])
    assert booked["settlement_id"] == settled["settlement_id"]


async def test_a_card_is_recognised_by_its_hash(flow: Flow) -> None:
    """Claims never hears the identity number; both services hash it with the same key."""
    facility, person = await flow.facility(), await flow.person()
    await flow.known(facility, person)
    body = {**one_call("0" * 26), "person": {"identity_number": person.identity_number.lower()}}
    settled = await flow.settled(facility, body)
    assert settled["person_id"] == person.person_id


async def test_a_suspended_facility_settles_nothing_until_it_is_restored(flow: Flow) -> None:
    facility, person = await flow.facility(), await flow.person()
    await flow.known(facility, person)
    reviewer = flow.acting("designation", "reviewer", "411603", "signing")
    window = flow.acting("claims", "facility", facility)
    (agreement,) = done(await reviewer.get(f"/v1/facilities/{facility}/agreements"))["items"]
    path = f"/v1/agreements/{agreement['agreement_id']}"

    async def answered(expected: int) -> None:
        async def answer() -> bool | None:
            quote = await window.post("/v1/quotes", json=one_call(person.person_id))
            return True if quote.status_code == expected else None

        await eventually(answer)

    done(await reviewer.post(f"{path}/suspension", json={"day": days_ago(10), "reason": "超量开药"}))
    await answered(422)
    refused = await window.post("/v1/settlements", json=one_call(person.person_id), headers=key())
    assert (refused.status_code, codes(refused)) == (422, ["facility-suspended"])
    done(await reviewer.post(f"{path}/restoration", json={"day": days_ago(2), "reason": "整改完成"}))
    await answered(200)
