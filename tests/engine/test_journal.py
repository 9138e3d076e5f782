"""Rows that one statement changes share entries of the journal, and each of them is still found, undone and erased."""

from __future__ import annotations

import psycopg

from hybrid_sync.contracts import RollbackTask
from hybrid_sync.steps.rollback_run import rollback_run
from hybrid_sync.write.journal import CHANGES
from tests.engine.conftest import Query
from tests.engine.erasures import erase_rows, with_erasure
from tests.engine.mapped import Mapped, differing, mapped
from tests.engine.worlds import EngineWorld, run

_ENTRIES = """
select cardinality(keys), cardinality(ids) from hybrid_sync.journal where run_id = 'second' and entity = %s order by 1
"""
_CHANGES = f"""
select keys, before->>%s, prior::text from {CHANGES.as_string()} j where run_id = 'second' and entity = %s order by 1
"""


def now(world: EngineWorld) -> Mapped:
    with psycopg.connect(world.target_dsn, autocommit=True) as connection:
        return mapped(connection, world.catalog)


def undo(world: EngineWorld, run_id: str) -> dict[str, int]:
    outcome = rollback_run(world, RollbackTask(run_id=run_id))
    while outcome.more:
        outcome = rollback_run(world, RollbackTask(run_id=run_id, rollback_id=outcome.rollback_id))
    return outcome.undone.conflicts


def test_many_changed_rows_share_few_entries_and_all_go_back(world: EngineWorld, legacy: Query, target: Query) -> None:
    legacy("insert into visit (id, person_id, note) select i, 1, 'visit ' || i from generate_series(1001, 1600) i")
    run(world, "first")
    before = now(world)
    legacy("update visit set note = note || ' again' where id > 1000; update visit set person_id = 2 where id > 1590")
    run(world, "second")
    sizes = [keys for keys, _ in target(_ENTRIES, "visits")]
    assert (sum(sizes), max(sizes) <= 250, len(sizes) <= 6) == (600, True, True), sizes
    assert [line[:2] for line in target(_CHANGES, "note", "visits")] == [([i], f"visit {i}") for i in range(1001, 1601)]
    target("update visits set note = 'by hand' where legacy_id = 1300")
    [(edited,)] = target("select id::text from visits where legacy_id = 1300")
    assert undo(world, "second") == {"edited": 1}
    assert differing(before, now(world)) == {("visits", edited)}


def test_composite_keys_and_odd_texts_go_back(world: EngineWorld, legacy: Query, target: Query) -> None:
    odd = r"""e'{"a\\",b}, NULL \n {{1,2}}'"""
    legacy(f"update remark set body = {odd} where id < 4; update remark set body = 'NULL' where id = 4")
    legacy("update letter set body = null where id = 2; update letter set body = '' where id = 3")
    run(world, "first")
    before = now(world)
    legacy("update remark set body = 'new'; update letter set body = 'new'; update grant_of set level = person_id + 1")
    run(world, "second")
    assert [(width, rows) for width, rows in target(_ENTRIES, "grants")] == [(24, 12)]
    assert [key for key, *_ in target(_CHANGES, "level", "grants")] == [[i, r] for i in range(1, 5) for r in (1, 2, 3)]
    assert undo(world, "second") == {}
    assert differing(before, now(world)) == set()


def test_a_row_with_a_long_image_has_an_entry_of_its_own(world: EngineWorld, legacy: Query, target: Query) -> None:
    legacy("update remark set body = repeat('x', 9000) where id = 2")
    run(world, "first")
    before = now(world)
    legacy("update remark set body = 'new' where id <= 3")
    run(world, "second")
    assert target(_ENTRIES, "messages") == [(1, None), (2, 2)]
    alone = "select keys, length(before->>'body') from hybrid_sync.journal where run_id = 'second' and ids is null"
    assert target(alone) == [([2], 9000)]
    assert undo(world, "second") == {}
    assert differing(before, now(world)) == set()


def test_entries_of_one_row_each_are_undone_as_those_that_rows_share(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    """As releases before wrote them."""
    run(world, "first")
    before = now(world)
    legacy("update person set settings = null where id <= 5; update visit set note = null where id <= 4")
    run(world, "second")
    changed = target(_CHANGES, "settings", "people")
    target(
        "insert into hybrid_sync.journal (recorded_at, run_id, batch_id, entity, source, operation, keys, id, xid,"
        " prior, before) select recorded_at, run_id, batch_id, entity, source, operation, keys, id, xid, prior, before"
        f" from {CHANGES.as_string()} j where run_id = 'second' and operation = 'update' order by seq, place"
    )
    target("delete from hybrid_sync.journal where ids is not null")
    assert (len(changed), target(_CHANGES, "settings", "people")) == (5, changed)
    assert undo(world, "second") == {}
    assert differing(before, now(world)) == set()


def test_what_an_erasure_takes_out_of_an_entry_leaves_the_others(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    with_erasure(world)
    run(world, "first")
    legacy("update person set email = 'New' || id || '@example.org'; update grant_of set level = level + 1")
    run(world, "second")
    people, grants = target(_CHANGES, "email", "people"), target(_CHANGES, "person_id", "grants")
    erase_rows(world, (3,))
    assert target(_ENTRIES, "people")[-1] == (11, 11)
    assert target(_ENTRIES, "grants") == [(18, 9)]
    assert target(_CHANGES, "email", "people") == [line for line in people if line[0] != [3]]
    assert target(_CHANGES, "person_id", "grants") == [line for line in grants if line[0][0] != 3]
    assert undo(world, "second") == {}
    emails = target("select array[legacy_id], email from people where legacy_id <> 3 order by 1")
    assert emails == [(key, email) for key, email, _ in people if key != [3]]


def test_an_entry_of_which_all_rows_are_erased_goes(world: EngineWorld, legacy: Query, target: Query) -> None:
    with_erasure(world)
    run(world, "first")
    legacy("update person set email = 'new@example.org' where id = 3")
    run(world, "second")
    assert target(_ENTRIES, "people") == [(1, 1)]
    erase_rows(world, (3,))
    assert target(_ENTRIES, "people") == []
