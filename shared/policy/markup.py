"""HTML pages that stand alone and print well: no script, nothing loaded from elsewhere, every text escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from shared.policy.words import Language

_STYLE: Final = """
body{font:14px/1.5 "Noto Sans CJK SC","Microsoft YaHei","PingFang SC",sans-serif;max-width:60rem;margin:2rem auto;
padding:0 1rem;color:#1c2733}
h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:1.6rem;border-bottom:2px solid #2b6777}h3{font-size:1rem}
table{border-collapse:collapse;width:100%;margin:.6rem 0}caption{text-align:left;font-weight:600;padding:.3rem 0}
th,td{border:1px solid #b9c7cd;padding:.25rem .5rem;text-align:left;vertical-align:top}
th{background:#eaf1f3}td.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.note{color:#52616b}.bad{color:#a4262c;font-weight:600}.bar{background:#2b6777;height:.7rem;display:block}
.bar.old{background:#b9c7cd}blockquote{margin:.2rem 0 .6rem;padding-left:.8rem;border-left:3px solid #b9c7cd}
@media print{body{margin:0;max-width:none;font-size:11px}h2{break-after:avoid}tr{break-inside:avoid}}
"""


def page(title: str, language: Language, body: Iterable[str]) -> str:
    """A whole page. `body` is HTML made by the functions of this module."""
    lang = "zh-CN" if language == "zh" else "en"
    return "\n".join(
        (
            "<!DOCTYPE html>",
            f'<html lang="{lang}"><head><meta charset="utf-8">',
            f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>",
            f"<h1>{escape(title)}</h1>",
            *body,
            "</body></html>\n",
        )
    )


def heading(text: str, level: int = 2) -> str:
    """A heading."""
    return f"<h{level}>{escape(text)}</h{level}>"


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph; `kind` is a class of the style, such as note or bad."""
    return f"<p{_kind(kind)}>{escape(text)}</p>"


def quotation(text: str) -> str:
    """Quoted words."""
    return f"<blockquote>{escape(text)}</blockquote>"


def listed(texts: Iterable[str], *, ordered: bool = False) -> str:
    """A list, numbered when `ordered`."""
    tag = "ol" if ordered else "ul"
    return f"<{tag}>{''.join(f'<li>{escape(text)}</li>' for text in texts)}</{tag}>"


def table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, caption: str = "", numeric: frozenset[int] = frozenset()
) -> str:
    """A table; the columns whose places are in `numeric` are set to the right."""
    head = "".join(f"<th>{escape(column)}</th>" for column in columns) if any(columns) else ""
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    body = "".join(_row(row, numeric) for row in rows)
    return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def bar(part: float, kind: str = "") -> str:
    """A bar as wide as `part` (0 to 1) of its place."""
    width = max(0.0, min(1.0, part)) * 100
    return f'<span class="{escape(f"bar {kind}".strip())}" style="width:{width:.1f}%"></span>'


def _row(row: Sequence[str], numeric: frozenset[int]) -> str:
    made = "".join(
        f"<td{_kind('n' if place in numeric else '')}>{escape(text).replace(chr(10), '<br>')}</td>"
        for place, text in enumerate(row)
    )
    return f"<tr>{made}</tr>"


def _kind(kind: str) -> str:
    return f' class="{escape(kind)}"' if kind else ""
