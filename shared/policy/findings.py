"""The codes of all that can be said of a pack or a case, with their meaning. A code never changes its meaning."""

from __future__ import annotations

from typing import Final

FINDINGS: Final[dict[str, tuple[str, str]]] = {
    # reading
    "pack.file": ("文件或文件夹不能读取", "a file or folder cannot be read, or a link leads out of the folder"),
    "pack.too-large": ("超过大小、深度、项数上限", "beyond a limit of bytes, depth, values or what is told apart"),
    "pack.too-many": ("问题过多，只列出前面的", "more findings than are told"),
    "pack.encoding": ("不是 UTF-8,或有控制字符", "not UTF-8, or a control character"),
    "pack.tab": ("制表符", "a tab"),
    "pack.empty": ("空文件", "an empty file"),
    "pack.yaml": ("不是朴素的 YAML", "not YAML, or anchors, aliases, tags, merge keys, directives"),
    "pack.duplicate-key": ("同一键写了两次", "a key twice in one place, or a single value in two files"),
    "pack.number": ("数过大、小数过多或写法不对", "a number too large, too fine, or not written plainly"),
    "pack.date": ("没有这一天，或写法不对", "a day that is none, or not written as 2025-01-31"),
    # form
    "pack.unknown-key": ("未知的键", "a key that means nothing here"),
    "pack.missing-key": ("缺少键", "a key that must be there"),
    "pack.type": ("值的种类不对", "a value of another kind than expected"),
    "pack.value": ("值不合要求", "a value that is not allowed"),
    # the pack as a whole
    "pack.dates": ("止日早于起日", "ends before it begins"),
    "pack.periods": ("版本期间重叠或中断", "versions overlap, or leave days out"),
    "pack.author": ("没有编写人", "no author"),
    "pack.four-eyes": ("审核人就是编写人", "the reviewer is the author"),
    "pack.nothing": ("没有内容", "neither benefits nor calculations, or a benefit that neither pays nor refuses"),
    "pack.duplicate": ("重复", "an id, a name or a word that stands there already"),
    "pack.unused": ("未被引用的条款", "a clause that no rule names"),
    "pack.unknown-clause": ("没有此条款", "a clause that is not there"),
    "pack.clause-words": ("条款没有文号或原文", "a clause without document or words"),
    # facts and conditions
    "pack.unknown-fact": ("未知的事实", "a fact neither standard nor declared"),
    "pack.unknown-word": ("未声明的值", "a word that the fact's declaration does not have"),
    "pack.fact-kind": ("事实的种类不符", "a word where the fact is a number, and the like"),
    "pack.fact-of": ("事实归属不对", "of person, bill or line"),
    "pack.range": ("范围为空或写法不对", "a range of numbers that is empty or contradicts itself"),
    "pack.condition": ("条件写法不对", "a condition that is none"),
    # formulas and figures
    "pack.formula": ("公式不能读取", "a formula that cannot be read"),
    "pack.unknown-name": ("公式中未知的名称", "a name in a formula that is not known there"),
    "pack.cycle": ("公式用到自己或其后的量", "a formula that names itself or what comes later"),
    "pack.division-by-zero": ("除数为零", "a division by zero"),
    "pack.figure": ("数值规则写法不对", "a rule for a figure that is not whole"),
    "pack.table": ("表的行不对", "a row of a table that does not fit its fact"),
    "pack.ratio": ("比例不在0到1之间", "a ratio outside 0 to 1, as written or once adjusted"),
    "pack.negative": ("金额为负", "a negative amount"),
    "pack.decimals": ("小数过多", "more decimals than money has"),
    # rules
    "pack.no-items": ("没有目录规则", "a benefit for which there are no item rules"),
    "pack.item": ("目录规则写法不对", "an item rule that is not whole"),
    "pack.unknown-step": ("没有此步骤", "a result that is no step of the calculation"),
    "pack.layer": ("层的写法不对", "a layer that does not say what or who pays, or says it twice"),
    "pack.fund": ("基金支付类型代码不对", "a fund that is no code of six or eight digits"),
    "pack.tiers": ("分段不递增或不封口", "bands out of order, or the last one closed"),
    "pack.counter": ("累计用于两种用途", "a counter that runs for two kinds of things"),
    "pack.shared-counter": ("两个待遇无意共用累计", "two benefits in one counter by their layers' names"),
    "pack.never-bites": ("永不起作用的限额或分段", "a cap or band that constants keep from ever mattering"),
    # all cases there are
    "pack.two-rules": ("两条规则同时适用", "a case that two rules fit"),
    "pack.gap": ("表或情形有遗漏", "a case that no row or case of a figure fits"),
    "pack.uncovered": ("没有规则适用", "a person, bill or line that no rule covers"),
    "pack.dead": ("永远用不到的规则", "a rule that no case can reach, or that has no effect"),
    "pack.not-checked": ("组合过多，未能查完", "too many combinations to look at all"),
    # cases
    "case.nothing": ("案例没有内容", "a case with neither bill nor question"),
    "case.duplicate": ("案例中重复", "an id that stands there already"),
    "case.dates": ("账单止日早于起日", "a bill that ends before it begins"),
    "case.negative": ("金额为负", "an amount that must not be negative"),
    "case.decimals": ("小数过多", "more decimals than the amount may have"),
    "case.ratio": ("比例不在0到1之间", "a ratio outside 0 to 1"),
    "case.parts": ("各部分超过金额", "parts of a line that are more than the line"),
    "case.counter": ("累计写法不对", "a counter that is not written name@period"),
    "case.unknown-bill": ("此前没有这张账单", "a reversal of a bill that does not stand before it"),
    "case.reversal": ("冲正写法不对", "a reversal with lines of its own, or of a bill that is reversed already"),
    "case.formula": ("期望的公式不能读取", "an expectation that cannot be read"),
    "case.unknown-counter": ("政策包没有此累计", "a counter that the pack does not have"),
    "case.unknown-layer": ("没有此 given 层", "an amount paid by a layer that is not given"),
    "case.unknown-calculation": ("没有此计算", "a calculation that the pack does not have"),
    "case.unknown-input": ("没有此输入", "an input that the calculation does not need"),
    "case.input-missing": ("缺少输入", "an input that the calculation needs"),
}
"""By code, in zh and en."""
