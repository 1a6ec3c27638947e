"""Whether the cases of a file fit a pack."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from shared.policy.checking import check_fit
from shared.policy.document import Case, PackDocument
from shared.policy.issues import Issue, in_order
from shared.policy.source import Unreadable, read_text, text_of


def misfits(cases: Sequence[Case], document: PackDocument, path: Path) -> tuple[Issue, ...]:
    """What of the cases in a file does not fit the pack, located in the file, which is known to hold these cases."""
    try:
        root = read_text(text_of(path), str(path)).root
    except Unreadable as unreadable:
        return (unreadable.issue,)
    nodes = root.value if isinstance(root.value, list) else [root]
    return in_order(issue for case, node in zip(cases, nodes, strict=True) for issue in check_fit(case, document, node))
