"""What a request for a few rows really needs: the rows, and every parent that the target does not have yet."""

from __future__ import annotations

from collections.abc import Callable, Collection

from psycopg import sql

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.columns import spliced
from hybrid_sync.catalog.compile import relations
from hybrid_sync.contracts import MAX_REFS, Key, Ref
from hybrid_sync.errors import RequestRejected
from hybrid_sync.ids.known import Place, ask_ids
from hybrid_sync.keys import key_list, one_of
from hybrid_sync.postgres import Connection, Cursor, Question, path_setting, together
from hybrid_sync.runs.store import Requested
from hybrid_sync.session import Answer, Trip

_MOST = 20 * MAX_REFS
"""Rows in one closure; a request that needs more is really a run of its entities."""
Parents = dict[Place, set[Key]]


def requested(catalog: Catalog, refs: tuple[Ref, ...]) -> Requested:
    """The named rows by entity and source; RequestRejected for a name or a key that does not fit the catalog."""
    found: Requested = {}
    for ref in refs:
        entity = catalog[ref.entity]
        names = [ref.source] if ref.source else list(entity.sources)
        if len(names) > 1 or names[0] not in entity.sources:
            raise RequestRejected(
                f"A reference to {ref.entity} must say which source it means.",
                f"Add source: one of {', '.join(entity.sources)}.",
            )
        width = len(entity.sources[names[0]].key)
        if len(ref.key) != width:
            raise RequestRejected(
                f"A key of {ref.entity} has {width} part(s), not {len(ref.key)}.",
                f"Send {', '.join(entity.sources[names[0]].key)} in this order.",
            )
        keys = found.setdefault(ref.entity, {}).setdefault(names[0], [])
        if ref.key not in keys:
            keys.append(ref.key)
    return found


def places(rows: Requested) -> list[tuple[Place, list[Key]]]:
    """The rows of each source."""
    return [((entity, source), keys) for entity, of in rows.items() for source, keys in of.items()]


class Closure:
    """The rows so far; each round asks legacy what the latest of them refer to, and the target which of that is there.

    Read without locks: whoever writes locks and reads again, so a parent that arrives in between is merely read once
    more.  Entities among `without` cannot be carried: neither they nor their parents are looked at.
    """

    def __init__(self, catalog: Catalog, wanted: Requested, without: Collection[str] = ()) -> None:
        self._catalog = catalog
        self._without = without
        self.rows: Requested = {e: {s: list(keys) for s, keys in sources.items()} for e, sources in wanted.items()}
        self._latest: dict[Place, set[Key]] = {place: set(keys) for place, keys in places(wanted)}
        self.there: dict[Place, set[Key]] = {}
        """Keys that the target has, of all that it was asked about."""
        self.seen: dict[Place, set[Key]] = {}
        """Keys that legacy has, of the rows."""

    def ask_legacy(self, trip: Trip) -> Callable[[], None]:
        """What the latest rows refer to; to be called after the trip."""
        asked: dict[Place, Answer[tuple[set[Key], Parents]]] = {}
        for place, keys in self._latest.items():
            if place[0] not in self._without:
                trip.do(path_setting(self._catalog[place[0]].legacy_search_path))
                asked[place] = trip.ask(_parents(self._catalog, place, keys))

        def refer() -> None:
            self._latest = {}
            for place, answer in asked.items():
                keys, parents = answer.value
                self.seen.setdefault(place, set()).update(keys)
                for parent, of in parents.items():
                    self.refer(parent, of)

        return refer

    def refer(self, parent: Place, keys: set[Key]) -> None:
        """Rows refer to these keys of the parent, which the target may lack."""
        known = set(self.rows.get(parent[0], {}).get(parent[1], [])) | self.there.get(parent, set())
        if parent[0] not in self._without and (new := keys - known):
            self._latest.setdefault(parent, set()).update(new)

    def ask_target(self, trip: Trip) -> Callable[[], None]:
        """Which of them are there; the others become rows.  To be called after the trip."""
        latest = self._latest
        asked = {place: trip.ask(ask_ids(self._catalog, place, keys)) for place, keys in latest.items()}

        def grow() -> None:
            self._latest = {}
            for place, answer in asked.items():
                self.there.setdefault(place, set()).update(answer.value)
                self.add(place, latest[place] - answer.value.keys())

        return grow

    def add(self, place: Place, missing: Collection[Key]) -> None:
        """Rows that the target does not have."""
        if missing:
            self._latest.setdefault(place, set()).update(missing)
            self.rows.setdefault(place[0], {}).setdefault(place[1], []).extend(sorted(missing))
        if self.size > _MOST:
            raise RequestRejected(
                "The request needs too many rows that the target does not have yet.",
                "Run the entities as a whole, without refs.",
            )

    def grow(self, legacy: Connection, target: Connection) -> None:
        """Ask legacy and the target once more: rows that are wanted, and the parents that they turn out to need."""
        with together(legacy) as trip:
            refer = self.ask_legacy(trip)
        refer()
        with together(target) as trip:
            grow = self.ask_target(trip)
        grow()

    @property
    def size(self) -> int:
        return sum(len(keys) for _, keys in places(self.rows))

    @property
    def growing(self) -> bool:
        """Whether something is left to be asked."""
        return bool(self._latest)


def close(
    catalog: Catalog, wanted: Requested, legacy: Connection, target: Connection, *, without: Collection[str] = ()
) -> Requested:
    """Add the parents that are missing in the target, and their parents."""
    closure = Closure(catalog, wanted, without)
    while closure.growing:
        closure.grow(legacy, target)
    return closure.rows


def _parents(catalog: Catalog, place: Place, keys: Collection[Key]) -> Question[tuple[set[Key], Parents]]:
    """Which of the keys legacy has, and what these rows refer to, deferred references included."""
    source = catalog[place[0]].sources[place[1]]
    parents = [p for reference in source.references.values() for p in reference.parents]
    own = [spliced(e) for e in source.key.values()]
    width = len(own)
    selected = key_list([*own, *(spliced(p.key) for p in parents)])
    query = sql.SQL("select {} from {} where {}").format(selected, relations(source), one_of(own, keys))

    def meaning(found: Cursor) -> tuple[set[Key], Parents]:
        rows = found.fetchall()
        referred: Parents = {}
        for i, parent in enumerate(parents, start=width):
            values = {(row[i],) for row in rows if row[i] is not None}
            if values:
                referred.setdefault((parent.to, catalog.source_of(parent)[0]), set()).update(values)
        return {tuple(row[:width]) for row in rows}, referred

    return Question(query, None, meaning)
