"""Telling how a settlement came about: its stored record, never a second calculation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from services.claims import errors
from services.claims.rules.benefit import unpack_steps
from services.claims.store import settlements
from services.claims.store.settlements import SettlementRow
from services.claims.use_cases import policies
from services.claims.use_cases.parts import Claims
from shared.auth import Principal, Role
from shared.database import Connection
from shared.policy.decision import Step
from shared.policy.document import PackDocument
from shared.policy.explain import cited, explain
from shared.policy.page import explanation_page
from shared.policy.record import machine
from shared.policy.sentences import Reader
from shared.policy.telling import Block
from shared.policy.words import Language
from shared.refusals import Refused


@dataclass(frozen=True, slots=True)
class Found:
    """A settlement, the record of its calculation, and the pack that decided it."""

    row: SettlementRow
    steps: tuple[Step, ...]
    document: PackDocument


@dataclass(frozen=True, slots=True)
class Told:
    """An explanation for one reader."""

    lines: list[str]
    steps: list[dict[str, Any]]
    clauses: dict[str, str]


async def find(claims: Claims, principal: Principal, settlement_id: str) -> Found:
    """A settlement's record. Raises Refused; another party's settlement is as unknown as none."""
    async with claims.database.read() as reader:
        row = await settlements.get(reader, settlement_id)
        if row is None or not _may_read(claims, principal, row):
            raise Refused(errors.SETTLEMENT_UNKNOWN())
        working = await settlements.working_of(reader, settlement_id)
        if working is None:
            raise Refused(errors.WORKING_UNKNOWN())
        document = await _document(reader, claims, row.policy)
    return Found(row, unpack_steps(working.steps), document)


async def _document(reader: Connection, claims: Claims, name: str) -> PackDocument:
    pack, _, version = name.partition("@")
    policy = claims.policies.book.version(pack, version)
    document = policy.document if policy is not None else await policies.document_of(reader, pack, version)
    if document is None:
        raise RuntimeError(f"the policy {name} is gone")
    return document


def _may_read(claims: Claims, principal: Principal, row: SettlementRow) -> bool:
    if principal.role is Role.FACILITY:
        return row.facility_code == principal.party
    regions = claims.regions
    return principal.party in regions and any(
        region in regions and regions.covers(principal.party, region) for region in (row.home_region, row.care_region)
    )


def tell(found: Found, reader: Reader, language: str) -> Told:
    """The record in sentences, or step by step for a machine."""
    if reader == "machine":
        clauses = list(dict.fromkeys(name for step in found.steps for name in step.clauses))
        return Told([], machine(found.steps), _words(found, clauses))
    blocks = _blocks(found, reader, language)
    return Told([told.text for block in blocks for told in block.told], [], _words(found, cited(blocks)))


def page(found: Found, reader: Reader, language: str) -> str:
    """The record as a page to print."""
    title = "待遇计算说明" if language == "zh" else "How this settlement came about"
    blocks = _blocks(found, "officer" if reader == "machine" else reader, language)
    return explanation_page(f"{title} {found.row.settlement_id}", blocks, found.document, cast(Language, language))


def _blocks(found: Found, reader: Reader, language: str) -> list[Block]:
    return explain(found.steps, found.document, reader, cast(Language, language))


def _words(found: Found, names: list[str]) -> dict[str, str]:
    clauses = found.document.clauses
    return {name: clauses[name].words for name in names if name in clauses}
