"""The facts a rule may ask about: each has one name, a kind, and a 中文 term. A pack may declare further ones."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

UNIT_PRICE: Final = "unit_price"
"""The fact of a line that is counted from its amount and quantity when nobody says it."""


class Kind(StrEnum):
    """What the value of a fact is."""

    WORD = "word"
    """One word out of a list, such as the level 三级."""
    WORDS = "words"
    """Any number of words at once, such as marks; a condition holds when one of its words is among them."""
    NUMBER = "number"
    FLAG = "flag"


class Of(StrEnum):
    """What a fact is about, that is, where a case writes it."""

    PERSON = "person"
    BILL = "bill"
    LINE = "line"


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact of the standard vocabulary."""

    name: str
    kind: Kind
    of: Of
    zh: str
    en: str


STANDARD: dict[str, Fact] = {
    fact.name: fact
    for fact in (
        Fact("scheme", Kind.WORD, Of.PERSON, "险种", "scheme: 职工, 居民, 生育, 惠民保, 长护 …"),
        Fact("group", Kind.WORD, Of.PERSON, "人员类别", "group of persons: 在职, 退休, 成年, 学生 …"),
        Fact("marks", Kind.WORDS, Of.PERSON, "身份标识", "marks of the person: 特困, 低保, 公务员 …"),
        Fact("age", Kind.NUMBER, Of.PERSON, "年龄", "age in whole years on the day that decides"),
        Fact("sex", Kind.WORD, Of.PERSON, "性别", "sex: 男, 女"),
        Fact("years_paid", Kind.NUMBER, Of.PERSON, "缴费年限", "years of contributions"),
        Fact("care", Kind.WORD, Of.BILL, "医疗类别", "kind of care: 住院, 门诊, 慢特病, 购药, 生育, 长护 …"),
        Fact("level", Kind.WORD, Of.BILL, "医院级别", "level of the facility: 三级, 二级, 一级, 社区 …"),
        Fact("facility_kind", Kind.WORD, Of.BILL, "机构类别", "kind of facility: 医院, 药店 …"),
        Fact("contracted", Kind.FLAG, Of.BILL, "签约", "signed with this facility or its family doctor"),
        Fact("remote", Kind.WORD, Of.BILL, "异地", "本地, 统筹区内, 长期备案, 转诊, 急诊, 未备案"),
        Fact("emergency", Kind.FLAG, Of.BILL, "急诊", "whether it is an emergency"),
        Fact("transfer", Kind.FLAG, Of.BILL, "转院", "whether the stay continues one in another hospital"),
        Fact("interim", Kind.FLAG, Of.BILL, "中途结算", "whether it is an interim settlement of a stay"),
        Fact("admission_no", Kind.NUMBER, Of.BILL, "住院次数", "which admission of the year this is, from 1"),
        Fact("days", Kind.NUMBER, Of.BILL, "天数", "days of care"),
        Fact("disease", Kind.WORD, Of.BILL, "病种", "the disease a benefit is granted for"),
        Fact("birth", Kind.WORD, Of.BILL, "分娩方式", "顺产, 难产, 剖宫产, 流产 …"),
        Fact("liability", Kind.WORD, Of.BILL, "责任", "无, 工伤, 第三方, 第三方未付"),
        Fact("class", Kind.WORD, Of.LINE, "目录类别", "class of an item: 甲, 乙, 丙"),
        Fact(
            UNIT_PRICE, Kind.NUMBER, Of.LINE, "单价", "price of one unit in yuan, counted when the line does not say it"
        ),
        Fact("tag", Kind.WORDS, Of.LINE, "目录标记", "lists an item stands on: 进口植入, 放宽, 特药 …"),
    )
}
"""By name."""
