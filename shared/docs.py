"""Generated documents: event schemas, AsyncAPI, catalogues of events, errors, telemetry and settings, OpenAPI.

`python -m shared.docs` writes them under `docs/`; `--check` compares and fails with a line for each that is stale. An
event schema is never overwritten by one that would break its readers: such a change needs a new version of the event.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic_settings import BaseSettings

from shared import keys, telemetry
from shared.events import EVENTS, dead_letter_topic, topic_of
from shared.policy import loading
from shared.refusals import CATALOGUE
from shared.service import Parts, Process, base_of
from shared.settings import SERVICES, Settings

DOCS = Path(__file__).resolve().parent.parent / "docs"

Schema = dict[str, Any]


def event_schemas() -> dict[str, Schema]:
    """The JSON Schema of every event, by type name."""
    return {name: {"$id": f"urn:{name}", **kind.model_json_schema()} for name, kind in EVENTS.items()}


def breaking_changes(old: Mapping[str, Any], new: Mapping[str, Any], where: str = "") -> list[str]:
    """What in `new` a reader or writer of `old` could not live with, one line each. Additions with a default pass."""
    lines = []
    before, after = old.get("properties", {}), new.get("properties", {})
    lines += [f"{where}{name}: removed" for name in before if name not in after]
    for name in sorted(set(new.get("required", ())) - set(old.get("required", ()))):
        lines.append(f"{where}{name}: " + ("required now" if name in before else "added without a default"))
    lines += [f"{where}{name}: no longer sure to be there" for name in _no_longer_sure(old, new, after)]
    for name in before.keys() & after.keys():
        if _meaning(before[name]) != _meaning(after[name]):
            lines.append(f"{where}{name}: {_meaning(before[name])} became {_meaning(after[name])}")
    for name, definition in old.get("$defs", {}).items():
        lines += breaking_changes(definition, new.get("$defs", {}).get(name, {}), f"{where}{name}.")
    return sorted(lines)


def _no_longer_sure(old: Mapping[str, Any], new: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    return [n for n in old.get("required", ()) if n in after and n not in new.get("required", ())]


def _meaning(schema: Mapping[str, Any]) -> str:
    """What decides whether a value fits: types and formats, not words or defaults."""
    kept = {k: v for k, v in schema.items() if k not in ("title", "description", "default", "examples")}
    return json.dumps(kept, sort_keys=True)


def asyncapi() -> Schema:
    """The AsyncAPI 3 document of all topics."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Sifang events",
            "version": "1",
            "description": "CloudEvents 1.0, binary content mode: attributes in headers `ce_*`, JSON in the value.",
        },
        "defaultContentType": "application/json",
        "channels": {service: _channel(service) for service in SERVICES},
        "operations": {
            f"announce_{service}": {"action": "send", "channel": {"$ref": f"#/channels/{service}"}}
            for service in SERVICES
        },
        "components": {
            "messages": {name.rpartition("sifang.")[2]: _message(name) for name in EVENTS},
            "messageTraits": {"cloudEvent": {"headers": _HEADERS}},
        },
    }


_HEADERS: Schema = {
    "type": "object",
    "required": ["ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time"],
    "properties": {
        "ce_specversion": {"type": "string", "const": "1.0"},
        "ce_id": {"type": "string", "description": "The event's id: a receiver keeps it to know a second copy."},
        "ce_source": {"type": "string"},
        "ce_type": {"type": "string"},
        "ce_time": {"type": "string", "format": "date-time"},
        "traceparent": {"type": "string", "description": "W3C trace context."},
    },
}


def _channel(service: str) -> Schema:
    own = [name for name, kind in EVENTS.items() if kind.announcer == service]
    short = [name.rpartition("sifang.")[2] for name in own]
    return {
        "address": topic_of(service),
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in short},
    }


def _message(name: str) -> Schema:
    kind = EVENTS[name]
    return {
        "name": name,
        "summary": _first_line(kind.__doc__),
        "traits": [{"$ref": "#/components/messageTraits/cloudEvent"}],
        "payload": {
            "schemaFormat": "application/schema+json;version=draft-2020-12",
            "schema": {"$ref": f"events/{name}.json"},
        },
    }


def _first_line(text: str | None) -> str:
    return (text or "").strip().splitlines()[0]


def parts_of_all() -> dict[str, Parts]:
    """The parts of every service, built without connecting to anything."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(secrets_dir=Path(folder))
        keys.init(settings.secrets_dir)
        return {s: importlib.import_module(f"services.{s}.app").make(base_of(settings, s)) for s in SERVICES}


def _events_md(parts: Mapping[str, Parts]) -> str:
    lines = ["# Events", "", _GENERATED, ""]
    lines += ["| event | what happened | announced on | heard by |", "|---|---|---|---|"]
    for name, kind in EVENTS.items():
        heard = [s for s, p in parts.items() if kind in p.handlers]
        lines.append(
            f"| [`{name}`](events/{name}.json) | {_first_line(kind.__doc__)} | `{topic_of(kind.announcer)}` |"
            f" {', '.join(heard) or 'partners'} |"
        )
    lines += ["", "What a service cannot handle goes to its dead-letter topic:", ""]
    lines += [f"- {s}: `{dead_letter_topic(s)}`" for s in SERVICES]
    return "\n".join(lines) + "\n"


def _errors_md() -> str:
    lines = ["# Refusals", "", _GENERATED, ""]
    lines += ["Every problem document names one of these codes, and in `errors` all that apply at once.", ""]
    lines += ["| code | HTTP | 中文 | English |", "|---|---|---|---|"]
    lines += [f"| `{k.code}` | {k.status} | {k.zh} | {k.en} |" for _, k in sorted(CATALOGUE.items())]
    return "\n".join(lines) + "\n"


def _telemetry_md() -> str:
    lines = ["# Traces and metrics", "", _GENERATED, ""]
    lines += ["Dashboards are built on these names: they change like an interface does. No value is personal data.", ""]
    for title, names in (
        ("Spans", telemetry.SPANS),
        ("Span attributes", telemetry.ATTRIBUTES),
        ("Metrics", telemetry.METRICS),
    ):
        lines += [
            f"## {title}",
            "",
            "| name | meaning |",
            "|---|---|",
            *(f"| `{n}` | {m} |" for n, m in names.items()),
            "",
        ]
    return "\n".join(lines)


def _settings_classes() -> Iterator[type[BaseSettings]]:
    yield Settings
    for service in SERVICES:
        module = importlib.import_module(f"services.{service}.config")
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, BaseSettings) and value.__module__ == module.__name__:
                yield value


def _settings_md() -> str:
    lines = ["# Settings", "", _GENERATED, ""]
    lines += ["Read from the environment. Ports and addresses: `SIFANG_<SERVICE>_PORT`, `SIFANG_<SERVICE>_URL`.", ""]
    lines += ["| variable | default | meaning |", "|---|---|---|"]
    for kind in _settings_classes():
        prefix = str(kind.model_config.get("env_prefix", ""))
        docs = _attribute_docs(kind)
        for name, field in kind.model_fields.items():
            default = "" if field.default is None else str(field.default)
            lines.append(f"| `{prefix}{name.upper()}` | `{default}` | {docs.get(name, '')} |")
    return "\n".join(lines) + "\n"


def _attribute_docs(kind: type) -> dict[str, str]:
    """The sentences under a class's attributes."""
    import ast
    import inspect
    import textwrap

    body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    found: dict[str, str] = {}
    last = ""
    for node in getattr(body, "body", ()):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            last = node.target.id
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and last:
            found[last], last = " ".join(str(node.value.value).split()), ""
    return found


def _interface_md(parts: Mapping[str, Parts]) -> str:
    lines = ["# National interface", "", _GENERATED, ""]
    lines += ["Which operation stands for which transaction (交易) of the national interface.", ""]
    lines += ["| transaction | operation | service | what |", "|---|---|---|---|"]
    rows = []
    for service, part in parts.items():
        for router in part.routers:
            for route in router.routes:
                number = (getattr(route, "openapi_extra", None) or {}).get("x-national-interface")
                method = next(iter(getattr(route, "methods", ())))
                description = _first_line(getattr(route, "description", ""))
                rows += [
                    f"| {one} | `{method} {getattr(route, 'path', '')}` | {service} | {description} |"
                    for one in (number or "").split()
                ]
    return "\n".join([*lines, *sorted(rows)]) + "\n"


def _openapi(part: Parts) -> Schema:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(secrets_dir=Path(folder))
        return Process(base_of(settings, part.name), part).app.openapi()


_GENERATED = "<!-- Generated by `make docs`; do not edit. -->"


def generate() -> dict[str, str]:
    """Every generated document: path below `docs/` → text."""
    parts = parts_of_all()
    documents = {f"events/{name}.json": _json(schema) for name, schema in event_schemas().items()}
    documents["asyncapi.json"] = _json(asyncapi())
    documents["events.md"] = _events_md(parts)
    documents["errors.md"] = _errors_md()
    documents["telemetry.md"] = _telemetry_md()
    documents["settings.md"] = _settings_md()
    documents["national-interface.md"] = _interface_md(parts)
    documents |= {name: _json(schema) for name, schema in loading.schemas().items()}
    documents |= {f"openapi/{service}.json": _json(_openapi(part)) for service, part in parts.items()}
    return documents


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def _broken(documents: Mapping[str, str]) -> list[str]:
    """Lines that say which committed event schemas would be broken."""
    lines = []
    for path, text in documents.items():
        committed = DOCS / path
        if path.startswith("events/") and committed.exists():
            changes = breaking_changes(json.loads(committed.read_text("utf-8")), json.loads(text))
            lines += [f"breaking change in {path}: {change}; make it a new version instead" for change in changes]
    gone = {p.relative_to(DOCS).as_posix() for p in (DOCS / "events").glob("*.json")} - set(documents)
    return lines + [f"breaking change: {path} has no event any more" for path in sorted(gone)]


def main(arguments: list[str]) -> None:
    """Write the documents, or with --check compare them."""
    parser = argparse.ArgumentParser(prog="python -m shared.docs", description=main.__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args(arguments).check
    documents = generate()
    wrong = _broken(documents)
    for path, text in documents.items():
        file = DOCS / path
        if check and (not file.exists() or file.read_text("utf-8") != text):
            wrong.append(f"stale: docs/{path}; run `make docs`")
        elif not check and not wrong:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, "utf-8")
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main(sys.argv[1:])
