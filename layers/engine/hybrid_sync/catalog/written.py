"""Every SQL expression of an entity with the place where it is written, for whoever judges them one by one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from hybrid_sync.catalog.models import Entity, Source
from hybrid_sync.dataclass import dataclass

Use = Literal["value", "key", "condition", "join", "watch", "mark", "adopt"]


@dataclass(frozen=True)
class Written:
    """One expression: `path` leads to it in the entity's file, `column` is the target column that it fills."""

    path: tuple[object, ...]
    text: str
    use: Use
    source: str | None = None
    column: str | None = None


def written(entity: Entity) -> Iterator[Written]:
    """All of them, in the order of the model."""
    for name, source in entity.sources.items():
        yield from _of_source(name, source)
    for column, text in entity.on_delete.set.items():
        yield Written(("on_delete", "set", column), text, "mark", None, column)
    if entity.adopt is not None and entity.adopt.when is not None:
        yield Written(("adopt", "when"), entity.adopt.when, "adopt")


def _of_source(name: str, source: Source) -> Iterator[Written]:
    at = ("sources", name)
    for i, join in enumerate(source.joins):
        yield Written((*at, "joins", i), join.on, "join", name)
    for i, watch in enumerate(source.watch):
        yield Written((*at, "watch", i), watch.on, "watch", name)
    for column, text in source.key.items():
        yield Written((*at, "key", column), text, "key", name, column)
    if source.changed_at is not None:
        yield Written((*at, "changed_at"), source.changed_at, "value", name)
    for column, form in source.columns.items():
        for part, text in form.parts:
            yield Written((*at, "columns", column, *part), text, "value", name, column)
    for column, reference in source.references.items():
        for i, parent in enumerate(reference.parents):
            part = ("any", i, "key") if reference.any else ("key",)
            yield Written((*at, "references", column, *part), parent.key, "value", name, column)
    for i, rule in enumerate(source.rules):
        yield Written((*at, "rules", i, "when"), rule.when, "condition", name)
