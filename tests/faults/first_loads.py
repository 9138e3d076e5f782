"""Days on which tables are loaded for the first time: some or all are empty, and nothing remembers that they were not.

What a first load takes apart must be there again, exactly, whatever happened on the way.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import psycopg
from psycopg import sql

from hybrid_sync.runs.holds import holds, release
from tests.faults.cloud import Store

ENTITIES = ("teams", "people", "memberships", "invoices", "receipts", "messages")
_SOME = (ENTITIES, ENTITIES, ("memberships",), ("receipts",), ("messages",), ("invoices", "receipts"),
         ("memberships", "messages"))  # fmt: skip
"""What nothing else refers to can be new alone."""
# Who was erased, and what a first load has dropped, outlive an entity's rows.
_RECORDS = """
select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'hybrid_sync' and c.relkind in ('r', 'p') and not c.relispartition
  and c.relname not in ('suppressed', 'bulk_table', 'bulk_part', 'audit', 'run_entity')
  and exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'entity')
"""
_ALL_RECORDS = """
select format('truncate %s', string_agg(c.oid::regclass::text, ', ')) from pg_class c
join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'hybrid_sync' and c.relkind in ('r', 'p')
and c.relname not in ('migration', 'audit', 'bulk_table', 'bulk_part')
"""
_LEFT_OPEN = "select entity from hybrid_sync.bulk_table where run_id is not null"
_SHAPE = """
select 'index ' || i.indexrelid::regclass, pg_get_indexdef(i.indexrelid),
       to_jsonb(i) - '{indexrelid,indexprs,indpred,indcheckxmin}'::text[],
       c.reltablespace, obj_description(c.oid, 'pg_class')
from pg_index i join pg_class c on c.oid = i.indexrelid where c.relnamespace = 'public'::regnamespace
union all
select 'constraint ' || k.conname, pg_get_constraintdef(k.oid),
       to_jsonb(k) - '{oid,conindid}'::text[] || jsonb_build_object('index', k.conindid::regclass),
       0, obj_description(k.oid)
from pg_constraint k where k.connamespace = 'public'::regnamespace
union all
select 'trigger ' || case when t.tgisinternal then 'of ' || k.conname else t.tgname end || ' on ' || t.tgrelid::regclass
       || ' ' || t.tgtype, k.conname,
       to_jsonb(t) - '{oid,tgname,tgconstraint,tgconstrindid}'::text[]
       || jsonb_build_object('index', t.tgconstrindid::regclass), 0, obj_description(t.oid)
from pg_trigger t left join pg_constraint k on k.oid = t.tgconstraint
where t.tgrelid in (select c.oid from pg_class c where c.relnamespace = 'public'::regnamespace)
"""
_BREAKS = (
    "insert into messages (id, kind, author_id) values (%s, 'native', gen_random_uuid())",
    "insert into receipts (id, invoice_id, total) values (%s, gen_random_uuid(), 1)",
    "insert into memberships (id, role, team_id) values (%s, 'guest', gen_random_uuid())",
)
_TAKEN_BACK = tuple(f"delete from {name} where id = any(%s)" for name in ("messages", "receipts", "memberships"))


def end_all(target: psycopg.Connection[Any]) -> None:
    """What an episode before has left open."""
    for (entity,) in target.execute(_LEFT_OPEN).fetchall():
        while target.execute("select hybrid_sync.end_bulk(%s)", (entity,)).fetchone() != (None,):
            pass
        target.execute("select * from hybrid_sync.prove_bulk(%s, 0), generate_series(1, 9)", (entity,))


def clear(target: psycopg.Connection[Any]) -> None:
    """All tables are empty, and the engine's records too."""
    target.execute(
        sql.SQL("truncate {}, probe.violation, probe.taken_back").format(
            sql.SQL(", ").join(map(sql.Identifier, ENTITIES))
        )
    )
    end_all(target)
    for (statement,) in target.execute(_ALL_RECORDS).fetchall():
        target.execute(statement)


class FirstLoads:
    """Of one episode: what was there before the first one, and who meddles meanwhile."""

    def __init__(self, owner: str, superuser: str, store: Store, luck: random.Random) -> None:
        self._superuser = superuser
        self._store = store
        self._luck = luck
        self._target = psycopg.connect(owner, autocommit=True, options="-c lock_timeout=50ms")
        self._broken: list[uuid.UUID] = []
        self._before = self._shape()

    def close(self) -> None:
        self._target.close()

    def begin(self) -> Sequence[str]:
        """Some entities, or all, are as on their first day; nobody is at work.  Which."""
        some = self._luck.choice(_SOME)
        with psycopg.connect(self._superuser, autocommit=True) as target:
            if some == ENTITIES:
                clear(target)
            else:
                self._forget(target, some)
        for entity in some:
            self._store.ask("delete from page where pk like ?", f"{entity}/%")
        return some

    def _forget(self, target: psycopg.Connection[Any], some: Sequence[str]) -> None:
        with target.transaction():
            target.execute("set local session_replication_role = replica")  # the audit is not asked
            for entity in some:
                target.execute(sql.SQL("delete from {}").format(sql.Identifier(entity)))
            for (table,) in target.execute(_RECORDS).fetchall():
                target.execute(f"delete from {table} where entity = any(%s)".encode(), (list(some),))

    def meddle(self) -> None:
        """Somebody writes a row that refers to nothing, or is refused."""
        n = self._luck.randrange(len(_BREAKS))
        row = uuid.UUID(int=self._luck.getrandbits(128), version=4)
        with suppress(psycopg.errors.IntegrityError, psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected,
                      psycopg.errors.UndefinedColumn, psycopg.errors.NotNullViolation):  # fmt: skip
            self._target.execute(_BREAKS[n], (row,))
            self._broken.append(row)

    def make_good(self) -> int:
        """Such rows are gone again; how many there were."""
        for statement in _TAKEN_BACK if self._broken else ():
            self._target.execute(statement.encode(), (self._broken,))
        found, self._broken = len(self._broken), []
        return found

    def last_run(self) -> str | None:
        """The last run of a whole flow that has written something."""
        row = self._target.execute(
            "select r.run_id from hybrid_sync.run r where r.run_id like 'run-%' and r.undone_by is null and exists"
            " (select from hybrid_sync.journal j where j.run_id = r.run_id) order by r.started_at desc limit 1"
        ).fetchone()
        return row[0] if row else None

    def release(self) -> None:
        """What a rollback holds may be written again."""
        release(self._target, [hold.entity for hold in holds(self._target)])

    def changed(self) -> list[str]:
        """Indexes, constraints and triggers that are not as they were before the first day."""
        now = self._shape()
        names = sorted({*now, *self._before}, key=str)
        return [f"{name} is not as it was" for name in names if now.get(name) != self._before.get(name)]

    def _shape(self) -> dict[str, list[Any]]:
        with psycopg.connect(self._superuser, autocommit=True) as target:
            rows = target.execute(_SHAPE).fetchall()
        shape: dict[str, list[Any]] = {}
        for name, *rest in rows:
            shape.setdefault(name, []).append(rest)
        return {name: sorted(found, key=str) for name, found in shape.items()}
