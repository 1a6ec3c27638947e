"""A made-up region: people, facilities, filings and a month of bills, the same for the same seed.

    world = World.generate(seed=1, regions=RegionTree.load(), people=3_000, bills=3_000)
    persons_csv(world.people)                 what the import of enrollment takes
    [f.body() for f in world.facilities]      what designation registers
    [b.one_call_body() for b in world.bills if b.kind != INPATIENT]

Pure: no I/O, no clock. Everybody in it is invented: see `people` for why no identity number can be anybody's.
"""

from __future__ import annotations

from deploy.demo.generator.bills import INPATIENT, OUTPATIENT, PHARMACY, Bill, Line, month_days
from deploy.demo.generator.facilities import FACILITIES, Facility
from deploy.demo.generator.filings import Filing
from deploy.demo.generator.people import Person, persons_csv
from deploy.demo.generator.world import PERIOD, Story, World

__all__ = [
    "FACILITIES",
    "INPATIENT",
    "OUTPATIENT",
    "PERIOD",
    "PHARMACY",
    "Bill",
    "Facility",
    "Filing",
    "Line",
    "Person",
    "Story",
    "World",
    "month_days",
    "persons_csv",
]
