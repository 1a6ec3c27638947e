"""The facilities of the made-up region: every kind and level, around Zhoukou, in its neighbour city and far away."""

from __future__ import annotations

from dataclasses import dataclass

HOSPITAL, CLINIC, DRUGSTORE = "hospital", "clinic", "pharmacy"


@dataclass(frozen=True, slots=True)
class Facility:
    """A designated facility (定点医药机构)."""

    code: str
    name: str
    kind: str
    level: str
    """Deductible level: 3 city hospital, 2 county hospital, 1 township, 9 without."""
    region: str
    share: int
    """How busy it is: its part of all bills, relative to the others."""

    def body(self) -> dict[str, str]:
        """How it is registered."""
        return {"code": self.code, "name": self.name, "kind": self.kind, "level": self.level, "region": self.region}

    def agreement_body(self, year: int) -> dict[str, str]:
        """How an agreement is drafted that holds all through a year, and for stays that began in the one before."""
        return {"facility_code": self.code, "valid_from": f"{year - 1}-07-01", "valid_to": f"{year + 1}-06-30"}


FACILITIES: tuple[Facility, ...] = (
    Facility("H41160000001", "周口示例中心医院", HOSPITAL, "3", "411600", 16),
    Facility("H41160200001", "川汇示例中医院", HOSPITAL, "3", "411602", 11),
    Facility("H41160300001", "淮阳示例人民医院", HOSPITAL, "2", "411603", 14),
    Facility("H41162800001", "鹿邑示例人民医院", HOSPITAL, "2", "411628", 12),
    Facility("H41162700001", "太康示例人民医院", HOSPITAL, "2", "411627", 9),
    Facility("H41168100001", "项城示例人民医院", HOSPITAL, "2", "411681", 8),
    Facility("H41160300011", "淮阳示例乡卫生院", HOSPITAL, "1", "411603", 6),
    Facility("H41162800011", "鹿邑示例镇卫生院", HOSPITAL, "1", "411628", 5),
    Facility("C41162500001", "郸城示例诊所", CLINIC, "9", "411625", 4),
    Facility("P41160200001", "川汇示例大药房", DRUGSTORE, "9", "411602", 7),
    Facility("P41160300001", "淮阳示例大药房", DRUGSTORE, "9", "411603", 6),
    Facility("H41130200001", "宛城示例医院", HOSPITAL, "3", "411302", 3),
    Facility("H34170200001", "贵池示例医院", HOSPITAL, "3", "341702", 3),
    Facility("H43010200001", "芙蓉示例医院", HOSPITAL, "3", "430102", 3),
)
"""Made-up names in real divisions."""
