"""Which rows of a target table an entity takes for its own; two entities must not take the same ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations, product

from hybrid_sync.catalog.forms import Constant
from hybrid_sync.catalog.models import Entity, Source
from hybrid_sync.catalog.place import split


def shared(entities: Mapping[str, Entity]) -> Iterator[tuple[str, tuple[object, ...], str]]:
    """Entity, place and sentence for each two that would change, and delete, each other's rows."""
    for (name, one), (other_name, other) in combinations(sorted(entities.items()), 2):
        if split(one.target) != split(other.target):
            continue
        pairs = product(one.sources.values(), other.sources.values())
        if any(_takes(a, b) or _takes(b, a) for a, b in pairs):
            text = (
                f"{other.target} is the target of {name} as well, and both would take the same rows for theirs: make"
                " them sources of one entity, each with its `discriminator`, or give each a key column of its own."
            )
            yield other_name, ("target",), text


def _takes(one: Source, other: Source) -> bool:
    """Whether rows that `other` has written look like rows of `one`: they have its key, and its discriminators."""
    filled = {*other.key, *other.discriminator, *other.columns, *other.references}
    return filled >= one.key.keys() and not any(
        _always_differs(other, column, value) for column, value in one.discriminator.items()
    )


def _always_differs(source: Source, column: str, value: str) -> bool:
    form = source.columns.get(column)
    always = form.constant if isinstance(form, Constant) else source.discriminator.get(column)
    return always is not None and always != value
