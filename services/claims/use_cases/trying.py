"""Trying a version of a policy pack: reading it as a page, comparing it with another, running a case."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from services.claims import errors
from services.claims.store.policies import PackRow
from services.claims.use_cases import policies
from services.claims.use_cases.parts import Claims
from shared.policy import diff, show
from shared.policy.answers import case_json
from shared.policy.case import run_case
from shared.policy.document import PackDocument
from shared.policy.engine import Policy
from shared.policy.loading import load_case
from shared.policy.words import Language
from shared.refusals import Refused


def shown(files: Mapping[str, str], language: str) -> str:
    """The pack as a page."""
    return show.as_html(policies.read(files), cast(Language, language))


async def old_document(claims: Claims, new: PackRow, against: str | None) -> PackDocument:
    """The version to compare with: that of `against` (a proposal), else the one that holds before the new one begins.

    Raises Refused.
    """
    if against is not None:
        return policies.read((await policies.get(claims.database, against)).files)
    found = claims.policies.book.policy(new.pack, new.valid_from)
    if found is None:
        raise Refused(errors.POLICY_UNKNOWN())
    return found.document


def compared(old: PackDocument, new: Mapping[str, str], language: str) -> dict[str, Any]:
    """What changes for whom."""
    return diff.as_json(diff.difference(old, policies.read(new), cast(Language, language)))


def run(files: Mapping[str, str], case: str) -> list[dict[str, Any]]:
    """What the cases of a file come to. Raises Refused with everything wrong in it."""
    with tempfile.TemporaryDirectory(prefix="sifang-case-") as name:
        folder = Path(name)
        path = folder / "case.yaml"
        path.write_text(case, encoding="utf-8")
        cases, issues = load_case(path)
    wrong = [policies.fault(issue, "/case", folder) for issue in issues if issue.error]
    if wrong:
        raise Refused(*wrong)
    policy = Policy(policies.read(files))
    return [case_json(run_case(policy, one)) for one in cases]
