"""Ways to spoil a target, each on one row, and what a check must then say; judged by text forms, not by the engine."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import psycopg
from psycopg import sql

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.columns import raw
from hybrid_sync.catalog.place import table
from hybrid_sync.contracts import Key
from hybrid_sync.postgres import Connection
from hybrid_sync.schema.plans import EntityPlan

Row = tuple[str, str, Key]
"""Entity, source, legacy key."""

_NUMERIC, _TEXTS, _JSONB, _TIMESTAMPTZ = 1700, (25, 1043), 3802, 1184


@dataclass(frozen=True)
class Injected:
    """What was done to a row, and the columns whose text differs since; none where the value is an equal one."""

    kind: str
    row: Row
    finding: str
    columns: frozenset[str] = frozenset()


@dataclass
class Victims:
    """The rows that may be spoilt: in the target, not in quarantine; each at most once."""

    catalog: Catalog
    plans: dict[str, EntityPlan]
    target: Connection
    luck: random.Random
    free: dict[str, list[tuple[Row, uuid.UUID]]] = field(default_factory=dict)

    def gather(self) -> None:
        """All rows that the entities' sources have in the target, in an order of luck."""
        for name, plan in self.plans.items():
            rows: list[tuple[Row, uuid.UUID]] = []
            for source in plan.sources:
                rows += [((name, source, key), identity) for key, identity in self._of(name, source)]
            self.luck.shuffle(rows)
            self.free[name] = rows

    def _of(self, entity: str, source: str) -> Iterator[tuple[Key, uuid.UUID]]:
        definition = self.catalog[entity]
        keys = [sql.Identifier(column) for column in definition.sources[source].key]
        where = [sql.SQL("{} is not null").format(key) for key in keys]
        for column, value in definition.sources[source].discriminator.items():
            where.append(sql.SQL("{}::text = {}").format(sql.Identifier(column), sql.Literal(value)))
        query = sql.SQL(
            "select array[{keys}]::int8[], id from {table} where {where} and not exists"
            " (select from hybrid_sync.failed_record f where f.entity = {entity} and f.source = {source}"
            " and f.key = array[{keys}]::int8[] and f.status <> 'resolved') and not exists"
            " (select from hybrid_sync.delete_candidate d where d.entity = {entity} and d.source = {source}"
            " and d.key = array[{keys}]::int8[]) order by id"
        ).format(
            keys=sql.SQL(", ").join(keys), table=table(definition.target), where=sql.SQL(" and ").join(where),
            entity=sql.Literal(entity), source=sql.Literal(source),
        )  # fmt: skip
        for key, identity in self.target.execute(query).fetchall():
            yield tuple(key), identity

    def take(self, entity: str) -> tuple[Row, uuid.UUID] | None:
        rows = self.free[entity]
        return rows.pop() if rows else None


class Corruption:
    """Spoils rows as somebody with every right would: no trigger fires, no foreign key is asked."""

    def __init__(self, victims: Victims) -> None:
        self._victims = victims
        self._luck = victims.luck
        self._target = victims.target
        self._fresh = 10_000_000
        self.kinds: dict[str, Callable[[], Injected | None]] = {
            "cent": lambda: self._set("cent", self._columns(_NUMERIC), "{c} + 0.01"),
            "sign": lambda: self._set("sign", self._columns(_NUMERIC), "-{c}"),
            "null": lambda: self._set("null", self._columns(nullable=True), "null"),
            "truncated": lambda: self._set("truncated", self._columns(*_TEXTS), "left({c}, -1)"),
            "moment": lambda: self._set("moment", self._columns(_TIMESTAMPTZ), "{c} + interval '1 microsecond'"),
            "json": lambda: self._set("json", self._columns(_JSONB), "jsonb_build_object('x', {c})"),
            "reference": self._reference,
            "stale": self._stale,
            "lost": self._lost,
            "extra": self._extra,
        }
        self.equals: dict[str, Callable[[], Injected | None]] = {
            "key order": lambda: self._set(
                "key order", self._columns(_JSONB),
                "case jsonb_typeof({c}) when 'object' then (select jsonb_object_agg(k, v order by k desc)"
                " from jsonb_each({c}) as e(k, v)) else {c} end",
            ),
            "same number": lambda: self._set("same number", self._columns(_NUMERIC), "({c}::text || '0')::numeric"),
            "other zone": lambda: self._set(
                "other zone", self._columns(_TIMESTAMPTZ), "({c} at time zone 'Asia/Tokyo') at time zone 'Asia/Tokyo'"
            ),
            "unmapped": self._unmapped,
        }  # fmt: skip

    # --- one column ----------------------------------------------------------------------------------------------

    def _columns(self, *types: int, nullable: bool = False) -> list[tuple[str, str]]:
        """(entity, column) of the mapped columns of these types; references and enums among the nullable ones."""
        found: list[tuple[str, str]] = []
        for name, plan in self._victims.plans.items():
            for column in self._mapped(name):
                described = plan.table.columns[column]
                fits = described.base_oid in types and not described.labels if types else not described.not_null
                if fits and (not nullable or not described.not_null):
                    found.append((name, column))
        return found

    def _set(self, kind: str, places: list[tuple[str, str]], expression: str) -> Injected | None:
        entity, column = self._luck.choice(places)
        value = raw(expression.replace("{c}", f'"{column}"'))
        return self._update(kind, entity, {column: value})

    def _update(self, kind: str, entity: str, values: dict[str, sql.Composable]) -> Injected | None:
        taken = self._victims.take(entity)
        if taken is None:
            return None
        row, identity = taken
        before = self._texts(entity, identity)
        assigned = sql.SQL(", ").join(
            sql.SQL("{} = {}").format(sql.Identifier(column), value) for column, value in values.items()
        )
        statement = sql.SQL("update {} set {} where id = {}").format(
            self._table(entity), assigned, sql.Literal(identity)
        )
        if not self._done(statement):
            return None
        after = self._texts(entity, identity)
        mapped = self._mapped(entity)
        changed = frozenset(c for c in mapped if before[c] != after[c])
        return Injected(kind, row, "changed" if changed else "none", changed)

    def _done(self, statement: sql.Composed) -> bool:
        """Whether the target let it happen: its own checks still hold."""
        try:
            with self._target.transaction():
                return self._target.execute(statement).rowcount == 1
        except (psycopg.IntegrityError, psycopg.DataError):
            return False

    def _texts(self, entity: str, identity: uuid.UUID) -> dict[str, str | None]:
        columns = list(self._victims.plans[entity].table.columns)
        query = sql.SQL("select {} from {} where id = {}").format(
            sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(c)) for c in columns), self._table(entity),
            sql.Literal(identity),
        )  # fmt: skip
        found = self._target.execute(query).fetchone()
        assert found is not None
        return dict(zip(columns, found, strict=True))

    def _mapped(self, entity: str) -> tuple[str, ...]:
        """The mapped columns but those that complete the key: a change of these is another row."""
        key = next(iter(self._victims.catalog[entity].sources.values())).discriminator
        mapped = next(iter(self._victims.plans[entity].sources.values())).mapped_columns
        return tuple(column for column in mapped if column not in key)

    def _table(self, entity: str) -> sql.Identifier:
        return table(self._victims.catalog[entity].target)

    # --- whole rows and references -------------------------------------------------------------------------------

    def _reference(self) -> Injected | None:
        """Another row of a parent that the column may point to."""
        slots = [
            (name, slot.column, slot.parents)
            for name, plan in self._victims.plans.items()
            for slot in next(iter(plan.sources.values())).references
        ]
        entity, column, parents = self._luck.choice(slots)
        parent, _ = self._luck.choice(parents)
        rows = self._victims.free[parent]
        if not rows:
            return None
        _, other = self._luck.choice(rows)
        return self._update("reference", entity, {column: sql.Literal(other)})

    def _stale(self) -> Injected | None:
        """Several columns as they are in another row, as if an older version had been restored."""
        entity = self._luck.choice(list(self._victims.plans))
        mapped, rows = self._mapped(entity), self._victims.free[entity]
        if len(rows) < 2 or len(mapped) < 2:
            return None
        chosen = self._luck.sample(mapped, min(3, len(mapped)))
        _, other = self._luck.choice(rows[:-1])
        values: dict[str, sql.Composable] = {
            column: sql.SQL("(select o.{} from {} o where o.id = {})").format(
                sql.Identifier(column), self._table(entity), sql.Literal(other)
            )
            for column in chosen
        }
        return self._update("stale", entity, values)

    def _leaves(self) -> list[str]:
        """Entities that no reference of the catalog points to: a lost row of theirs spoils no other."""
        referred = {
            parent
            for plan in self._victims.plans.values()
            for source in plan.sources.values()
            for slot in source.references
            for parent, _ in slot.parents
        }
        return [name for name in self._victims.plans if name not in referred]

    def _lost(self) -> Injected | None:
        entity = self._luck.choice(self._leaves())
        taken = self._victims.take(entity)
        if taken is None:
            return None
        row, identity = taken
        statement = sql.SQL("delete from {} where id = {}").format(self._table(entity), sql.Literal(identity))
        return Injected("lost", row, "missing") if self._done(statement) else None

    def _extra(self) -> Injected | None:
        """A copy under a key that legacy does not have."""
        entity = self._luck.choice(list(self._victims.plans))
        taken = self._victims.take(entity)
        if taken is None:
            return None
        (_, source, key), identity = taken
        self._fresh += 1
        new = (self._fresh, *key[1:])
        names = self._victims.catalog[entity].sources[source].key
        changes = {"id": str(uuid.UUID(int=self._luck.getrandbits(128))), **dict(zip(names, new, strict=True))}
        statement = sql.SQL(
            "insert into {table} select (jsonb_populate_record(t, {changes})).* from {table} t where t.id = {id}"
        ).format(
            table=self._table(entity), changes=sql.Literal(psycopg.types.json.Jsonb(changes)),
            id=sql.Literal(identity),
        )  # fmt: skip
        return Injected("extra", (entity, source, new), "gone") if self._done(statement) else None

    def _unmapped(self) -> Injected | None:
        """A column that belongs to the target alone."""
        places = [
            (name, column)
            for name, plan in self._victims.plans.items()
            for column, described in plan.table.columns.items()
            if described.base_oid in _TEXTS
            and not described.labels
            and column not in next(iter(plan.sources.values())).target_columns
        ]
        return self._set("unmapped", places, "'changed natively'")
