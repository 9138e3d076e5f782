"""What an erasure does in the target: rows go or lose what is personal, and our own records forget them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import psycopg
from psycopg import sql

from hybrid_sync.blame import raised
from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.models import Entity
from hybrid_sync.catalog.place import table
from hybrid_sync.contracts import Key
from hybrid_sync.erase.closure import Rows
from hybrid_sync.erase.hashes import Place
from hybrid_sync.erase.images import take_out_changes, take_out_images, take_out_marks
from hybrid_sync.erase.plan import pseudonym
from hybrid_sync.errors import RequestRejected
from hybrid_sync.failpoints import failpoint
from hybrid_sync.keys import belongs_to, key_columns, key_parts, one_of, record_among
from hybrid_sync.postgres import Connection
from hybrid_sync.write.journal import CHANGES
from hybrid_sync.write.native import AS_NATIVES, write

_OF_THE_TARGET = ("22", "23", "27", "42", "44", "P0")
"""Classes of errors by which the target's own rules forbid a write; a trigger that raises may choose any other."""
_BY_KEY = (
    "failed_record", "pending_link", "tombstone", "retired_id", "difference", "delete_candidate", "wrong_id",
    "rollback_conflict",
)  # fmt: skip
"""Our own tables with a line for a legacy key."""
_STILL_DUE = ("failed_record", "pending_link")
"""Of these, what a row is still to be brought by where its key is not suppressed; daily runs would miss it for ever."""


class Eraser:
    """Works in the caller's transaction, which has locked the entities and their buckets."""

    def __init__(self, catalog: Catalog, rows: Rows, target: Connection, *, alone: bool = False) -> None:
        self._catalog = catalog
        self._alone = alone
        """They were merged into others: what a policy deletes goes the way of whatever legacy has no more."""
        self._rows = {place: sorted(keys) for place, keys in sorted(rows.items())}
        self._target = target
        self._ids = {place: self._ids_of(place, keys) for place, keys in self._rows.items()}
        """Every UUID that a row has or had."""

    def erase(self) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
        """Rows deleted and pseudonymised by entity, and lines taken out of our own records by table.

        RequestRejected where the target forbids it; the caller's transaction is to be given up then.
        """
        deleted: dict[str, int] = {}
        changed: dict[str, int] = {}
        if not self._alone:
            self._let_go()
        for name in (name for wave in reversed(self._catalog.waves()) for name in wave):
            for place in (p for p in self._rows if p[0] == name):
                policy = self._policy(place)
                if policy == "delete" and not self._alone:
                    deleted[name] = deleted.get(name, 0) + self._delete(place)
                elif policy == "pseudonymise":
                    changed[name] = changed.get(name, 0) + self._pseudonymise(place)
        failpoint("erase.rows_changed", self._target)
        return _some(deleted), _some(changed), _some(self._scrub())

    def _policy(self, place: Place) -> str:
        erasure = self._catalog[place[0]].erasure
        assert erasure is not None, "only such rows belong to a person"
        return erasure.policy

    # --- mapped tables ---------------------------------------------------------------------------------------------

    def _let_go(self) -> None:
        """Clear deferred references between rows that are all deleted: rows of a cycle hold each other."""
        for place in self._rows:
            entity = self._catalog[place[0]]
            for column, reference in entity.sources[place[1]].references.items():
                if reference.deferred and self._policy(place) == "delete":
                    self._write(
                        entity,
                        sql.SQL("update {} t set {} = null from {} where {}").format(
                            table(entity.target), sql.Identifier(column), AS_NATIVES, self._own(place)
                        ),
                    )

    def _delete(self, place: Place) -> int:
        entity = self._catalog[place[0]]
        self._refuse_referred(place, entity)
        gone = self._write(
            entity,
            sql.SQL("delete from {} t using {} where {}").format(table(entity.target), AS_NATIVES, self._own(place)),
        )
        left = sql.SQL("select count(*) from {} t where {}").format(table(entity.target), self._own(place))
        self._require_none(entity, left, "are still there: a trigger keeps them")
        return gone

    def _refuse_referred(self, place: Place, entity: Entity) -> None:
        """Refuse where rows that we do not manage would be deleted by ON DELETE CASCADE, or lose their reference."""
        row = self._target.execute(
            sql.SQL(
                "select min(by_constraint) from hybrid_sync.referred({}::regclass, array(select id from {} t where {}))"
            ).format(
                table(entity.target).as_string(self._target), table(entity.target), self._own(place)
            )
        ).fetchone()  # fmt: skip
        if row is not None and row[0] is not None:
            raise RequestRejected(
                f"Rows of {entity.entity} cannot be deleted: others refer to them by the constraint {row[0]}.",
                f"Erase those first, or write `policy: pseudonymise` into {self._catalog.file_of(entity.entity)}.",
            )

    def _pseudonymise(self, place: Place) -> int:
        entity = self._catalog[place[0]]
        assert entity.erasure is not None, "it has a policy"
        key = key_columns(entity.sources[place[1]].key, "t")
        pairs = [(sql.Identifier(column), pseudonym(value, key)) for column, value in entity.erasure.set.items()]
        changed = self._write(
            entity,
            sql.SQL("update {} t set {} from {} where {}").format(
                table(entity.target), sql.SQL(", ").join(sql.SQL("{} = {}").format(*pair) for pair in pairs),
                AS_NATIVES, self._own(place),
            ),
        )  # fmt: skip
        differs = sql.SQL(" or ").join(
            sql.SQL('t.{}::text collate pg_catalog."C" is distinct from ({})::text').format(*pair)
            if value is None or not value.lstrip().startswith(("{", "["))
            else sql.SQL("t.{} is null").format(pair[0])  # JSON is stored in a form of its own
            for pair, value in zip(pairs, entity.erasure.set.values(), strict=True)
        )
        left = sql.SQL("select count(*) from {} t where {} and ({})").format(
            table(entity.target), self._own(place), differs
        )
        self._require_none(entity, left, "have other values than the catalog sets: a trigger changes them")
        return changed

    def _own(self, place: Place) -> sql.Composed:
        source = self._catalog[place[0]].sources[place[1]]
        keys = one_of(key_columns(source.key, "t"), self._rows[place])
        return sql.SQL("{} and {}").format(belongs_to(source, "t"), keys)

    def _write(self, entity: Entity, statement: sql.Composed) -> int:
        try:
            return write(self._target, statement).rowcount
        except psycopg.Error as error:
            if not raised(error) and (error.sqlstate or "")[:2] not in _OF_THE_TARGET:
                raise
            by = f", constraint {error.diag.constraint_name}" if error.diag.constraint_name else ""
            raise RequestRejected(
                f"The target refuses to erase rows of {entity.entity} ({error.sqlstate}{by}).",
                f"Correct `erasure:` in {self._catalog.file_of(entity.entity)}, or what the target forbids.",
            ) from None

    def _require_none(self, entity: Entity, query: sql.Composed, what: str) -> None:
        row = self._target.execute(query).fetchone()
        if row is not None and row[0]:
            raise RequestRejected(
                f"{row[0]} rows of {entity.entity} {what}.", "Change the target's trigger; nothing was erased."
            )

    # --- our own records -------------------------------------------------------------------------------------------

    def _ids_of(self, place: Place, keys: Sequence[Key]) -> list[str]:
        entity = self._catalog[place[0]]
        own = sql.SQL("entity = {} and source = {}").format(*place)
        rows = self._target.execute(
            sql.SQL(
                "select id::text from {} t where {} union select id::text from hybrid_sync.retired_id where {} and {}"
                " union select id::text from {} j where {} and id is not null and {}"
            ).format(
                table(entity.target), self._own(place), own, record_among(keys), CHANGES, own,
                record_among(keys, sql.Identifier("keys")),
            )
        ).fetchall()  # fmt: skip
        return [row[0] for row in rows]

    def _scrub(self) -> dict[str, int]:
        """Take the keys out of our own records: before-images, marks and all else, except what a row that stays
        still needs; and images of rows that referred to the person."""
        done: dict[str, int] = {}
        for place, keys in self._rows.items():
            if (policy := self._policy(place)) != "keep":
                self._scrub_place(done, place, keys, _STILL_DUE if policy == "pseudonymise" else ())
        if self._alone:
            return done
        ids = [row_id for some in self._ids.values() for row_id in some]
        own = [row_id for place, some in self._ids.items() if self._policy(place) != "keep" for row_id in some]
        count, gone = take_out_images(self._catalog, self._target, ids, own)
        done["journal"] = done.get("journal", 0) + count
        for place, more in sorted(gone.items()):
            # Their keys are not suppressed: one that came back is another's row, of which only its failed record tells.
            self._scrub_place(done, place, sorted(more), _STILL_DUE)
        return done

    def _scrub_place(self, done: dict[str, int], place: Place, keys: Sequence[Key], stays: Collection[str]) -> None:
        own = sql.SQL("entity = {} and source = {}").format(*place)
        for name in (name for name in _BY_KEY if name not in stays):
            relation, which = sql.Identifier("hybrid_sync", name), record_among(keys)
            self._take_out(done, name, sql.SQL("{} where {} and {}").format(relation, own, which))
        done["tombstone"] += take_out_marks(self._catalog, self._target, place, keys)
        changes = sql.SQL("{} and {}").format(own, record_among(keys, sql.Identifier("keys")))
        done["journal"] = done.get("journal", 0) + take_out_changes(self._target, changes)

    def _take_out(self, done: dict[str, int], name: str, which: sql.Composed) -> None:
        done[name] = done.get(name, 0) + self._target.execute(sql.SQL("delete from {}").format(which)).rowcount


def _some(counts: dict[str, int]) -> dict[str, int]:
    return {name: count for name, count in sorted(counts.items()) if count}


def stored_keys(catalog: Catalog, place: Place, buckets: sql.Composable, target: Connection) -> set[Key]:
    """The keys of the target's rows under a condition on the first key column."""
    source = catalog[place[0]].sources[place[1]]
    columns = key_columns(source.key)
    query = sql.SQL("select array[{}] from {} where {} and {}").format(
        sql.SQL(", ").join(key_parts(columns)), table(catalog[place[0]].target), belongs_to(source), buckets
    )
    return {tuple(row[0]) for row in target.execute(query).fetchall()}
