"""A server that is told to pass over damaged pages shows less than it has, and says nothing: it is not read."""

from __future__ import annotations

import psycopg
import pytest

from hybrid_sync.errors import ConfigurationMissing
from hybrid_sync_cli.stack.postgres import Cluster
from tests.engine.test_legacy_history import execute, moved
from tests.engine.worlds import EngineWorld, run

_PAGE = 8192


def damage(cluster: Cluster, table: str, page: int) -> None:
    """As a disk does: garbage where a page was."""
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        connection.execute("checkpoint")
        [(path,)] = connection.execute("select pg_relation_filepath(%s)", (table,)).fetchall()
    cluster.stop()
    with (cluster.data / path).open("r+b") as file:
        file.seek(page * _PAGE)
        file.write(b"\xa5" * _PAGE)
    cluster.ensure()


def count(cluster: Cluster, table: str) -> int:
    with psycopg.connect(cluster.dsn(), options="-c zero_damaged_pages=on") as connection:
        return int(connection.execute(f"select count(*) from {table}".encode()).fetchall()[0][0])


@pytest.mark.parametrize("setting", ["zero_damaged_pages", "ignore_checksum_failure"])
def test_a_server_that_passes_over_damaged_pages_is_not_read(
    world: EngineWorld, own_legacy: Cluster, setting: str
) -> None:
    moved(world, own_legacy)
    execute(
        own_legacy,
        "insert into remark (id, person_id, body) select i, 1, repeat('x', 50) from generate_series(1000, 8000) i",
    )
    run(world, "first")
    execute(own_legacy, f"alter system set {setting} = on")
    damage(own_legacy, "remark", 20)
    moved(world, own_legacy)
    if setting == "zero_damaged_pages":
        assert count(own_legacy, "remark") < 7001, "rows have gone without a word"
    with pytest.raises(ConfigurationMissing, match=setting):
        run(world, "second")
    with world.connect_target() as target:
        assert target.execute("select count(*) from messages where legacy_id >= 1000").fetchall() == [(7001,)]


def test_a_damaged_page_costs_its_entity_alone_and_is_named(world: EngineWorld, own_legacy: Cluster) -> None:
    moved(world, own_legacy)
    execute(own_legacy, "insert into remark (id, person_id, body) select i, 1, 'x' from generate_series(1000, 8000) i")
    run(world, "first")
    execute(own_legacy, "update person set born = '2000-01-01' where id = 1")
    damage(own_legacy, "remark", 20)
    moved(world, own_legacy)
    done = run(world, "second", profile="daily")
    assert done.outcome.status == "failed"
    with world.connect_target() as target:
        found = target.execute(
            "select entity, failure->>'code', failure->>'text' from hybrid_sync.run_entity"
            " where run_id = 'second' and status <> 'verified'"
        ).fetchall()
        [(entity, code, text)] = found
        assert (entity, code) == ("messages", "structure_mismatch")
        assert "finds its own data damaged (XX001" in text
        assert target.execute("select born::text from people where legacy_id = 1").fetchall() == [("2000-01-01",)]
