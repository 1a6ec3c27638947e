"""What the benchmarks need of the world: insured people and a contracted hospital, written straight into claims' copy,
and settlements to send. Only benchmarks and fault tests write there; the product hears it from events.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import asyncpg

from shared.events import new_id
from tests.bench.load import http_request

FACILITY, CARE_REGION, HOME_REGION = "H41160300001", "411603", "411628"
LINES = 20
_FIRST, _LAST = date(2020, 1, 1), date(2029, 12, 31)


@dataclass(frozen=True, slots=True)
class World:
    """The people there are, and how a facility's requests are signed and addressed."""

    people: list[str]
    token: str
    port: int

    def settlements(self, count: int) -> Iterator[bytes]:
        """Requests to settle an outpatient bill of 20 lines, each with a key of its own, people taking turns."""
        for number in range(count):
            body = json.dumps(one_call_body(self.people[number % len(self.people)])).encode()
            yield http_request("/v1/settlements", body, token=self.token, key=new_id(), port=self.port)


def one_call_body(person_id: str) -> dict[str, object]:
    """An outpatient bill of 20 lines of all three classes, 200 yuan."""
    lines = [
        {
            "line_no": str(number),
            "item_code": f"XN05BAD148A0010101783{number:02d}",
            "item_class": f"0{number % 3 + 1}",
            "occurred_at": "2026-11-02T09:30:00+08:00",
            "quantity": "2",
            "unit_price": "5.00",
            "amount_fen": 1000,
        }
        for number in range(LINES)
    ]
    return {
        "person": {"person_id": person_id},
        "kind": "outpatient",
        "facility_visit_no": new_id(),
        "facility_settlement_no": new_id(),
        "med_type": "11",
        "began_at": "2026-11-02T09:00:00+08:00",
        "ended_at": "2026-11-02T10:00:00+08:00",
        "total_fen": 1000 * LINES,
        "lines": lines,
    }


async def make_world(owner_url: str, token: str, port: int, people: int = 20_000) -> World:
    """Insure people in one county and contract a hospital in another."""
    connection = await asyncpg.connect(owner_url, server_settings={"search_path": "claims"})
    ids = [new_id() for _ in range(people)]
    try:
        await connection.copy_records_to_table("person", records=[(i, i, 1) for i in ids])
        spans = [(new_id(), i, "390", "15", HOME_REGION, _FIRST, None, 1) for i in ids]
        await connection.copy_records_to_table("insurance_span", records=spans)
        await connection.execute(
            "INSERT INTO facility VALUES ($1, 'hospital', '2', $2, 1) ON CONFLICT DO NOTHING", FACILITY, CARE_REGION
        )
        await connection.execute(
            "INSERT INTO agreement VALUES ('bench', $1, $2, $3, '[]', 1) ON CONFLICT DO NOTHING",
            FACILITY,
            _FIRST,
            _LAST,
        )
    finally:
        await connection.close()
    return World(ids, token, port)
