"""What is compared: the keys of one source that are settled, the same on both sides.

Legacy stays in use, so rows that changed after the run's fence are in flight: the next run carries them, and both
sides leave them out.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from psycopg import sql

from hybrid_sync.catalog.compile import ReadPlan
from hybrid_sync.catalog.models import Entity, Source
from hybrid_sync.contracts import Key
from hybrid_sync.ids.idmap import key_condition
from hybrid_sync.legacy.changes import later, with_keys
from hybrid_sync.legacy.fence import Fence
from hybrid_sync.legacy.structure import has_transaction_ids
from hybrid_sync.postgres import Connection
from hybrid_sync.target.tombstones import any_marked, is_marked


def changed_after(entity: Entity, source: Source, carried: Fence, legacy: Connection) -> sql.Composable:
    """Legacy rows that changed after what was carried over; by transaction ids wherever legacy has them to tell."""
    stamped = entity.detect == "timestamp" and (carried.doubt == "replica" or not has_transaction_ids(legacy, source))
    return later(source, entity, carried, stamped=stamped)


@dataclass
class Scope:
    """One source of one entity under verification; `keys` None means all of them."""

    plan: ReadPlan
    source: Source
    relation: sql.Identifier
    young: sql.Composable
    """Legacy rows that changed after the run's fence."""
    keys: list[Key] | None
    in_flight: list[Key] = field(default_factory=list)
    failed_absent: list[Key] = field(default_factory=list)
    failed_present: list[Key] = field(default_factory=list)
    has_marked: bool = False
    """Some rows are marked as deleted: they are in the target, and for legacy they are not."""

    # --- legacy --------------------------------------------------------------------------------------------

    def in_legacy(self) -> sql.Composable:
        """Legacy rows under verification, settled or not."""
        if self.keys is None:
            return sql.SQL("true")
        return with_keys(self.plan.key_exprs, self.keys)

    def find_in_flight(self, legacy: Connection) -> None:
        """The keys that changed after the fence, in the caller's snapshot."""
        query = sql.SQL("select distinct {} from {} where {} and {}").format(
            sql.SQL(", ").join(sql.SQL("{}::int8").format(e) for e in self.plan.key_exprs), self.plan.relations,
            self.in_legacy(), self.young,
        )  # fmt: skip
        self.in_flight = [tuple(row) for row in legacy.execute(query).fetchall()]

    # --- target --------------------------------------------------------------------------------------------

    @property
    def key_columns(self) -> list[sql.Identifier]:
        return [sql.Identifier(c) for c in self.plan.key_columns]

    def in_target(self) -> sql.Composable:
        """Live target rows of this source under verification; rows born natively have no legacy key."""
        rows = self._rows_in_target()
        return sql.SQL("{} and not {}").format(rows, self._marked()) if self.has_marked else rows

    def marked_in_target(self) -> sql.Composable:
        """Those that are marked as deleted."""
        return sql.SQL("{} and {}").format(self._rows_in_target(), self._marked())

    def _marked(self) -> sql.Composable:
        # Named in full: within the subquery a bare name could be a column of the tombstones.
        key = sql.SQL(", ").join(sql.SQL("{}.{}::int8").format(self.relation, column) for column in self.key_columns)
        return is_marked(self.plan.entity, self.plan.source, sql.SQL("array[{}]").format(key))

    def _rows_in_target(self) -> sql.Composable:
        parts: list[sql.Composable] = [sql.SQL("{} is not null").format(c) for c in self.key_columns]
        for column, value in self.source.discriminator.items():
            parts.append(sql.SQL("{}::text = {}").format(sql.Identifier(column), sql.Literal(value)))
        if self.keys is not None:
            parts.append(key_condition(self.key_columns, self.keys))
        return sql.SQL(" and ").join(parts)

    def without(self, keys: list[Key]) -> sql.Composable:
        """Target rows whose key is not one of these."""
        if not keys:
            return sql.SQL("true")
        return sql.SQL("not ({})").format(key_condition(self.key_columns, keys))

    def find_failed(self, target: Connection) -> None:
        """Keys in quarantine, apart by whether an older version of the row is in the target; and whether any row is
        marked as deleted."""
        self.has_marked = any_marked(target, self.plan.entity, self.plan.source)
        # What is marked as deleted is no older version of a row that is back.
        live = sql.SQL("present and not {}").format(is_marked(self.plan.entity, self.plan.source, sql.SQL("f.key")))
        rows = target.execute(
            sql.SQL(
                "select key, {} from hybrid_sync.failed_record f"
                " where entity = {} and source = {} and status <> 'resolved' order by key"
            ).format(live, sql.Literal(self.plan.entity), sql.Literal(self.plan.source))
        ).fetchall()
        wanted = None if self.keys is None else set(self.keys)
        for key, present in ((tuple(row[0]), row[1]) for row in rows):
            if wanted is None or key in wanted:
                (self.failed_present if present else self.failed_absent).append(key)
