"""Made-up people: valid identity numbers and distinct data, so that no two tests meet the same person."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from stdnum.cn import ric

HOME, NEIGHBOUR, CITY, FAR = "411603", "411602", "411600", "341700"
FACILITY = "H41160200001"
PAPERS = {
    "retired_settled": ["identity_card", "filing_form", "settlement_proof"],
    "long_term_resident": ["insurance_card", "filing_form", "residence_proof"],
    "posted_worker": ["identity_card", "filing_form", "work_contract"],
    "referral": ["identity_card", "filing_form", "referral_proof"],
}
COLUMNS = "identity_number,name,phone,bank_account,insutype,psn_type,region,valid_from,valid_to"

_numbers = itertools.count(1)
_FAMILY = "赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨"
_GIVEN = "春夏秋冬梅兰竹菊山河江海松柏云雷"


def identity_number() -> str:
    """A valid identity number nobody else has: of a division of Jiangsu that no place was ever given."""
    number = next(_numbers)
    first = f"329999{1930 + number % 80}{1 + number // 80 % 12:02d}{1 + number // 960 % 28:02d}{number // 26_880:03d}"
    return first + str(ric.calc_check_digit(first + "0"))


def person(**changed: Any) -> dict[str, Any]:
    """The body that enrols a new person, employed in Huaiyang since 2026."""
    number = next(_numbers)
    name = _FAMILY[number % 16] + _GIVEN[number // 16 % 16] + _GIVEN[number // 256 % 16]
    body = {
        "identity_number": identity_number(),
        "name": name,
        "phone": f"138{number:08d}",
        "bank_account": f"62220{number:014d}",
        "insurance": insurance(),
    }
    return {**body, **changed}


def insurance(**changed: Any) -> dict[str, Any]:
    """An insurance of an employee of Huaiyang since 2026."""
    return {"insutype": "310", "psn_type": "11", "region": HOME, "valid_from": "2026-01-01", **changed}


def csv(*people: dict[str, Any]) -> str:
    """The import file that states some people, each with one insurance."""
    return "\n".join([COLUMNS, *map(csv_line, people), ""])


def csv_line(body: dict[str, Any]) -> str:
    """The line of an import that states what the body of an enrolment states."""
    stated = {**body, **body["insurance"]}
    return ",".join(str(stated.get(column) or "") for column in COLUMNS.split(","))


def personal_texts(*people: dict[str, Any]) -> Sequence[str]:
    """Everything about some people that must not be read anywhere."""
    return [str(p[key]) for p in people for key in ("identity_number", "name", "phone", "bank_account") if p.get(key)]
