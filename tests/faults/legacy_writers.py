"""What goes on in legacy meanwhile: transactions of every length and end, over rows that the runs are reading.

Several sessions take turns in one thread.  Each has rows of its own to change, so that they rarely wait for each
other; where they do, a short lock timeout ends the one that waits.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import LiteralString

import psycopg
from psycopg import sql

from tests.faults.beat import Beat

SESSIONS = 4
_LOCK_TIMEOUT = "set lock_timeout = '30ms'"
_BAD_JSON = ("{bad", '"\\u0000"')
_LONGEST_PAUSE = 0.008
_LENGTHS = (1, 1, 1, 2, 3, 8, 40)
_SPREAD = 250
"""Keys are spread over several lock buckets of 500."""

Statement = tuple[LiteralString, tuple[object, ...]]


@dataclass
class _Session:
    connection: psycopg.Connection[tuple[object, ...]]
    lane: int
    open: bool = False
    left: int = 0
    savepoint: bool = False


@dataclass
class Known:
    """Keys that were ever written, also by transactions that were rolled back; by session."""

    people: dict[int, list[int]] = field(default_factory=lambda: {lane: [] for lane in range(SESSIONS)})
    teams: dict[int, list[int]] = field(default_factory=lambda: {lane: [] for lane in range(SESSIONS)})
    payments: dict[int, list[int]] = field(default_factory=lambda: {lane: [] for lane in range(SESSIONS)})
    messages: dict[int, list[int]] = field(default_factory=lambda: {lane: [] for lane in range(SESSIONS)})
    memberships: dict[int, list[tuple[int, int]]] = field(
        default_factory=lambda: {lane: [] for lane in range(SESSIONS)}
    )


class LegacyWriter:
    """Writes a statement at each beat; what it does is fixed by `luck`, when exactly it does it is not."""

    def __init__(self, dsn: str, luck: random.Random) -> None:
        self._dsn = dsn
        self._luck = luck
        self._connect()
        self._prepared: list[str] = []
        self.erases = False
        """Whether rows go that only the reconcile can miss."""
        self._gone: set[int] = set()
        self._names = self._born = 0
        self.known = Known()
        self.authors: dict[int, set[int]] = {}
        """Whoever may ever have written a message, by its key."""
        self.committed = 0
        self.beat = Beat(self._write, luck, _LONGEST_PAUSE)

    def _connect(self) -> None:
        self._heater = psycopg.connect(self._dsn, autocommit=True)
        self._sessions = [_Session(psycopg.connect(self._dsn, autocommit=True), lane) for lane in range(SESSIONS)]
        for session in self._sessions:
            session.connection.execute(_LOCK_TIMEOUT)
        self._resolver = psycopg.connect(self._dsn, autocommit=True)

    def reconnect(self) -> None:
        """After every wire was cut while all was settled."""
        self.close()
        self._connect()

    def mourn(self, keys: Iterable[int]) -> None:
        """These rows are gone: a new one under the key of one would begin its versions anew."""
        self._gone.update(keys)

    def fill(self) -> None:
        """The rows that are there before the first run."""
        session = self._sessions[0]
        with session.connection.transaction():
            for n, (currency, closed) in enumerate((("USD", False), ("JPY", False), ("INR", True))):
                session.connection.execute("insert into office values (%s, %s, %s)", (n + 1, currency, closed))
        for session in self._sessions:
            for make in (self._team, self._team, self._person, self._person, self._person, self._person,
                         self._payment, self._payment, self._payment, self._membership, self._message,
                         self._message):  # fmt: skip
                statement, values = make(session.lane)
                session.connection.execute(statement, values)

    def warm_up(self, statements: int) -> None:
        """Write at once, so that transactions are open when the first run begins."""
        for _ in range(statements):
            self._write()

    def hot_people(self) -> list[int]:
        """A few people of different sessions, to fight for."""
        return [keys[self._luck.randrange(len(keys))] for keys in self.known.people.values()]

    def heat(self, people: list[int]) -> None:
        """Change them and commit, beside the sessions; rows that these have locked are left alone."""
        self._heater.execute(
            "update person set name = 'hot ' || rev, rev = rev + 1 where id in"
            " (select id from person where id = any(%s) for update skip locked)",
            (people,),
        )

    def settle(self) -> None:
        """Stop, and end every transaction one way or the other."""
        self.beat.stop()
        for session in self._sessions:
            if session.open:
                self._end(session)
        while self._prepared:
            self._resolve()

    def close(self) -> None:
        self._heater.close()
        self._resolver.close()
        for session in self._sessions:
            session.connection.close()

    # --- transactions --------------------------------------------------------------------------------------

    def _write(self) -> None:
        if self._prepared and self._luck.random() < 0.05:
            self._resolve()
        self._turn(self._luck.choice(self._sessions))

    def _turn(self, session: _Session) -> None:
        """One statement of one session."""
        try:
            if not session.open:
                level = "repeatable read" if self._luck.random() < 0.2 else "read committed"
                session.connection.execute(sql.SQL("begin isolation level {}").format(sql.SQL(level)))
                session.open, session.left, session.savepoint = True, self._luck.choice(_LENGTHS), False
            elif session.left == 0:
                self._end(session)
            else:
                self._do(session)
        except psycopg.Error:
            # A lock that was not free, a unique value that was taken, a snapshot that is too old.
            session.connection.execute("rollback")
            session.open = False

    def _do(self, session: _Session) -> None:
        session.left -= 1
        if not session.savepoint and self._luck.random() < 0.25:
            session.connection.execute("savepoint s")
            session.savepoint = True
        statement, values = self._luck.choice(self._kinds())(session.lane)
        session.connection.execute(statement, values)
        if session.savepoint and self._luck.random() < 0.4:
            if self._luck.random() < 0.5:
                session.connection.execute("rollback to savepoint s")
            session.connection.execute("release savepoint s")
            session.savepoint = False

    def _end(self, session: _Session) -> None:
        session.open = False
        how = self._luck.random()
        if how < 0.15:
            session.connection.execute("rollback")
        elif how < 0.3 and len(self._prepared) < 5:
            self._names += 1
            session.connection.execute(sql.SQL("prepare transaction {}").format(sql.Literal(f"faults-{self._names}")))
            self._prepared.append(f"faults-{self._names}")
        else:
            session.connection.execute("commit")
            self.committed += 1

    def _resolve(self) -> None:
        name = self._prepared.pop(self._luck.randrange(len(self._prepared)))
        verb = "commit" if self._luck.random() < 0.7 else "rollback"
        # Any session may end it, but none that has a transaction open.
        self._resolver.execute(sql.SQL("{} prepared {}").format(sql.SQL(verb), sql.Literal(name)))

    # --- statements ----------------------------------------------------------------------------------------

    def _kinds(self) -> tuple[Callable[[int], Statement], ...]:
        usual: tuple[Callable[[int], Statement], ...] = (
            self._person, self._pair, self._team, self._payment, self._membership, self._message, self._message,
            self._rename, self._rename, self._move, self._email, self._promote, self._pay, self._pay, self._cancel,
            self._office, self._role, self._rewrite, self._forget, self._author, self._lead, self._bulk_people,
            self._bulk_payments, self._rekey,
        )  # fmt: skip
        return (*usual, self._erase, self._erase) if self.erases else usual

    def _new_id(self, lane: int, known: list[int]) -> int:
        """Of this session alone; sometimes below all that exist, as a late commit's are."""
        while (key := self._luck.randrange(-20, _SPREAD) * SESSIONS + lane) in self._gone:
            pass
        known.append(key)
        return key

    def _some(self, known: list[int]) -> int:
        return self._luck.choice(known) if known else 0

    def _any(self, known: dict[int, list[int]]) -> int | None:
        """Any session's key, often a new one, and one that was rolled back too: an orphan, for now; or none."""
        keys = known[self._luck.randrange(SESSIONS)]
        if not keys or self._luck.random() < 0.1:
            return None
        return self._luck.choice(keys[-3:] if self._luck.random() < 0.5 else keys)

    def _address(self) -> str:
        return f"shared{self._luck.randrange(12)}@example.org"

    def _person(self, lane: int) -> Statement:
        key = self._new_id(lane, self.known.people[lane])
        address = self._address() if self._luck.random() < 0.2 else f"p{key}@example.org"
        return (
            "insert into person (id, email, name, team_id, boss_id) values (%s, %s, %s, %s, %s) on conflict do nothing",
            (key, address, f"canary-{key}-name", self._any(self.known.teams), self._any(self.known.people)),
        )

    def _pair(self, lane: int) -> Statement:
        """Two new people, the one led by the other."""
        one, other = (self._new_id(lane, self.known.people[lane]) for _ in range(2))
        return (
            "insert into person (id, email, name, boss_id) select id, 'p' || id || '@example.org',"
            " 'canary-' || id || '-pair', boss"
            " from (values (%s::int, %s::int), (%s, null)) as pair (id, boss) on conflict do nothing",
            (one, other, other),
        )

    def _team(self, lane: int) -> Statement:
        key = self._new_id(lane, self.known.teams[lane])
        return (
            "insert into team (id, name, lead_id) values (%s, %s, %s) on conflict do nothing",
            (key, f"team {key}", self._any(self.known.people)),
        )

    def _payment(self, lane: int) -> Statement:
        key = self._new_id(lane, self.known.payments[lane])
        cents = self._luck.randrange(-500_00, 5_000_00)
        return (
            "insert into payment (id, person_id, office_id, total, paid) values (%s, %s, %s, %s / 100.0, %s)"
            " on conflict do nothing",
            (key, self._any(self.known.people) or 0, self._luck.randrange(1, 4), cents, self._luck.random() < 0.5),
        )

    def _membership(self, lane: int) -> Statement:
        pair = (self._some(self.known.people[lane]), self._any(self.known.teams) or 0)
        self.known.memberships[lane].append(pair)
        values = (*pair, self._luck.randrange(1, 4), self._version())
        return "insert into membership values (%s, %s, %s, %s) on conflict do nothing", values

    def _message(self, lane: int) -> Statement:
        known = self.known.messages[lane]
        key = self._some(known) if known and self._luck.random() < 0.4 else self._new_id(lane, known)
        values = (key, self._writes(key), self._json(), self._version())
        if self._luck.random() < 0.5:
            return "insert into comment values (%s, %s, %s, %s) on conflict do nothing", values
        return "insert into record values (%s, %s, %s, %s) on conflict do nothing", values

    def _version(self) -> int:
        """Of a key that may come back: later than it ever was."""
        self._born += 1
        return self._born * 1_000

    def _erase(self, lane: int) -> Statement:
        """A row goes whose entity does not follow, or whose table others are counted over."""
        kind = self._luck.randrange(4)
        if kind == 0:
            return "delete from payment where id = %s", (self._some(self.known.payments[lane]),)
        if kind == 1:
            return "delete from team where id = %s", (self._some(self.known.teams[lane]),)
        if kind == 2:
            return "delete from person where id = %s", (self._some(self.known.people[lane]),)
        pairs = self.known.memberships[lane]
        return "delete from membership where person_id = %s and team_id = %s", self._luck.choice(pairs or [(0, 0)])

    def _forget(self, lane: int) -> Statement:
        values = (self._some(self.known.messages[lane]),)
        if self._luck.random() < 0.5:
            return "delete from comment where id = %s", values
        return "delete from record where id = %s", values

    def _rekey(self, lane: int) -> Statement:
        """A key is updated in place: one row goes, and another one comes."""
        known = self.known.messages[lane]
        old = self._some(known)
        key = self._new_id(lane, known)
        self.authors[key] = self.authors.get(key, set()) | self.authors.get(old, set())
        values = (key, self._version(), old)
        if self._luck.random() < 0.5:
            return "update comment set id = %s, rev = %s where id = %s", values
        return "update record set id = %s, rev = %s where id = %s", values

    def rotate(self) -> None:
        """Every person's address moves on to the next one, in one transaction; nobody else may be at work."""
        with self._heater.transaction():
            self._heater.execute("create temporary table moved on commit drop as select id, email, coalesce("
                                 "lead(email) over o, first_value(email) over o) as wanted from person"
                                 " window o as (order by id)")  # fmt: skip
            self._heater.execute("update person set email = 'moving-' || id")
            self._heater.execute("update person p set email = m.wanted, rev = p.rev + 1 from moved m where m.id = p.id")

    def empty(self) -> None:
        """All comments go at once."""
        self._heater.execute("truncate comment")

    def swap_table(self) -> None:
        """Teams move to a copy that was made before, in which each of them has changed: a rename shows no row."""
        with self._heater.transaction():
            self._heater.execute("alter table team rename to team_before")
            self._heater.execute("alter table team_copy rename to team")
            self._heater.execute("drop table team_before")

    def touch(self) -> None:
        """Rows that refer to people change, and their references do not."""
        for table in ("comment", "record", "payment", "team", "membership"):
            self._heater.execute(sql.SQL("update {} set rev = rev + 1").format(sql.Identifier(table)))

    def copy_table(self) -> None:
        """The copy of teams, before the run whose fence will pass over it."""
        self._heater.execute("drop table if exists team_copy")
        self._heater.execute("create table team_copy (like team including all)")
        self._heater.execute("insert into team_copy select id, name || '+', lead_id, rev + 1 from team")

    def _writes(self, message: int) -> int | None:
        """An author of the message, whether or not this commits."""
        author = self._any(self.known.people)
        if author is not None:
            self.authors.setdefault(message, set()).add(author)
        return author

    def _json(self) -> str | None:
        if self._luck.random() < 0.06:
            return self._luck.choice(_BAD_JSON)
        return self._luck.choice((None, '{"n": 1.0}', f'{{"n": {self._luck.randrange(9)}}}', "[]"))

    def _rename(self, lane: int) -> Statement:
        """Like QuerySet.update(): updated_at stays."""
        key = self._some(self.known.people[lane])
        values = (f"canary-{key}-name {self._luck.randrange(99)}", key)
        return "update person set name = %s, rev = rev + 1 where id = %s", values

    def _move(self, lane: int) -> Statement:
        return (
            "update person set team_id = %s, updated_at = now() - %s * interval '1 hour', rev = rev + 1 where id = %s",
            (self._any(self.known.teams), self._luck.randrange(3), self._some(self.known.people[lane])),
        )

    def _email(self, lane: int) -> Statement:
        key = self._some(self.known.people[lane])
        address = self._address() if self._luck.random() < 0.4 else f"p{key}@example.org"
        return "update person set email = %s, updated_at = now(), rev = rev + 1 where id = %s", (address, key)

    def _promote(self, lane: int) -> Statement:
        values = (self._any(self.known.people), self._some(self.known.people[lane]))
        return "update person set boss_id = %s, rev = rev + 1 where id = %s", values

    def _lead(self, lane: int) -> Statement:
        values = (self._any(self.known.people), self._some(self.known.teams[lane]))
        return "update team set lead_id = %s, rev = rev + 1 where id = %s", values

    def _pay(self, lane: int) -> Statement:
        """A receipt's row enters its rule, or leaves it."""
        return (
            "update payment set paid = not paid, total = total + 0.01, updated_at = now(), rev = rev + 1 where id = %s",
            (self._some(self.known.payments[lane]),),
        )

    def _cancel(self, lane: int) -> Statement:
        values = (self._some(self.known.payments[lane]),)
        return "update payment set canceled = not canceled, rev = rev + 1 where id = %s", values

    def _office(self, lane: int) -> Statement:
        """A joined row changes, and with it many rows' values and rules; one session per office."""
        if lane == 0:
            return "update office set closed = not closed, rev = rev + 1 where id = 1", ()
        currency = self._luck.choice(("USD", "JPY", "INR", "THB"))
        return "update office set currency = %s, rev = rev + 1 where id = %s", (currency, min(lane, 3))

    def _role(self, lane: int) -> Statement:
        pairs = self.known.memberships[lane]
        pair = self._luck.choice(pairs) if pairs else (0, 0)
        return (
            "update membership set role = %s, rev = rev + 1 where person_id = %s and team_id = %s",
            (self._luck.randrange(1, 4), *pair),
        )

    def _rewrite(self, lane: int) -> Statement:
        values = (self._json(), self._some(self.known.messages[lane]))
        if self._luck.random() < 0.5:
            return "update comment set meta = %s, rev = rev + 1 where id = %s", values
        return "update record set meta = %s, rev = rev + 1 where id = %s", values

    def _author(self, lane: int) -> Statement:
        key = self._some(self.known.messages[lane])
        values = (self._writes(key), key)
        return "update comment set author_id = %s, rev = rev + 1 where id = %s", values

    def _bulk_people(self, lane: int) -> Statement:
        values = (f"bulk {self._luck.randrange(99)}", self.known.people[lane])
        return "update person set name = %s, rev = rev + 1 where id = any(%s)", values

    def _bulk_payments(self, lane: int) -> Statement:
        values = (self.known.payments[lane],)
        return "update payment set total = total + 1, rev = rev + 1 where id = any(%s)", values
