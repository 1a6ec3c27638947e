"""From files to a policy pack or cases: read, put together, formed, checked. Bad content is told, never raised."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from shared.policy import checking
from shared.policy.document import Case, PackDocument
from shared.policy.form import formed
from shared.policy.issues import Issue as Issue
from shared.policy.issues import Place, in_order, issue_at
from shared.policy.source import (
    MAX_FOLDER_BYTES,
    Read,
    Unreadable,
    put_together,
    read_text,
    text_of,
    too_large,
    value_place,
    yaml_files,
)

_MERGED: Final = frozenset({"clauses", "facts", "figures"})
"""The keys of a pack whose mappings may be spread over several files."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A pack that was read. `document` is None when any issue is an error: such a pack is never run."""

    document: PackDocument | None
    issues: tuple[Issue, ...]
    valid_at: Place | None = None
    """Where its days are written, for what is said of versions side by side."""

    @property
    def ok(self) -> bool:
        """Whether it can be run."""
        return self.document is not None


def load_pack(path: Path) -> Loaded:
    """Read and check the pack in a folder of .yaml files or in one file. Never raises for bad content."""
    try:
        read = _pack_tree(path)
    except Unreadable as unreadable:
        return Loaded(None, (unreadable.issue,))
    document, issues = formed(PackDocument, read.root)
    issues += read.issues
    if document is not None and not issues:
        issues = checking.check(document, read.root)
    failed = any(issue.error for issue in issues)
    return Loaded(None if failed else document, in_order(issues), value_place(read.root, ("valid",)))


def load_case(path: Path) -> tuple[list[Case], tuple[Issue, ...]]:
    """Read the cases of a file, which holds one or a list of them; none when there is an error."""
    try:
        read = read_text(text_of(path), str(path))
    except Unreadable as unreadable:
        return [], (unreadable.issue,)
    several = isinstance(read.root.value, list)
    nodes = read.root.value if isinstance(read.root.value, list) else [read.root]
    cases: list[Case] = []
    issues = list(read.issues)
    if not nodes:
        issues.append(issue_at(read.root.place, "case.nothing", "没有案例", "there is no case"))
    for node in nodes:
        case, wrong = formed(Case, node)
        issues += wrong or (checking.check_case(case, node) if not read.issues else [])
        cases += [case] if case is not None else []
    if several:
        issues += checking.check_case_ids(cases, read.root)
    failed = any(issue.error for issue in issues)
    return [] if failed else cases, in_order(issues)


def _pack_tree(path: Path) -> Read:
    if not path.is_dir():
        read = read_text(text_of(path), str(path))
        whole = put_together([read.root], _MERGED)
        return Read(whole.root, read.issues)
    reads = _parts(path)
    whole = put_together([read.root for read in reads], _MERGED)
    return Read(whole.root, whole.issues + [issue for read in reads for issue in read.issues])


def _parts(folder: Path) -> list[Read]:
    reads = []
    size = 0
    for file in yaml_files(folder):
        text = text_of(file)
        size += len(text)
        if size > MAX_FOLDER_BYTES:
            raise too_large(folder, MAX_FOLDER_BYTES)
        reads.append(read_text(text, str(file)))
    return reads


# -------------------------------------------------------------------------------------------------- schema


def pack_schema() -> dict[str, Any]:
    """The JSON Schema of a pack."""
    return _schema(PackDocument, "policy-pack")


def case_schema() -> dict[str, Any]:
    """The JSON Schema of a case file: one case, or a list of them."""
    schema = _schema(Case, "policy-case")
    definitions = schema.pop("$defs")
    frame = {key: schema.pop(key) for key in ("$schema", "$id", "title")}
    definitions["Case"] = schema
    either = [{"$ref": "#/$defs/Case"}, {"type": "array", "items": {"$ref": "#/$defs/Case"}, "minItems": 1}]
    return {**frame, "anyOf": either, "$defs": definitions}


def schemas() -> dict[str, dict[str, Any]]:
    """Both schemas by the name of their document under `docs/`."""
    return {"policy-pack.schema.json": pack_schema(), "policy-case.schema.json": case_schema()}


def _schema(model: type[BaseModel], name: str) -> dict[str, Any]:
    schema = model.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"urn:sifang:{name}", **schema}
