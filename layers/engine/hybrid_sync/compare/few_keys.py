"""Few keys on both sides: one message to each shows that all is well; where it is not, whoever asked looks closer.

All is well where both sides hold the same keys, each once, none of them has a failed record, and references and money
add up.  Conservation, references and money are those of every verification, counted in one pass over each side.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg import sql

from hybrid_sync.blame import is_row_state
from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.models import Entity
from hybrid_sync.catalog.place import table
from hybrid_sync.catalog.shape import AsPlanned
from hybrid_sync.compare import one_pass, references
from hybrid_sync.compare.asked import Looked, named_keys
from hybrid_sync.compare.conservation import ask_base
from hybrid_sync.compare.entity_count import EntityCount, ask_native
from hybrid_sync.compare.scope import Scope, changed_after
from hybrid_sync.compare.side import Pass
from hybrid_sync.contracts import Key
from hybrid_sync.dataclass import dataclass
from hybrid_sync.errors import StructureMismatch
from hybrid_sync.keys import ask_recorded, record_among
from hybrid_sync.postgres import Connection, path_setting, snapshot, together
from hybrid_sync.recorded.asked import AskedRow
from hybrid_sync.runs.store import Requested, RunRecord
from hybrid_sync.schema.legacy_structure import ask_types_now, digest_of_types
from hybrid_sync.schema.plans import EntityPlan, table_in
from hybrid_sync.schema.target_structure import ask_identity
from hybrid_sync.session import Answer, Trip
from hybrid_sync.timing import timed
from hybrid_sync.write.tombstones import ask_marked

_NOTHING = sql.SQL("false")


@dataclass(frozen=True)
class Agreement:
    """An entity for which both sides hold the same."""

    counted: dict[str, Any]
    """Rows, references and money, as the verdict keeps them."""
    asked: list[AskedRow]
    """The rows that the request names."""


class _Source:
    """One source's keys: what is asked of the target first, of legacy then, and of the target behind it."""

    def __init__(
        self, catalog: Catalog, run: RunRecord, plan: EntityPlan, place: tuple[Entity, str], keys: list[Key],
        trips: tuple[Trip, Trip],
    ) -> None:  # fmt: skip
        self.entity, source = place
        ours, theirs = trips
        self._run = run
        definition = self.entity.sources[source]
        self.scope = Scope(plan.sources[source], definition, table(self.entity.target), _NOTHING, keys, has_marked=True)
        name = (self.entity.entity, source)
        self._marked = theirs.ask(ask_marked(*name))
        waiting = sql.SQL("status <> 'resolved' and {}").format(record_among(keys))
        self._failed = theirs.ask(ask_recorded("failed_record", *name, waiting))
        self.stored = references.ask_stored(theirs, catalog, self.scope)
        self._path = path_setting(self.entity.legacy_search_path)
        ours.do(self._path)
        self.looked = Looked(self.scope, named_keys(run.request.refs, self.entity, source), ours, theirs)

    def ask_legacy(self, trip: Trip, legacy: Connection) -> None:
        """Once the target's snapshot stands: what legacy commits in between counts as in flight, never as missing."""
        self.scope.has_marked = self._marked.value
        self.scope.after_fence = changed_after(self.entity, self.scope.source, self._run.fence, legacy)
        trip.do(self._path)
        self._ours = trip.ask(one_pass.ask_legacy(self.scope, self.entity.money))
        base = ask_base(self.scope)
        self._base = trip.ask(base) if base is not None else None

    @property
    def ours(self) -> Pass:
        return self._ours.value

    def ask_target(self, trip: Trip) -> None:
        self.scope.in_flight = self.ours.in_flight
        self._theirs = trip.ask(one_pass.ask_target(self.scope, self.entity.money))

    def counted(self, count: EntityCount) -> bool:
        """Count it, unless a record waits or the keys differ."""
        lost = 0 if self._base is None else self._base.value - sum(self.ours.places.values())
        return not self._failed.value and count.agree(
            self.scope, self.ours, self._theirs.value, self.stored, lost
        )  # fmt: skip


class _Now:
    """By what an entity would be read and written if it were planned now."""

    def __init__(self, entity: Entity, ours: Trip, theirs: Trip) -> None:
        ours.do(path_setting(entity.legacy_search_path))
        self._types = {source: ours.ask(ask_types_now(entity, source)) for source in entity.sources}
        self._table = theirs.ask(ask_identity(entity))

    def as_planned(self, planned: AsPlanned | None) -> bool:
        if planned is None:  # by an earlier release
            return True
        types = digest_of_types({source: asked.value for source, asked in self._types.items()})
        return (table_in(planned.definition), planned.types) == (self._table.value, types)


@timed("verify")
def verify(
    catalog: Catalog, run: RunRecord, plans: Mapping[str, EntityPlan], requested: Requested,
    planned: Mapping[str, AsPlanned], legacy: Connection, target: Connection,
) -> dict[str, Agreement]:  # fmt: skip
    """The entities of the request for which both sides agree; the others need a closer look.

    So do those that are not `planned` any more: a column of either side was made anew or retyped meanwhile.
    """
    try:
        with snapshot(target, "target"), snapshot(legacy, "legacy"):
            with together(legacy, lets_go=True) as ours:
                natives: dict[str, Answer[int]] = {}
                parts: dict[str, list[_Source]] = {name: [] for name in requested}
                now: dict[str, _Now] = {}
                with together(target) as theirs:
                    for name, sources in requested.items():
                        natives[name] = theirs.ask(ask_native(catalog[name]))
                        now[name] = _Now(catalog[name], ours, theirs)
                        for source, keys in sources.items():
                            place = (catalog[name], source)
                            parts[name].append(_Source(catalog, run, plans[name], place, keys, (ours, theirs)))
                for part in (part for of in parts.values() for part in of):
                    part.ask_legacy(ours, legacy)
            with together(target) as theirs:
                for part in (part for of in parts.values() for part in of):
                    part.ask_target(theirs)
            same = {name: parts[name] for name in parts if now[name].as_planned(planned.get(name))}
            return _agreed(catalog, same, natives, legacy, target)
    except StructureMismatch:  # so legacy's snapshot calls a row that it cannot compute
        return {}
    except psycopg.Error as error:
        if not is_row_state(error.sqlstate):
            raise
        return {}  # legacy cannot compute some row: which one, only a closer look can say


def _agreed(
    catalog: Catalog, parts: Mapping[str, list[_Source]], natives: Mapping[str, Answer[int]], legacy: Connection,
    target: Connection,
) -> dict[str, Agreement]:  # fmt: skip
    found: dict[str, Agreement] = {}
    for name, sources in parts.items():
        count = EntityCount(catalog, catalog[name], legacy, target)
        if all(part.counted(count) for part in sources):
            count.total.native = natives[name].value
            if count.ok:
                asked = [row for part in sources for row in part.looked.up(part.entity)]
                found[name] = Agreement(count.as_json(), asked)
    return found
