"""What claims' tests begin with: people and facilities written straight into its copies, and request bodies.

Every number made here is fresh, so that tests share one database without meeting each other.
"""

from __future__ import annotations

import itertools
import json
import secrets
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg

from shared.events import new_id
from shared.money import line_amount_fen, parse_yuan

Json = dict[str, Any]

HUAIYANG, LUYI, ZHOUKOU = "411603", "411628", "411600"
NANYANG, CHANGSHA = "411300", "430100"
_RUN = secrets.token_hex(3).upper()
_NUMBERS: Iterator[int] = itertools.count(1)


def fresh(prefix: str) -> str:
    """A number nobody used before, also in the data of an earlier run."""
    return f"{prefix}{_RUN}{next(_NUMBERS):05d}"


def hours_ago(hours: float) -> str:
    """A moment of the recent past, as a facility writes it."""
    return (datetime.now(UTC) - timedelta(hours=hours)).isoformat(timespec="seconds")


@dataclass(frozen=True)
class Owner:
    """The database seen by its owner: seeds copies, and looks at what the services wrote."""

    connection: asyncpg.Connection[Any]

    async def person(self, region: str = HUAIYANG, insutype: str = "390", psn_type: str = "15") -> str:
        """An insured person's number."""
        person_id = new_id()
        await self.connection.execute("INSERT INTO claims.person VALUES ($1, $2, 1)", person_id, f"hash-{person_id}")
        await self.span(person_id, region, insutype, psn_type)
        return person_id

    async def span(self, person_id: str, region: str, insutype: str = "390", psn_type: str = "15") -> None:
        """An open insurance span of a person."""
        await self.connection.execute(
            "INSERT INTO claims.insurance_span VALUES ($1, $2, $3, $4, $5, current_date - 400, NULL, 1)",
            new_id(),
            person_id,
            insutype,
            psn_type,
            region,
        )

    async def filing(self, person_id: str, care_region: str, kind: str = "referral") -> None:
        """A remote-care filing that holds."""
        await self.connection.execute(
            "INSERT INTO claims.filing VALUES ($1, $2, $3, $4, current_date - 60, NULL, false, 1)",
            new_id(),
            person_id,
            kind,
            care_region,
        )

    async def facility(self, region: str = HUAIYANG, level: str = "2", suspended: bool = False) -> str:
        """The code of a facility under agreement."""
        code = fresh("H")
        suspensions = [[(datetime.now(UTC) - timedelta(days=30)).date().isoformat(), None]] if suspended else []
        await self.connection.execute(
            "INSERT INTO claims.facility VALUES ($1, 'hospital', $2, $3, 1)", code, level, region
        )
        await self.connection.execute(
            "INSERT INTO claims.agreement VALUES ($1, $2, current_date - 400, current_date + 400, $3, 1)",
            new_id(),
            code,
            json.dumps(suspensions),
        )
        return code

    async def used(self, person_id: str) -> dict[str, int]:
        """What a person has used up, by counter, all periods together."""
        row = await self.connection.fetchval("SELECT used FROM claims.year_book WHERE person_id = $1", person_id)
        used: Counter[str] = Counter()
        for name, value in json.loads(row or "{}").items():
            used[name.partition("@")[0]] += value
        return dict(used)

    async def count(self, table: str, column: str, value: str) -> int:
        """How many rows of a table of claims hold a value."""
        found: int = await self.connection.fetchval(f"SELECT count(*) FROM claims.{table} WHERE {column} = $1", value)
        return found

    async def row_counts(self) -> dict[str, int]:
        """How many rows the tables hold that requests write."""
        tables = ("visit", "fee_line", "settlement", "working", "year_book", "idempotency")
        return {table: await self.connection.fetchval(f"SELECT count(*) FROM claims.{table}") for table in tables}


def fee_line(
    no: str = "1",
    *,
    quantity: str = "2",
    price: str = "750.00",
    item_class: str = "01",
    hours: float = 2,
    voids: str | None = None,
) -> Json:
    """A fee line whose amount is right; two pieces of 750 yuan, class A."""
    amount_fen = line_amount_fen(Decimal(quantity), Decimal(price))
    line: Json = {
        "line_no": no,
        "item_code": "XN05BAD148A001010178390",
        "item_class": item_class,
        "occurred_at": hours_ago(hours),
        "quantity": quantity,
        "unit_price": price,
        "amount_fen": amount_fen,
    }
    return line if voids is None else {**line, "voids_line_no": voids}


def one_call(person_id: str, *lines: Json, kind: str = "outpatient", **other: Any) -> Json:
    """An outpatient bill that adds up, one line of 1500 yuan by default."""
    billed = list(lines) or [fee_line()]
    return {
        "person": {"person_id": person_id},
        "kind": kind,
        "facility_visit_no": fresh("MZ"),
        "facility_settlement_no": fresh("JS"),
        "med_type": "41" if kind == "pharmacy" else "11",
        "began_at": hours_ago(3),
        "ended_at": hours_ago(1),
        "total_fen": sum(line["amount_fen"] for line in billed),
        "lines": billed,
        **other,
    }


def admission(person_id: str, *, hours: float = 48, **other: Any) -> Json:
    """An admission two days ago."""
    return {
        "person": {"person_id": person_id},
        "facility_visit_no": fresh("ZY"),
        "med_type": "21",
        "began_at": hours_ago(hours),
        **other,
    }


def discharge(total_yuan: str, **other: Any) -> Json:
    """A discharge just now."""
    return {
        "facility_settlement_no": fresh("JS"),
        "ended_at": hours_ago(0),
        "total_fen": parse_yuan(total_yuan),
        **other,
    }


def reversal(**other: Any) -> Json:
    """A reversal."""
    return {"facility_settlement_no": fresh("TF"), "reason": "收费有误，重新结算", **other}


def key() -> dict[str, str]:
    """The header of a request never sent before."""
    return {"Idempotency-Key": fresh("key-")}
