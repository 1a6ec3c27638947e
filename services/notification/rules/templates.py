"""Message templates: data, checked whole when they are loaded, and the words they become.

A placeholder `{field}` is a field of the event, written by its kind: amounts in yuan, codes as names, values with
declared labels in the reader's language. `{name}` is the person's masked name, known only at the moment of sending.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal, TypeAlias

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.notification.rules.audiences import NEEDED_FIELDS, Audience
from services.notification.rules.delivery import Channel
from shared.events import EVENTS, Event
from shared.money import yuan
from shared.regions import RegionTree

Language: TypeAlias = Literal["zh", "en"]

NAME: Final = "name"
"""The one placeholder that is not a field of the event."""

ABSENT: Final = "absent"
"""The label of a field without a value."""

_PLACEHOLDER: Final = re.compile(r"\{([a-z_]+)\}")
_PERSONAL: Final = frozenset(("person_id", "identity_hash", "visit_id"))
"""Fields that say who somebody is to whoever can look them up: never in a text."""
_PARTIES: Final = frozenset(("party", "payer", "payee", "facility_code"))


class TemplatesInvalid(ValueError):
    """The templates cannot be used; the message names everything that is wrong, a line each."""


class Label(BaseModel):
    """A value in the reader's words."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    zh: str
    en: str


class Template(BaseModel):
    """What one audience is told of one event, over one channel."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    template: Annotated[str, Field(pattern=r"^[a-z_]+\.[a-z_]+$")]
    """Its name: event and audience."""
    event: str
    """The event's class, e.g. DischargeSettled."""
    audience: Audience
    channel: Literal[Channel.SMS, Channel.PARTY_INBOX]
    zh: str
    en: str

    @property
    def placeholders(self) -> frozenset[str]:
        """What the texts fill in."""
        return frozenset(_PLACEHOLDER.findall(self.zh + self.en))

    def text(self, language: str) -> str:
        """The text before anything is filled in."""
        return self.zh if language == "zh" else self.en


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    labels: dict[str, dict[str, Label]]
    """Of fields with a small set of values; `absent` labels a missing one."""
    messages: list[Template]


@dataclass(frozen=True, slots=True)
class Names:
    """What codes are called; the person's name only while a message to them is being sent."""

    regions: RegionTree
    facilities: Mapping[str, str] = field(default_factory=dict)
    person: str = ""
    """Masked."""

    def party(self, code: str, language: str) -> str:
        """An agency by its region's name, a facility by its own; the code itself when the name is not known."""
        if code in self.regions:
            region = self.regions[code]
            return f"{region.name_zh}医保经办机构" if language == "zh" else f"the agency of {region.name_en}"
        return self.facilities.get(code, code)

    def region(self, code: str, language: str) -> str:
        """A region's name."""
        if code not in self.regions:
            return code
        return self.regions[code].name_zh if language == "zh" else self.regions[code].name_en


class Templates:
    """All templates of a deployment."""

    def __init__(self, document: _Document) -> None:
        self._labels = document.labels
        self._by_name = {template.template: template for template in document.messages}

    @property
    def all(self) -> Sequence[Template]:
        """Every template, in the order of the file."""
        return tuple(self._by_name.values())

    def about(self, kind: type[Event]) -> list[Template]:
        """The templates of an event."""
        return [template for template in self.all if template.event == kind.__name__]

    def render(self, name: str, language: str, fields: Mapping[str, Any], names: Names) -> str:
        """A template's text. Raises KeyError for a template that no longer exists."""
        text = self._by_name[name].text(language)
        return _PLACEHOLDER.sub(lambda match: self._written(match[1], language, fields, names), text)

    def _written(self, field_name: str, language: str, fields: Mapping[str, Any], names: Names) -> str:
        if field_name == NAME:
            return names.person
        value = fields[field_name]
        label = self._labels.get(field_name, {}).get(_label_key(value))
        if label is not None:
            return label.zh if language == "zh" else label.en
        if field_name.endswith("_fen"):
            return yuan(value)
        if field_name.endswith("region"):
            return names.region(value, language)
        if field_name in _PARTIES:
            return names.party(value, language)
        return str(value)


def load(text: str, heard: Sequence[type[Event]]) -> Templates:
    """The templates of a YAML document, for the events that are heard. Raises TemplatesInvalid."""
    try:
        document = _Document.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise TemplatesInvalid(f"not YAML: {error}") from error
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise TemplatesInvalid("\n".join(lines)) from error
    if problems := list(_problems(document, heard)):
        raise TemplatesInvalid("\n".join(problems))
    return Templates(document)


def _problems(document: _Document, heard: Sequence[type[Event]]) -> Iterator[str]:
    kinds = {kind.__name__: kind for kind in EVENTS.values()}
    names = Counter(template.template for template in document.messages)
    yield from (f"{name}: there are {times} of this name" for name, times in names.items() if times > 1)
    told = {template.event for template in document.messages}
    yield from (f"{kind.__name__}: nobody is told of it" for kind in heard if kind.__name__ not in told)
    for template in document.messages:
        kind = kinds.get(template.event)
        if kind is None or kind not in heard:
            yield f"{template.template}: {template.event} is not an event that is heard"
        else:
            yield from (f"{template.template}: {problem}" for problem in _problems_of(template, kind, document.labels))


def _problems_of(template: Template, kind: type[Event], labels: Mapping[str, Mapping[str, Label]]) -> Iterator[str]:
    if not set(NEEDED_FIELDS[template.audience]) <= set(kind.model_fields):
        yield f"the event has no {template.audience}"
    if (template.channel is Channel.SMS) != (template.audience is Audience.PERSON):
        yield "persons are told by sms, parties in their inbox"
    if set(_PLACEHOLDER.findall(template.zh)) != set(_PLACEHOLDER.findall(template.en)):
        yield "the two languages do not say the same fields"
    if re.search(r"[{}]", _PLACEHOLDER.sub("", template.zh + template.en)):
        yield "a brace that is no placeholder"
    for placeholder in sorted(template.placeholders):
        if placeholder == NAME:
            if template.audience is not Audience.PERSON:
                yield "only a message to the person says a name"
        elif problem := _field_problem(placeholder, kind, labels.get(placeholder, {})):
            yield problem


def _field_problem(name: str, kind: type[Event], labels: Mapping[str, Label]) -> str | None:
    if name in _PERSONAL:
        return f"{name} is personal"
    if name not in kind.model_fields:
        return f"the event has no field {name}"
    if _may_be_absent(kind.model_fields[name].annotation) and ABSENT not in labels:
        return f"{name} may be absent and has no label for that"
    return None


def _may_be_absent(annotation: Any) -> bool:
    return type(None) in getattr(annotation, "__args__", ())


def _label_key(value: Any) -> str:
    """How a value is named in `labels`: YAML's own spelling of true and false."""
    if value is None:
        return ABSENT
    return str(value).lower() if isinstance(value, bool) else str(value)
