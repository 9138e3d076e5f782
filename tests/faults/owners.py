"""What the owners of both databases do beside the runs, and take back before the day ends: triggers that refuse rows
with any SQLSTATE, columns that are not there for a while, row security that hides rows.

And what somebody does who can write to the id cache.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress

import psycopg
from psycopg import sql

from hybrid_sync.ids.seal import Seal
from tests.faults.cloud import Store

SECRET = b"ordered:a secret for the fault harness"
_STATES = ("23505", "P0001", "40001", "40P01", "55P03", "57014", "53100", "08006", "25006", "42501", "XX000", "0A000")
"""Not of those that say that the row itself is bad (23514, class 22): only a run of everything tries these again while
the row stays as it is, and the days are judged after daily runs."""
_TABLES = ("teams", "people", "memberships", "invoices", "receipts", "messages")
_LEGACY_TABLES = ("team", "person", "membership", "payment", "comment", "record")
_COLUMNS = (("receipts", "office_rev"), ("messages", "meta"), ("memberships", "role"), ("teams", "size"))
_WIDTH = 16


class Owners:
    """Changes one thing at a time, and puts it back."""

    def __init__(self, legacy: str, target_owner: str, luck: random.Random) -> None:
        self._luck = luck
        self._legacy_dsn = legacy
        self._legacy = psycopg.connect(legacy, autocommit=True, options="-c lock_timeout=200ms")
        self._target = psycopg.connect(target_owner, autocommit=True, options="-c lock_timeout=200ms")
        self._back: Callable[[], None] | None = None
        self.acts = 0

    def reconnect(self) -> None:
        """After legacy has cut every wire."""
        self._legacy.close()
        self._legacy = psycopg.connect(self._legacy_dsn, autocommit=True, options="-c lock_timeout=200ms")

    def close(self) -> None:
        self._legacy.close()
        self._target.close()

    def turn(self) -> None:
        """Begin something, or take back what was begun."""
        if self._back is not None:
            self._take_back()
            return
        act = self._luck.choice((self._trigger, self._column, self._row_security))
        # Where runs or writers hold the table, not now.
        with suppress(psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            act()
            self.acts += 1

    def settle(self) -> None:
        """Take back what was begun, however long somebody holds the table."""
        while self._back is not None:
            self._take_back()

    def _take_back(self) -> None:
        assert self._back is not None
        with suppress(psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            self._back()
            self._back = None

    def _trigger(self) -> None:
        """Some rows are refused, with a code that says anything but why."""
        table, state = self._luck.choice(_TABLES), self._luck.choice(_STATES)
        self._target.execute(
            sql.SQL(
                "create or replace function probe.spite() returns trigger language plpgsql as $$ begin"
                " raise exception 'no' using errcode = {}; end $$"
            ).format(sql.Literal(state))
        )
        when = "after" if self._luck.random() < 0.3 else "before"
        self._target.execute(
            sql.SQL(
                "create trigger spite {} insert or update on {} for each row"
                " when (session_user = 'hybrid_sync_worker' and new.rev % 3 = 0) execute function probe.spite()"
            ).format(sql.SQL(when), sql.Identifier(table))
        )
        self._back = lambda: self._do(self._target, "drop trigger if exists spite on {}", table)

    def _column(self) -> None:
        """The catalog does not fit the target."""
        table, column = self._luck.choice(_COLUMNS)
        self._do(self._target, "alter table {} rename column {} to away", table, column)
        self._back = lambda: self._do(self._target, "alter table {} rename column away to {}", table, column)

    def _row_security(self) -> None:
        """Legacy shows every other row only, to all but its owner."""
        table = self._luck.choice(_LEGACY_TABLES)
        self._do(self._legacy, "alter table {} enable row level security", table)
        self._back = lambda: self._do(self._legacy, "alter table {} disable row level security", table)

    def _do(self, connection: psycopg.Connection[tuple[object, ...]], statement: str, *names: str) -> None:
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))  # type: ignore[arg-type]


class Intruder:
    """Writes to the id cache's table: pages with two ids swapped, under the old seal or a right one."""

    def __init__(self, store: Store, luck: random.Random) -> None:
        self._store = store
        self._luck = luck
        self._seal = Seal(SECRET)
        self.swaps = 0

    def take_back(self) -> None:
        """Nobody has used the swapped ids; a run that is lost later must not, for no proof follows it."""
        self._store.ask("delete from page")

    def swap(self, *, entity: str = "", sealed: bool = False) -> int:
        """Swap ids in a page, or in all pages of an entity; how many pages have changed."""
        pages = self._store.ask("select pk, ids, seal from page where pk like ? order by pk", f"{entity}%")
        if pages and not entity:
            pages = [self._luck.choice(pages)]
        changed = 0
        for name, ids, seal in pages:
            slots = [ids[at : at + _WIDTH] for at in range(0, len(ids), _WIDTH)]
            known = [n for n, slot in enumerate(slots) if any(slot)]
            if len(known) < 2:
                continue
            self._luck.shuffle(known)
            moved = {to: slots[of] for of, to in zip(known, [*known[1:], known[0]], strict=True)}
            page = b"".join(moved.get(n, slot) for n, slot in enumerate(slots))
            put = self._seal.of(name, page) if sealed else seal
            self._store.ask(
                "update page set ids = ?, seal = ?, older = null where pk = ? and ids = ?", page, put, name, ids
            )
            changed += 1
        self.swaps += changed
        return changed
