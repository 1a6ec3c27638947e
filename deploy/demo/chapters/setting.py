"""Chapter 0: the world is registered through the services, as its agencies would do it."""

from __future__ import annotations

from datetime import date

from deploy.demo.chapters.clearing import Clearing
from deploy.demo.client import each
from deploy.demo.generator import Facility, Filing, Person, persons_csv
from deploy.demo.scene import CannotPlay, Scene


async def play(scene: Scene, clearing: Clearing) -> None:
    """Facilities with agreements signed by a second person, the city's terms and the bank accounts, people by CSV,
    filings; claims hears of all."""
    world, stage = scene.world, scene.stage
    stage.chapter("0 · 建立场景 The setting")
    await _check_fresh(scene)
    await scene.move_to(opening(scene))
    await each(world.facilities, lambda facility: _contract(scene, facility))
    stage.say(f"{len(world.facilities)} facilities registered, their agreements drafted by one and signed by another")
    await clearing.agree()
    await clearing.open_accounts()
    await _import(scene)
    with stage.progress("异地就医备案 remote-care filings", len(world.filings)) as advance:

        async def file(filing: Filing) -> None:
            await _file(scene, filing)
            advance()

        await each(world.filings, file)
    await _until_heard(scene)


def opening(scene: Scene) -> date:
    """The day the play begins: when the patient of the story is admitted."""
    return scene.world.story.bill.began_at.date()


async def _check_fresh(scene: Scene) -> None:
    """Raises CannotPlay where the play was before: the clock does not go back."""
    facility = scene.world.facilities[0]
    reader = scene.services.officer(facility.region)
    known = await reader.ask("GET", "designation", f"/v1/facilities/{facility.code}", refusable=True)
    if known.status != 404:
        raise CannotPlay("this cluster has seen the play, or cannot tell: `make demo` starts a fresh one")


async def _contract(scene: Scene, facility: Facility) -> None:
    """Register a facility; an officer drafts its agreement, and a reviewer signs it."""
    officer, reviewer = scene.services.officer(facility.region), scene.services.reviewer(facility.region)
    await officer.post("designation", "/v1/facilities", facility.body())
    drafted = await officer.post("designation", "/v1/agreements", facility.agreement_body(opening(scene).year))
    await reviewer.post("designation", f"/v1/agreements/{drafted['agreement_id']}/signature")


async def _import(scene: Scene) -> None:
    """Each city's agency imports its insured."""
    by_city: dict[str, list[Person]] = {}
    for person in scene.world.people:
        by_city.setdefault(scene.city_of(person.region), []).append(person)
    rows: list[tuple[str, ...]] = []
    refused: list[str] = []
    for city, people in by_city.items():
        officer = scene.services.officer(city)
        reply = await officer.ask("POST", "enrollment", "/v1/imports", body=persons_csv(people))
        rows.append((scene.name(city), f"{len(people):,}", f"{reply.body['enrolled']:,}", f"{reply.ms / 1000:.2f}"))
    scene.stage.table(
        "参保人员导入 Persons imported", ("agency", "lines", "enrolled", "seconds"), rows, right=(1, 2, 3)
    )
    scene.checks.none("every person of the files is enrolled 全部人员已登记", refused)


async def _file(scene: Scene, filing: Filing) -> None:
    """The home agency registers a filing at the counter; it holds at once."""
    officer = scene.services.officer(filing.person.region)
    body = {"identity_number": filing.person.identity_number, "on": opening(scene).isoformat()}
    person = await officer.post("enrollment", "/v1/lookups", body)
    await officer.post("enrollment", "/v1/filings", filing.body(person["person_id"]))


async def _until_heard(scene: Scene) -> None:
    """Claims keeps its own copy of all this, from events: nothing is settled before it is there."""
    people, facilities = len(scene.world.people), len(scene.world.facilities)
    seconds = await scene.until_handled(
        "claims",
        {
            "sifang.enrollment.PersonEnrolled.v1": people,
            "sifang.enrollment.InsuranceChanged.v1": people,
            "sifang.enrollment.FilingApproved.v1": len(scene.world.filings),
            "sifang.designation.FacilityChanged.v1": facilities,
            "sifang.designation.AgreementSigned.v1": facilities,
        },
    )
    scene.stage.held(f"claims heard of everybody and everything by events, {seconds:.1f} s after the last call")
