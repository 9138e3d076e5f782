"""The catalog's file on webhooks: who may send them, and which rows an event of theirs is about."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.check import Mistake
from hybrid_sync.catalog.grammar import Name, Strict
from hybrid_sync.catalog.json_path import steps
from hybrid_sync.catalog.load import WEBHOOKS, read_beside
from hybrid_sync.catalog.models import Entity
from hybrid_sync.contracts import Act, RunPriority
from hybrid_sync.errors import CatalogError


class Signature(StrEnum):
    """How a sender proves that an event is its own."""

    standard = "standard"
    supabase = "supabase"
    stripe = "stripe"
    square = "square"
    eventbridge = "eventbridge"
    """By AWS: it arrives over the event bus, never over HTTP."""


TIMED = (Signature.standard, Signature.stripe)
"""Signatures of the body and of the time."""


def _checked(path: str) -> str:
    steps(path)
    return path


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


JsonPath = Annotated[str, AfterValidator(_checked)]
EventType = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:/ -]{1,128}$")]
SourceName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")]


class Rows(Strict):
    """Rows of one entity, and where the event has their legacy keys: one path for each part of the key."""

    entity: Name
    key: Annotated[tuple[JsonPath, ...], BeforeValidator(_listed), Field(min_length=1)]
    source: Name | None = None
    """The entity's source, where it has several."""


class Event(Strict):
    """What an event of one type asks for."""

    rows: Annotated[tuple[Rows, ...], Field(min_length=1)]
    priority: RunPriority = RunPriority.normal
    act: Act = "sync"
    """`erase`: the persons to whom the rows belong; `merge`: legacy has merged the rows into others."""


class Source(Strict):
    """One sender of webhooks."""

    signed: Signature
    events: Annotated[dict[EventType, Event], Field(min_length=1)]

    @model_validator(mode="after")
    def _acts_on_people_alone(self) -> Source:
        """What cannot be undone hangs on a secret that is for nothing else, under which body and time are signed."""
        acting = [name for name, event in self.events.items() if event.act != "sync"]
        if acting and self.signed not in TIMED:
            raise ValueError(
                f"{acting[0]} erases: `signed` must be one of {', '.join(TIMED)}, under which nobody sends it again"
            )
        if acting and len(acting) < len(self.events):
            raise ValueError(
                f"{acting[0]} erases: put such events into a source of their own, with a secret of its own"
            )
        return self


class Webhooks(Strict):
    """Every sender by the name that stands in its address."""

    webhooks: dict[SourceName, Source]

    @model_validator(mode="after")
    def _has_one_bus(self) -> Webhooks:
        if sum(source.signed is Signature.eventbridge for source in self.webhooks.values()) > 1:
            raise ValueError("only one source may be signed by eventbridge: put the events of all buses into it")
        return self

    @property
    def bus(self) -> str | None:
        """The source whose events come over the bus."""
        names = (name for name, source in self.webhooks.items() if source.signed is Signature.eventbridge)
        return next(names, None)


def load_webhooks(catalog: Catalog, folder: Path | None = None) -> Webhooks:
    """The file `webhooks.yaml` beside the entities; without one nobody may send any.

    Raises CatalogError that names every mistake found, one sentence each.
    """
    read = read_beside(folder, Webhooks)
    if read is None:
        return Webhooks(webhooks={})
    found, places = read
    sentences = [places.sentence(mistake) for mistake in _mistakes(catalog, found)]
    if sentences:
        raise CatalogError("\n".join(sentences))
    return found


def _mistakes(catalog: Catalog, found: Webhooks) -> Iterator[Mistake]:
    for name, source in found.webhooks.items():
        for event_type, event in source.events.items():
            for number, rows in enumerate(event.rows):
                path = ("webhooks", name, "events", event_type, "rows", number)
                if (text := _problem(catalog.entities.get(rows.entity), rows, event.act)) is not None:
                    yield Mistake(WEBHOOKS, path, text)


def _problem(entity: Entity | None, rows: Rows, act: Act) -> str | None:
    if entity is None:
        return f"there is no entity {rows.entity} in the catalog: correct its spelling."
    if act != "sync" and (entity.erasure is None or not entity.erasure.events_a_day):
        return f"events may not {act} rows of {rows.entity}: write `events_a_day:` into its `erasure:`."
    if rows.source is not None and rows.source not in entity.sources:
        return f"{rows.entity} has no source {rows.source}: choose from {', '.join(entity.sources)}."
    if rows.source is None and len(entity.sources) > 1:
        return f"{rows.entity} has several sources: add `source:`, one of {', '.join(entity.sources)}."
    parts = len(next(iter(entity.sources.values())).key)
    if len(rows.key) != parts:
        return f"a legacy key of {rows.entity} has {parts} part(s), and `key` names {len(rows.key)}."
    return None
