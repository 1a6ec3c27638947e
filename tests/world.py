"""A small world in the running services: one of everything that has an address, with the id it has there."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from deploy.local import bank as small_bank
from deploy.local.cluster import Cluster
from services.settlement.bank.adapter import FolderBank
from services.settlement.config import SettlementSettings
from services.settlement.use_cases.bank_receiving import receive
from services.settlement.use_cases.parts import BankDesk, Settlement
from shared.events import new_id
from shared.keys import DATA_KEYS
from shared.personal import PersonalDataKeys
from shared.settings import Settings
from shared.workdays import WorkCalendar, shanghai_day
from tests.conftest import TLS, MakeToken
from tests.contracts.apps import Operation
from tests.flow import Flow, days_ago, done, eventually
from tests.services.claims.packs import next_version
from tests.services.claims.seeds import HUAIYANG, ZHOUKOU, admission, fresh, key, one_call, reversal
from tests.services.enrollment.people import PAPERS
from tests.services.settlement.banking import account_no, payout_body
from tests.services.settlement.world import REGIONS, XIANGCHENG, Books, Hospital, lines_of, totals_of


@dataclass(frozen=True)
class World:
    """A person, a facility and a month of Huaiyang: what is there, by the name it has in addresses."""

    flow: Flow
    ids: dict[str, str]

    def path(self, operation: Operation) -> str:
        """The address of what is really there."""
        return operation.path.format(**self.ids)


@pytest.fixture(scope="module")
async def world(
    services: Cluster, token: MakeToken, books: Books, settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    async with contextlib.AsyncExitStack() as opened:

        def client(service: str, token: str | None = None) -> httpx.AsyncClient:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            made = httpx.AsyncClient(
                base_url=services.url(service), headers=headers, timeout=30, trust_env=False, verify=TLS
            )
            opened.push_async_callback(made.aclose)
            return made

        flow = Flow(client, token)
        ids = await _enrolled(flow)
        ids |= await _contracted(flow)
        ids |= await _treated(flow, ids)
        ids |= await _ruled(flow, ids)
        ids |= await _reconciled(flow, books)
        ids |= await _differing(flow, books)
        ids |= await _cleared(flow, books)
        ids |= await _objected(flow, books)
        ids |= await _paid_out(flow)
        folder = tmp_path_factory.mktemp("bank")
        keys = PersonalDataKeys.from_json((settings.secrets_dir / DATA_KEYS).read_bytes())
        ids |= await _told(flow, books, folder, keys, ids["account_no"])
        ids |= await _subscribed(flow)
        yield World(flow, ids)


async def _enrolled(flow: Flow) -> dict[str, str]:
    person = await flow.person()
    officer = flow.acting("enrollment", "officer", HUAIYANG)
    (span,) = done(await officer.get(f"/v1/persons/{person.person_id}/insurance-spans"))["items"]
    filing = {
        "person_id": person.person_id,
        "kind": "referral",
        "care_region": "411300",
        "valid_from": days_ago(1),
        "papers": PAPERS["referral"],
    }
    made = done(await officer.post("/v1/filings", json=filing))
    return {"person_id": person.person_id, "span_id": span["span_id"], "filing_id": made["filing_id"]}


async def _contracted(flow: Flow) -> dict[str, str]:
    code = await flow.facility()
    reader = flow.acting("designation", "reviewer", HUAIYANG)
    (agreement,) = done(await reader.get(f"/v1/facilities/{code}/agreements"))["items"]
    inbox = flow.acting("notification", "facility", code)

    async def message() -> str | None:
        items = done(await inbox.get("/v1/inbox"))["items"]
        return items[0]["message_id"] if items else None

    return {"code": code, "agreement_id": agreement["agreement_id"], "message_id": await eventually(message)}


async def _treated(flow: Flow, ids: dict[str, str]) -> dict[str, str]:
    window = flow.acting("claims", "facility", ids["code"])

    async def admitted() -> str | None:
        answer = await window.post("/v1/visits", json=admission(ids["person_id"]))
        return done(answer)["visit_id"] if answer.is_success else None

    visit_id = await eventually(admitted)
    settled = done(await window.post("/v1/settlements", json=one_call(ids["person_id"]), headers=key()))
    await flow.booked(ids["code"], settled["settlement_id"])
    return {"visit_id": visit_id, "settlement_id": settled["settlement_id"], "party": ids["code"]}


async def _ruled(flow: Flow, ids: dict[str, str]) -> dict[str, str]:
    """A policy that is proposed, and a bill that would come to something else by now."""
    author = flow.acting("claims", "officer", ZHOUKOU, "author")
    proposed = done(await author.post("/v1/policies", json={"files": next_version()}))
    period = {"since": days_ago(30), "until": days_ago(0)}
    replay = done(await author.post(f"/v1/policies/{proposed['proposal_id']}/replays", json=period))
    window = flow.acting("claims", "facility", ids["code"])
    person = await flow.person()
    await flow.known(ids["code"], person)
    # The first uses up the year's limit of outpatient care; without it the second is paid.
    first, _ = [
        done(await window.post("/v1/settlements", json=one_call(person.person_id), headers=key())) for _ in range(2)
    ]
    done(await window.post(f"/v1/settlements/{first['settlement_id']}/reversal", json=reversal(), headers=key()))
    officer = flow.acting("claims", "officer", HUAIYANG)

    async def listed() -> str | None:
        items = done(await officer.get("/v1/resettlements"))["items"]
        return next((item["item_id"] for item in items if item["person_id"] == person.person_id), None)

    return {
        "proposal_id": proposed["proposal_id"],
        "replay_id": replay["replay_id"],
        "item_id": await eventually(listed),
    }


async def _reconciled(flow: Flow, books: Books) -> dict[str, str]:
    """A past month up to the proposal of its first payment."""
    hospital = Hospital()
    bill = hospital.bill()
    await books.hear(hospital.changed(), bill)
    facility = flow.acting("settlement", "facility", hospital.code)
    statement = {"period": hospital.month, "totals": totals_of([bill])}
    submitted = done(await facility.post("/v1/statements", json=statement, headers=key()))
    (case,) = done(await facility.get("/v1/cases", params={"period": hospital.month}))["items"]
    for role, party in (("facility", hospital.code), *(("finance", agency) for agency in case["chain"])):
        confirmation = {"numbers_hash": case["numbers_hash"]}
        path = f"/v1/cases/{case['case_id']}/confirmations"
        done(await flow.acting("settlement", role, party).post(path, json=confirmation))
    payer = flow.acting("settlement", "finance", case["chain"][-1])
    payment = done(await payer.post("/v1/payments", json={"case_id": case["case_id"]}, headers=key()))
    return {
        "statement_id": submitted["statement_id"],
        "case_id": case["case_id"],
        "payment_id": payment["payment_id"],
        "hospital": hospital.code,
        "month": hospital.month,
        "period": hospital.month,
        "form": "csv",
    }


async def _differing(flow: Flow, books: Books) -> dict[str, str]:
    """A statement whose file misses a bill: the file's name, the work item it came to, and what was done about it."""
    hospital = Hospital()
    booked, stated = hospital.bill(), hospital.bill(fund_fen=1)
    await books.hear(hospital.changed(), booked)
    facility = flow.acting("settlement", "facility", hospital.code)
    statement = {"period": hospital.month, "totals": totals_of([stated])}
    submitted = done(await facility.post("/v1/statements", json=statement, headers=key()))
    content = "\n".join(json.dumps(line) for line in lines_of([stated])).encode()
    sha256 = hashlib.sha256(content).hexdigest()
    path = f"/v1/statements/{submitted['statement_id']}"
    kind = {"Content-Type": "application/x-ndjson"}
    done(await facility.put(f"{path}/files/{sha256}", content=content, headers=kind))
    done(await facility.post(f"{path}/match"))
    items = done(await facility.get("/v1/items"))["items"]
    shown = done(await facility.get(f"{path}/open-items"))["classes"][0]
    said = {"difference_class": shown["difference_class"], "kind": "correct", "reason": "r", "seen": shown["seen"]}
    bulk = done(await facility.post(f"{path}/bulk-actions", json=said))
    return {
        "bulk_no": str(bulk["bulk_no"]),
        "differing": hospital.code,
        "unequal_id": submitted["statement_id"],
        "sha256": sha256,
        "item_no": str(items[0]["item_no"]),
    }


async def _cleared(flow: Flow, books: Books) -> dict[str, str]:
    """A local month in a cycle of its county, less a deduction, and a prepayment of another county."""
    hospital = Hospital()
    bill = hospital.bill(HUAIYANG)
    await books.hear(hospital.changed(), bill)
    facility = flow.acting("settlement", "facility", hospital.code)
    done(
        await facility.post(
            "/v1/statements", json={"period": hospital.month, "totals": totals_of([bill])}, headers=key()
        )
    )
    (case,) = done(await facility.get("/v1/cases", params={"period": hospital.month}))["items"]
    for role, party in (("facility", hospital.code), ("finance", HUAIYANG)):
        path, seen = f"/v1/cases/{case['case_id']}/confirmations", {"numbers_hash": case["numbers_hash"]}
        done(await flow.acting("settlement", role, party).post(path, json=seen))
    withholding_id = await _deducted(flow, hospital)
    cycle = done(await flow.acting("settlement", "finance", HUAIYANG).post("/v1/clearing-cycles", headers=key()))
    (position,) = done(await facility.get(f"/v1/clearing-cycles/{cycle['cycle_id']}/positions"))["items"]
    (set_off,) = done(await facility.get(f"/v1/clearing-positions/{position['position_id']}/set-offs"))["items"]
    level = {"lender": XIANGCHENG, "year": int(days_ago(0)[:4])}
    done(await flow.acting("settlement", "finance", ZHOUKOU).post("/v1/prepayment-levels", json=level, headers=key()))
    lender, wanted = flow.acting("settlement", "finance", XIANGCHENG), {"holder": ZHOUKOU, "amount_fen": 1}
    movement = done(await lender.post("/v1/prepayment-top-ups", json=wanted, headers=key()))
    # Nothing may wait when the next world of this cluster wants one.
    done(await lender.post(f"/v1/prepayment-movements/{movement['movement_id']}/withdrawal", headers=key()))
    return {
        "movement_id": movement["movement_id"],
        "cycle_id": cycle["cycle_id"],
        "position_id": position["position_id"],
        "withholding_id": withholding_id,
        "set_off_id": set_off["set_off_id"],
        "lender": XIANGCHENG,
        "holder": ZHOUKOU,
        "cleared": hospital.code,
    }


async def _deducted(flow: Flow, hospital: Hospital) -> str:
    """Two people of the county deduct a fen of what a facility is paid."""
    clerk, head = (flow.acting("settlement", "officer", HUAIYANG, subject) for subject in ("clerk", "head"))
    said = {"facility_code": hospital.code, "amount_fen": 1, "reason": "r"}
    withholding = done(await clerk.post("/v1/withholdings", json=said, headers=key()))
    done(await head.post(f"/v1/withholdings/{withholding['withholding_id']}/approval", headers=key()))
    return str(withholding["withholding_id"])


async def _objected(flow: Flow, books: Books) -> dict[str, str]:
    """Terms that a county proposes to itself, and an objection of another one to a bill."""
    hospital = Hospital()
    bill = hospital.bill()
    await books.hear(hospital.changed(), bill)
    facility = flow.acting("settlement", "facility", hospital.code)
    statement = {"period": hospital.month, "totals": totals_of([bill])}
    done(await facility.post("/v1/statements", json=statement, headers=key()))
    (case,) = done(await facility.get("/v1/cases", params={"period": hospital.month}))["items"]
    objection = {"numbers_hash": case["numbers_hash"], "settlement_ids": [bill.settlement_id], "reason": "r"}
    home = flow.acting("settlement", "finance", XIANGCHENG)
    raised = done(await home.post(f"/v1/cases/{case['case_id']}/objections", json=objection))
    terms = {"region": HUAIYANG, "valid_from": "2190-01-01", "reason": "r", "chosen": {"tolerance_fen": 1}}
    proposed = done(await flow.acting("settlement", "officer", HUAIYANG).post("/v1/terms", json=terms))
    return {
        "objecting": hospital.code,
        "objected_id": case["case_id"],
        "objection_no": str(raised["objection_no"]),
        "terms_no": str(proposed["terms_no"]),
        "kind": "reconciliation",
        "region": HUAIYANG,
    }


async def _paid_out(flow: Flow) -> dict[str, str]:
    """A payout of a county and its order, and the county's bank account."""
    clerk, head = (flow.acting("settlement", "officer", XIANGCHENG, subject) for subject in ("clerk", "head"))
    payout = done(await clerk.post("/v1/payouts", json=payout_body(), headers=key()))
    done(await head.post(f"/v1/payouts/{payout['payout_id']}/approval", headers=key()))
    mistaken = done(await clerk.post("/v1/payouts", json=payout_body(), headers=key()))
    done(await head.post(f"/v1/payouts/{mistaken['payout_id']}/approval", headers=key()))
    path = f"/v1/payouts/{mistaken['payout_id']}/cancellations"
    (cancellation,) = done(await clerk.post(path, json={"reason": "r"}, headers=key()))["cancellations"]
    wanted = {"purpose": "payout", "references": [payout["payout_id"]]}
    finance = flow.acting("settlement", "finance", XIANGCHENG)
    ordered = done(await finance.post("/v1/orders", json=wanted, headers=key()))
    account = {
        "holder": "r",
        "account_no": account_no(),
        "bank_code": "102508000017",
        "opening_on": "2026-01-01",
        "opening_fen": 0,
    }
    version = done(await finance.post(f"/v1/bank-accounts/{XIANGCHENG}/versions", json=account))["version_no"]
    # Nothing may wait when the next world of this cluster proposes one.
    other = flow.acting("settlement", "finance", XIANGCHENG, subject="other")
    done(await other.post(f"/v1/bank-accounts/{XIANGCHENG}/approval", json={"version_no": version}))
    return {
        "payout_id": payout["payout_id"],
        "order_id": ordered["items"][0]["order_id"],
        "account_party": XIANGCHENG,
        "account_no": account["account_no"],
        "cancellation_id": cancellation["cancellation_id"],
    }


async def _told(flow: Flow, books: Books, folder: Path, keys: PersonalDataKeys, number: str) -> dict[str, str]:
    """A movement of a county's account that names nothing, and what the county says it was."""
    now = datetime.now(UTC)
    entry = small_bank.entry(new_id(), None, 1, shanghai_day(now), debit=False)
    text = small_bank.notification(new_id(), number, [entry], shanghai_day(now))
    small_bank.Bank(folder, shanghai_day(now)).put(f"{new_id()}.xml", text)
    desk = BankDesk(FolderBank(folder), keys)
    parts = Settlement(books.database, REGIONS, SettlementSettings(), WorkCalendar(), books.ledger_key, desk)
    await receive(parts, lambda: now)
    finance = flow.acting("settlement", "finance", XIANGCHENG)
    items = done(await finance.get("/v1/bank-items?open=true&kind=entry_unknown&limit=200"))["items"]
    item_no = max(item["item_no"] for item in items if item["party"] == XIANGCHENG)
    said = {"reason": "r", "nature": "interest"}
    path = f"/v1/bank-items/{item_no}/identifications"
    identified = done(await finance.post(path, json=said, headers=key()))
    return {
        "identification_id": identified["identification_id"],
        "entry_id": identified["entry_id"],
    }


async def _subscribed(flow: Flow) -> dict[str, str]:
    subscription = {"url": f"http://127.0.0.1:9/{fresh('hook')}", "event_types": ["sifang.settlement.Remitted.v1"]}
    officer = flow.acting("notification", "officer", HUAIYANG)
    made = done(await officer.post("/v1/subscriptions", json=subscription))
    return {"subscription_id": made["subscription_id"]}
