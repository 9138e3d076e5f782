"""What touched one legacy key is found without reading the whole journal, and nothing of it is overlooked."""

from __future__ import annotations

from hybrid_sync.contracts import RollbackTask
from hybrid_sync.postgres import answer, transaction
from hybrid_sync.runs.called_before import Name
from hybrid_sync.services.history import events_of
from hybrid_sync.session import dicts
from hybrid_sync.steps.rollback_run import rollback_run
from tests.engine.conftest import Query
from tests.engine.policies import HARD, soft, with_policies
from tests.engine.worlds import EngineWorld, run

# Read whole: an entry of inserted rows has the keys of all of them, `width` numbers each.
_JOURNAL = """
select distinct j.entity, j.source, j.keys[n : n + width - 1] as key, j.run_id, j.operation
from (select *, case when entity = 'grants' then 2 else 1 end as width from hybrid_sync.journal) j,
     generate_series(1, cardinality(j.keys), width) n
"""
_WORDS = {"inserted": "insert", "updated": "update", "linked": "link", "deleted": "delete"}


def test_every_line_of_the_journal_is_found_by_its_key(world: EngineWorld, legacy: Query, target: Query) -> None:
    target("alter table people add gone boolean; alter table clinics add constraint one_name unique (name)")
    with_policies(world, people=soft(gone="true"), messages=HARD, grants=HARD)
    run(world, "first")
    legacy(
        "insert into person (id, clinic_id, email) values (-700, 1, 'far@example.org'), (90000, 1, 'off@example.org')"
    )
    legacy("update visit set note = 'changed' where id in (2, 3); delete from remark where id = 1")
    legacy("delete from grant_of where person_id = 2 and right_id = 3; delete from person where id = 90000")
    run(world, "second")
    legacy("delete from person where id = -700")
    legacy("update clinic c set name = o.name from clinic o where c.id <= 2 and o.id = 3 - c.id")
    run(world, "third")
    rollback_run(world, RollbackTask(run_id="third"))
    expected = {(e, s, tuple(key), run_id, operation) for e, s, key, run_id, operation in target(_JOURNAL)}
    found = set()
    with world.connect_target() as connection, transaction(connection, "target", read_only=True):
        for entity, source, key in {line[:3] for line in expected}:
            for event in answer(connection, dicts(events_of([Name(entity, source)], key, 500), None)):
                word = event["what"].removeprefix("undone_")
                if word in _WORDS:
                    found.add((entity, source, key, event["run_id"], _WORDS[word]))
    assert {operation for *_, operation in expected} == {"insert", "update", "link", "delete"}
    assert found == expected
