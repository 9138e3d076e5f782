"""The whole catalog: its entities, their order, and a hash that changes when a definition does."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence, Set
from functools import cached_property
from typing import TYPE_CHECKING

from hybrid_sync.catalog.models import Entity, Parent, Source
from hybrid_sync.catalog.waves import costliest_first, endings, strands, waves
from hybrid_sync.errors import RequestRejected

if TYPE_CHECKING:
    from hybrid_sync.contracts import RunRequest


class Catalog:
    """Checked entities by name."""

    def __init__(self, entities: Mapping[str, Entity], files: Mapping[str, str] | None = None) -> None:
        self.entities = dict(sorted(entities.items()))
        self._files = dict(files or {})

    def file_of(self, name: str) -> str:
        """The name of the file that defines the entity."""
        return self._files.get(name, f"{name}.yaml")

    def __getitem__(self, name: str) -> Entity:
        try:
            return self.entities[name]
        except KeyError:
            raise RequestRejected(
                f"There is no entity {name} in the catalog.", f"Choose from {', '.join(self.entities)}."
            ) from None

    def require_deletable(self, request: RunRequest) -> None:
        """RequestRejected where a request's word that more may go of an entity would mean nothing: it carries others,
        or there is none of that name.  Of one whose rows never go it means nothing either, and does no harm."""
        carried = {*request.entities, *(ref.entity for ref in request.refs)}
        for name in request.allow_deletes:
            _ = self[name]
            if carried and name not in carried:
                raise RequestRejected(
                    f"The run would not carry {name}, of which it allows deletes.", "Name it among its entities, too."
                )

    def waves(self, selected: Iterable[str] | None = None) -> list[list[str]]:
        """The selected entities in write order; RequestRejected for a name that is not in the catalog."""
        names = None if selected is None else {self[name].entity for name in selected}
        return waves(self.entities, names)

    def strands(
        self, waves: Sequence[Sequence[str]], sizes: Mapping[str, int], fixed: Set[str]
    ) -> list[list[list[str]]]:
        """These waves as waves of strands: of entities that go one after the other; `fixed` ones go no later."""
        return strands(self.entities, waves, sizes, fixed)

    def costliest_first(self, names: Iterable[str], pages: Mapping[str, int]) -> list[str]:
        """By what their verification takes, about; `pages` are those that each is read from."""
        return costliest_first(self.entities, names, pages)

    def endings(self, waves: Sequence[Sequence[Sequence[str]]], in_bulk: Set[str]) -> list[list[str]]:
        """For each of these waves of strands, the entities whose first load in bulk ends beside it."""
        return endings(self.entities, waves, in_bulk)

    def source_of(self, parent: Parent) -> tuple[str, Source]:
        """The source that a reference points into, with its name."""
        entity = self[parent.to]
        name = parent.source or next(iter(entity.sources))
        return name, entity.sources[name]

    def hash_of(self, name: str) -> str:
        """Changes whenever what the entity reads or writes changes: then it is read in full once.

        What is tolerated judges a run and moves no row; how people are erased concerns those who are; and how a table
        is loaded for the first time is over by then.
        """
        other = {"tolerate", "erasure", "first_load"}
        return _hash(self[name].model_dump(mode="json", by_alias=True, exclude=other))

    @cached_property
    def hash(self) -> str:
        """Changes whenever anything of the catalog changes: a run is carried by the catalog that planned it."""
        return _hash({name: entity.model_dump(mode="json", by_alias=True) for name, entity in self.entities.items()})


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
