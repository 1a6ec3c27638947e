"""Chapter 1: one remote bill, step by step, with every party's view of it."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from datetime import time as time_of_day
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

from deploy.demo.client import Caller, Trace, UnexpectedAnswer, until
from deploy.demo.generator import Line
from deploy.demo.scene import Accepted, Scene
from deploy.demo.traces import Span
from shared.money import yuan
from shared.policy.record import steps_of
from shared.policy.working import recompute

TRACED_SERVICES = {"sifang-enrollment", "sifang-claims", "sifang-settlement", "sifang-notification"}
TRACED_STEPS = {"claims.settle", "outbox.publish", "event.handle", "settlement.book", "notification.send"}
_ADMISSION, _DISCHARGE = time_of_day(9, 30), time_of_day(10, 20)


@dataclass(frozen=True, slots=True)
class Followed:
    """The bill that was followed, for the chapters that pay it."""

    trace: Trace
    settlement_id: str
    person_id: str


async def play(scene: Scene) -> Followed:
    """From the look-up at the window to the four parties' books; what is later asked about it again."""
    story, stage = scene.world.story, scene.stage
    stage.chapter("1 · 一张异地单 One remote bill")
    stage.say(f"参保 insured: {scene.name(story.person.region)} · 就医 treated: {story.facility.name}")
    await scene.move_to(story.bill.began_at.date(), _ADMISSION)
    trace, began_s = Trace.new(), time.time()
    his = scene.facility(story.facility.code)
    person_id = await _look_up(scene, his, trace)
    await _file(scene, his, person_id, trace)
    visit = await his.post("claims", "/v1/visits", story.bill.admission_body(), trace=trace)
    stage.say(f"入院 admitted: {visit['facility_visit_no']}, {visit['state']}, insurance {visit['insutype']}")
    await _charge(scene, his, visit["visit_id"], trace)
    await scene.move_to(story.bill.day, _DISCHARGE)
    settled = await _settle(scene, his, visit["visit_id"], trace)
    await _show_views(scene, settled)
    await _show_notices(scene, his, settled)
    if scene.traces:
        await scene.traces.close(trace, "one remote bill", began_s)
    await check_trace(scene, trace, TRACED_SERVICES, TRACED_STEPS)
    return Followed(trace, settled.settlement_id, person_id)


async def _look_up(scene: Scene, his: Caller, trace: Trace) -> str:
    """Read the card: who is insured for what on this day."""
    story = scene.world.story
    body = {**story.bill.person_body, "on": story.bill.began_at.date().isoformat()}
    found = await his.post("enrollment", "/v1/lookups", body, trace=trace)
    insurance = found["insurance"][0]
    scene.stage.say(
        f"查询 looked up: {found['name']} {found['identity_number']}, insured for {insurance['insutype']} "
        f"in {insurance['region']}, {len(found['filings'])} filings"
    )
    scene.checks.equal("the look-up names the home region 参保地", insurance["region"], story.person.region)
    shown = json.dumps(found, ensure_ascii=False)
    secrets = (story.person.identity_number, story.person.name, story.person.phone)
    scene.checks.none("the look-up shows nothing personal in the clear 脱敏", [s for s in secrets if s in shown])
    return str(found["person_id"])


async def _file(scene: Scene, his: Caller, person_id: str, trace: Trace) -> None:
    """The hospital applies for the referral, an officer at home approves, claims hears of it."""
    story = scene.world.story
    heard = "sifang.enrollment.FilingApproved.v1"
    before = await scene.handled("claims", heard)
    filing = await his.post("enrollment", "/v1/filings", story.filing.body(person_id), trace=trace)
    officer = scene.services.officer(story.person.region)
    path = f"/v1/filings/{filing['filing_id']}/approval"
    approved = await officer.post("enrollment", path, trace=trace)
    acts = " → ".join(f"{act['step']} by {act['actor']}" for act in approved["acts"])
    scene.stage.say(f"转诊备案 referral filing: {acts}; holds {approved['valid_from']} to {approved['valid_to']}")
    scene.checks.equal("the filing applied for by one waits for another", filing["state"], "applied")
    await scene.until_handled("claims", {heard: before + 1})


async def _charge(scene: Scene, his: Caller, visit_id: str, trace: Trace) -> None:
    """Fee lines in batches; the first batch is sent twice, as after a timeout. One line is voided."""
    bill, path = scene.world.story.bill, f"/v1/visits/{visit_id}/fee-lines"
    batches = list(bill.line_batches())
    added = [(await his.post("claims", path, batch, trace=trace))["added"] for batch in batches]
    again = await his.post("claims", path, batches[0], trace=trace)
    voided = next(line for line in bill.lines if line.voids_line_no)
    scene.stage.say(
        f"费用明细 fee lines: {' + '.join(map(str, added))} in {len(batches)} batches, "
        f"line {voided.voids_line_no} ({voided.item.name} {yuan(-voided.amount_fen)}) voided by line {voided.line_no}"
    )
    scene.checks.equal("a batch sent twice is added once 重复上传", (sum(added), again["added"]), (len(bill.lines), 0))


async def _settle(scene: Scene, his: Caller, visit_id: str, trace: Trace) -> Accepted:
    """Quote, settle, and ask again after a supposed timeout: the same answer, word for word."""
    bill, checks = scene.world.story.bill, scene.checks
    quote = await his.post("claims", f"/v1/visits/{visit_id}/quote", bill.discharge_body(), trace=trace)
    path, key = f"/v1/visits/{visit_id}/settlement", f"{bill.facility_code}-{bill.settlement_no}"
    first = await his.ask("POST", "claims", path, body=bill.discharge_body(), key=key, trace=trace)
    again = await his.ask("POST", "claims", path, body=bill.discharge_body(), key=key, trace=trace)
    asked = await his.ask("GET", "claims", "/v1/requests", key=key, trace=trace)
    other = {**bill.discharge_body(), "total_fen": bill.total_fen - 1}
    clash = await his.ask("POST", "claims", path, body=other, key=key, trace=trace, refusable=True)
    _show_amounts(scene, first.body)
    scene.stage.say(f"出院结算 settled while the patient waits: {first.ms:.0f} ms")
    checks.equal("the quote is what was settled 预结算=结算", quote, {name: first.body[name] for name in quote})
    checks.equal("the same key gets the same answer 幂等", (again.text, again.replayed), (first.text, True))
    checks.equal("a HIS learns by its key what happened 冲正查询", asked.text, first.text)
    checks.equal("the same key with another body is refused", clash.codes, ["idempotency.key-reused"])
    _check_by_hand(scene, first.body)
    await _explain(scene, his, first.body)
    scene.accepted.append(Accepted(bill, first.body))
    return scene.accepted[-1]


async def _explain(scene: Scene, his: Caller, view: dict[str, Any]) -> None:
    """Why the patient pays this: the record of the calculation, and that it comes to the same fen."""
    path = f"/v1/settlements/{view['settlement_id']}/explanation"
    told = await his.get("claims", path, reader="patient")
    scene.stage.say(f"待遇计算说明 why the patient pays this, by {told['policy']}:")
    for line in told["lines"]:
        scene.stage.say(f"  {line}")
    machine = await his.get("claims", path, reader="machine")
    computed = recompute(steps_of(machine["steps"]))
    fund_fen = sum(value for name, value in computed.items() if name.endswith(".fund"))
    scene.checks.equal("the explanation's own steps come to the same fen 逐步复算", fund_fen, view["fund_fen"])


def _show_amounts(scene: Scene, view: dict[str, Any]) -> None:
    rows = [
        ("医疗费总额", "total", view["total_fen"]),
        ("全自费", "own (class 03)", view["own_fen"]),
        ("先行自付", "pre-payment (class 02)", view["prepay_fen"]),
        ("符合政策范围", "in scope", view["in_scope_fen"]),
        ("起付线", "deductible", view["deductible_fen"]),
        ("基金支付", f"fund, ratio {view['ratio']}", view["fund_fen"]),
        ("个人负担", "person", view["person_fen"]),
    ]
    shown = [(zh, en, yuan(amount_fen)) for zh, en, amount_fen in rows]
    scene.stage.table(f"结算单 The bill, by {view['policy']}", ("", "", "yuan"), shown, right=(2,))


def _check_by_hand(scene: Scene, view: dict[str, Any]) -> None:
    """The same with pencil and paper: Zhoukou residents at a hospital of level 2 within their own pooling area."""
    lines = scene.world.story.bill.lines
    own_fen = _sum(lines, "03")
    prepay_fen = sum(_rounded(Decimal(line.amount_fen) / 10) for line in lines if line.item.item_class == "02")
    in_scope_fen = _sum(lines, "01") + _sum(lines, "02") - prepay_fen
    deductible_fen = 500_00
    ratio = Decimal("0.75")
    fund_fen = _rounded((in_scope_fen - deductible_fen) * ratio)
    scene.stage.say(
        f"手工核算 by hand: ({yuan(in_scope_fen)} in scope - {yuan(deductible_fen)} deductible) × 75 % at level 2 "
        f"= {yuan(fund_fen)}; the pooling area is one, so the county of care changes nothing"
    )
    expected = (own_fen, prepay_fen, in_scope_fen, deductible_fen, fund_fen)
    names = ("own_fen", "prepay_fen", "in_scope_fen", "deductible_fen", "fund_fen")
    scene.checks.equal("the fund pays what pencil and paper say 手工核算一致", tuple(view[n] for n in names), expected)


def _sum(lines: Sequence[Line], item_class: str) -> int:
    return sum(line.amount_fen for line in lines if line.item.item_class == item_class)


def _rounded(amount_fen: Decimal) -> int:
    return int(amount_fen.quantize(Decimal(1), ROUND_HALF_UP))


async def _show_views(scene: Scene, settled: Accepted) -> None:
    """The facility, the care agency, the clearing agency, the home agency: each sees the bill in its own book."""
    chain = scene.regions.chain(settled.view["care_region"], settled.view["home_region"])
    callers = [scene.facility(settled.facility_code), *map(scene.services.finance, chain)]
    path = f"/v1/bills/{settled.settlement_id}"
    await until("the bill is booked", lambda: _answers(callers[0], path))
    rows, sums = [], []
    for title, caller in zip(
        ("定点机构 facility", "就医地 care", "清算 clearing", "参保地 home"), callers, strict=True
    ):
        bill = await caller.get("settlement", path)
        own = [entry for entry in bill["entries"] if entry["book"] == caller.party]
        sums.append(sum(entry["amount_fen"] for entry in own))
        waited = datetime.fromisoformat(bill["booked_at"]) - datetime.fromisoformat(bill["settled_at"])
        rows += [
            (
                title,
                scene.name(caller.party),
                f"{'Dr 借' if entry['amount_fen'] > 0 else 'Cr 贷'} {entry['account_kind']}",
                scene.name(entry["counterparty"]) if entry["counterparty"] else entry["fund_pay_type"],
                yuan(abs(entry["amount_fen"])),
                f"{waited.total_seconds() * 1000:.0f}",
            )
            for entry in own
        ]
    columns = ("party", "", "account", "with", "yuan", "ms after")
    scene.stage.table("四方视图 Every party's book of this bill", columns, rows, right=(4, 5))
    scene.checks.equal("four parties, and each book balances 借贷平衡", sums, [0, 0, 0, 0])


async def _answers(caller: Caller, path: str) -> bool:
    return (await caller.ask("GET", "settlement", path, refusable=True)).status == 200


async def _show_notices(scene: Scene, his: Caller, settled: Accepted) -> None:
    """The patient's text message, at the carrier; the hospital's inbox."""
    inbox = await his.pages("notification", "/v1/inbox")
    for message in inbox[:2]:
        scene.stage.say(f"收件箱 inbox of the hospital: {message['text']}")
    scene.checks.holds("the hospital was told of its agreement 协议通知", bool(inbox), "an empty inbox")
    if scene.sms_file is None:
        scene.stage.say("短信 text messages go to a carrier elsewhere")
        return
    file, phone = scene.sms_file, scene.world.story.person.phone

    async def arrived() -> bool:
        return any(yuan(settled.view["fund_fen"]) in text for text in _texts(file, phone))

    await until("the patient's text message", arrived)
    for text in _texts(file, phone):
        scene.stage.say(f"短信 text message: {text}")


def _texts(file: Path, phone: str) -> list[str]:
    """The texts to a phone that the carrier has taken."""
    if not file.exists():
        return []
    messages = (json.loads(line) for line in file.read_text(encoding="utf-8").splitlines())
    return [message["text"] for message in messages if message["phone"] == phone]


async def check_trace(scene: Scene, trace: Trace, services: set[str], steps: set[str]) -> None:
    """Print the link of a trace, and check in the trace store that it crosses these services and has these spans."""
    if scene.traces is None:
        scene.stage.say("traces go elsewhere, by the OTEL_ variables")
        return
    store = scene.traces
    spans: list[Span] = []

    async def complete() -> bool:
        spans[:] = await store.spans(trace)
        return services <= {s.service for s in spans} and steps <= {s.name for s in spans}

    try:
        await until("the trace is complete", complete, within_s=20, every_s=0.5)
    except UnexpectedAnswer:
        scene.stage.say(f"{len(spans)} spans came")
    found = {s.service for s in spans} | {s.name for s in spans}
    scene.checks.none("the bill is one trace through all services 一单一链路", sorted((services | steps) - found))
    personal = [s for s in (scene.world.story.person.identity_number, scene.world.story.person.name) if s in str(spans)]
    scene.checks.none("its spans hold nothing personal", [f"{len(personal)} values"] if personal else [])
    scene.stage.say(f"链路 trace of {len(spans)} spans: {store.link(trace)}")
