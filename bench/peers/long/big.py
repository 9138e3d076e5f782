"""Worlds of one large table with a parent: messages with JSON in text, and narrow rows in any number."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bench.peers import catalog, targets
from bench.peers.copy_peer import carried
from bench.peers.engine_peer import prepare, run
from bench.peers.ground import Ground, create
from bench.peers.measure import Job, Measured, measured
from bench.peers.peer import Phase, Place
from bench.peers.tables import Column, Table
from hybrid_sync_cli.errors import CliError

_TIMES = (Column("created_at", "timestamptz"), Column("updated_at", "timestamptz"))
USERS = Table("users", (Column("name", "text"), *_TIMES))
MESSAGES = Table(
    "messages",
    (
        Column("user_id", "int", to="users"), Column("template", "text"), Column("context", "text", json=True),
        Column("is_read", "bool"), *_TIMES,
    ),
)  # fmt: skip
EVENTS = Table(
    "events", (Column("user_id", "int", to="users"), Column("kind", "text"), Column("amount", "bigint"), *_TIMES)
)
_USERS = """
insert into users
select i, 'user ' || i, timestamptz '2024-01-01Z', timestamptz '2024-02-01Z' from generate_series(1, 10000) i;"""
_FILL = {
    "messages": """
insert into messages
select i, 1 + i % 10000, 'tpl_' || i % 40,
       format('{{"case_id": %s, "url": "https://app.example.com/cases/%s", "actor": {{"id": %s, "name": "Ann"}}, '
              '"items": [%s, %s], "note": "%s"}}', i % 60000, i % 60000, i % 20000, i % 7, i % 11, md5(i::text)),
       i % 3 = 0, timestamptz '2024-01-01Z' + make_interval(secs => i),
       timestamptz '2024-02-01Z' + make_interval(secs => i)
from generate_series(1, {rows}) i;""",
    "events": """
insert into events
select i, 1 + i % 10000, 'kind ' || i % 12, i * 7 % 90001, timestamptz '2024-01-01Z' + make_interval(secs => i),
       timestamptz '2024-02-01Z' + make_interval(secs => i)
from generate_series(1, {rows}) i;""",
}


@dataclass(frozen=True)
class Big:
    """One of these tables with so many rows, and both databases of it; `drop` when it was measured."""

    ground: Ground
    table: Table
    place: Place

    @classmethod
    def made(cls, ground: Ground, table: Table, rows: int, like: Place) -> Big:
        create(ground.legacy, "big")
        legacy = ground.legacy.dsn("big")
        # Its keys once it is full, since 10 million rows are made.
        ground.run(legacy, targets.bare_with_numbers([USERS, table]))
        ground.run(legacy, _USERS)
        ground.run(legacy, _FILL[table.name].format(rows=rows))
        ground.run(legacy, f"alter table users add primary key (id); alter table {table.name} add primary key (id)")
        ground.run(legacy, "vacuum analyze")
        folder = ground.folder / "big"
        catalog.write(folder / "catalog", [USERS, table])
        return cls(ground, table, replace(like, legacy=legacy, catalog=folder / "catalog", folder=folder))

    def first_load(self) -> Measured:
        """The engine's, into empty tables."""
        place = self._target("big", targets.with_ids([USERS, self.table]))
        prepare(place)
        return self._measured(run(Phase.first, place), place)

    def raw_copy(self) -> Measured:
        place = self._target("big", targets.with_numbers([USERS, self.table]))
        return self._measured(carried(place, tables=[USERS, self.table]), place)

    def drop(self) -> None:
        self.ground.drop("big")
        self.ground.empty(self.place.folder)

    def _target(self, name: str, ddl: str) -> Place:
        self.ground.drop_target(name)
        folder = self.place.folder / "work"
        self.ground.empty(folder)
        return replace(self.place, target=self.ground.create_target(name, ddl), folder=folder)

    def _measured(self, job: Job, place: Place) -> Measured:
        self.ground.settle()
        figure = measured(job, self.ground.cpu)
        there, arrived = (self.ground.count(dsn, self.table.name) for dsn in (place.legacy, place.target))
        if there != arrived:
            raise CliError(f"{arrived} of {there} rows of {self.table.name} arrived, so the time means nothing.")
        return figure
