"""What people do in the target meanwhile: rows of their own, edits of columns that no run writes; and broken wires."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import psycopg

from tests.faults.beat import Beat

_LONGEST_PAUSE = 0.02
_NOTES = (
    "update people set note = note + 1 where id in (select id from people order by random() limit 3)",
    "update teams set note = note + 1 where id in (select id from teams order by random() limit 2)",
    "update invoices set note = note + 1 where id in (select id from invoices order by random() limit 3)",
    "update memberships set note = note + 1 where id in (select id from memberships"
    " where legacy_team_id % 7 <> 0 order by random() limit 2)",  # the others are there for a moment only
    "update messages set note = note + 1 where id in (select id from messages order by random() limit 2)",
)
_ROWS = (
    "insert into invoices (payer_id, currency, total, status) select id, 'USD', 12.34, 'native' from people"
    " order by random() limit 1",
    "insert into teams (name, lead_id) select 'native', id from people order by random() limit 1",
    "insert into messages (kind, author_id) select 'native', id from people order by random() limit 1",
    "update people set name = name || '.' where legacy_person_id is null",
    "delete from teams where legacy_team_id is null and random() < 0.3",
    "delete from messages where legacy_message_id is null and random() < 0.2",
)
_TERMINATE = (
    "select pg_terminate_backend(pid) from (select pid from pg_stat_activity where application_name = 'hybrid-sync'"
    " and datname = current_database() and pid <> pg_backend_pid() order by random() limit 1) s"
)


class NativeWriter:
    """Edits the target as its owner at each beat, and now and then cuts one of the engine's backends."""

    def __init__(self, owner: str, target_superuser: str, legacy: str, luck: random.Random) -> None:
        self._luck = luck
        self._connection = psycopg.connect(owner, autocommit=True)
        self._connection.execute("set lock_timeout = '50ms'")
        self._legacy = legacy
        self._superusers = [psycopg.connect(dsn, autocommit=True) for dsn in (target_superuser, legacy)]
        self.beat = Beat(self._write, luck, _LONGEST_PAUSE)
        self._cuts_left = 0
        self.cut = 0

    def reconnect(self) -> None:
        """After legacy has cut every wire."""
        self._superusers[1].close()
        self._superusers[1] = psycopg.connect(self._legacy, autocommit=True)

    def start(self, cuts: int) -> None:
        """Edit at each beat; at most `cuts` backends will be terminated."""
        self._cuts_left = cuts
        self.beat.start()

    def settle(self) -> None:
        """Stop; nothing is open afterwards."""
        self.beat.stop()

    def close(self) -> None:
        for connection in (self._connection, *self._superusers):
            connection.close()

    def _write(self) -> None:
        if self._cuts_left and self._luck.random() < 0.05:
            self._cut()
        self._edit()

    def _cut(self) -> None:
        self._cuts_left -= 1
        rows = self._luck.choice(self._superusers).execute(_TERMINATE).fetchall()
        self.cut += len(rows)

    def _edit(self) -> None:
        try:
            with self._connection.transaction(force_rollback=self._luck.random() < 0.1):
                for _ in range(self._luck.choice((1, 1, 2))):
                    self._luck.choice(self._kinds())()
                # Locks are held for a moment, as an application holds them.
                time.sleep(self._luck.uniform(0, 0.01))
        except (psycopg.errors.IntegrityError, psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            # A row that others refer to, an address that is taken, a row that a run holds.
            return

    def _kinds(self) -> tuple[Callable[[], None], ...]:
        return self._note, self._note, self._row, self._person, self._leave

    def _note(self) -> None:
        self._connection.execute(self._luck.choice(_NOTES))

    def _row(self) -> None:
        self._connection.execute(self._luck.choice(_ROWS))

    def _person(self) -> None:
        """Takes an address that legacy may want, too."""
        address = f"shared{self._luck.randrange(12)}@example.org"
        self._connection.execute("insert into people (email, name) values (%s, 'native')", (address,))

    def _leave(self) -> None:
        """Gives addresses back."""
        self._connection.execute(
            "update people set email = 'gone-' || id || '@example.org' where legacy_person_id is null"
            " and email like 'shared%' and random() < 0.3"
        )
