"""No cell value leaves the databases: texts that can be told from any other are put into every text column, errors of
every class are raised over them, and none is found in anything that people or machines are told.
"""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from hybrid_sync.contracts import RollbackTask
from hybrid_sync.entrypoint import error_sentence
from hybrid_sync.errors import SyncError
from hybrid_sync.steps.retry_failure import retry_failure
from hybrid_sync.steps.rollback_run import rollback_run
from tests.engine.conftest import Query
from tests.engine.worlds import EngineWorld, run

CANARY = "kanarienvogel"
PEOPLE = 240
# A code of every class that PostgreSQL knows, what a server says of itself among them, and classes of nobody's.
CODES = (
    "01000", "02000", "03000", "08006", "09000", "0A000", "0B000", "0F000", "0L000", "0P000", "0Z000", "20000", "21000",
    "22000", "22001", "22003", "22P02", "23000", "23502", "23503", "23505", "23514", "23P01", "24000", "25000", "25006",
    "26000", "27000", "28000", "2B000", "2D000", "2F000", "34000", "38000", "39000", "3B000", "3D000", "3F000", "42000",
    "42501", "42601", "42703", "42804", "42883", "42P01", "44000", "54000", "55000", "58030", "72000", "F0000", "HV000",
    "P0001", "P0002", "PT403", "XX000", "XX001", "ZZ123",
)  # fmt: skip
_RAISES = """
create function shout() returns trigger language plpgsql as $$
declare codes text[] := string_to_array('{codes}', ',');
begin
  if new.legacy_id is not null and new.legacy_id % 4 = 0 and new.email is not null then
    raise exception using errcode = codes[1 + (new.legacy_id / 4)::int % array_length(codes, 1)], message = new.email,
      detail = new.email, hint = new.email, column = new.email, constraint = new.email, datatype = new.email,
      table = new.email, schema = new.email;
  end if;
  return new;
end $$;
create trigger shout before insert or update on people for each row execute function shout();
"""


@pytest.fixture
def spoken(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG)
    return caplog


def test_no_text_of_a_cell_is_told_by_a_run_its_retries_or_its_undo(
    world: EngineWorld, legacy: Query, target: Query, spoken: pytest.LogCaptureFixture
) -> None:
    legacy(
        "insert into person (clinic_id, email, kind, settings) select 1, %s || i || '@x.org', 1 + i %% 3,"
        " case when i %% 7 = 0 then %s || i else json_build_object('k', %s || i)::text end"
        " from generate_series(1, %s) i",
        CANARY, CANARY, CANARY, PEOPLE,
    )  # fmt: skip
    legacy(
        "insert into visit (person_id, note) select id, case when id %% 9 = 0 then repeat(%s, 8) else %s || id end"
        " from person where email like %s",
        CANARY, CANARY, f"{CANARY}%",
    )  # fmt: skip
    legacy("insert into remark (person_id, body) select id, %s || id from person", CANARY)
    legacy("update clinic set name = %s || id", CANARY)
    target(_RAISES.replace("{codes}", ",".join(CODES)))
    said: list[str] = []
    first = run(world, "first")
    assert first.total("people")["failed"] >= PEOPLE // 4
    legacy("update person set email = 'x' || email")
    run(world, "second", profile="daily")
    messages, world.failure_queue.messages = world.failure_queue.messages, []
    for message in messages:
        try:
            retry_failure(world, message)
        except SyncError as error:
            said.append(error_sentence(error)[0])
    done = rollback_run(world, RollbackTask(run_id="second", out_of_order=True))
    while done.more:
        done = rollback_run(
            world, RollbackTask(run_id="second", out_of_order=True, rollback_id=done.rollback_id)
        )  # fmt: skip
    run(world, "third", profile="verify")
    said += [message.model_dump_json() for message in messages]
    said += [done.model_dump_json(), first.outcome.model_dump_json(), *_kept(target), *_outside(world)]
    said += [f"{record.getMessage()} {record.__dict__}" for record in spoken.records]
    assert target("select count(*) from people where email like %s", f"{CANARY}%") != [(0,)]
    assert [text[max(0, at - 200) : at + 50] for text in said if (at := text.lower().find(CANARY)) >= 0] == []


def _outside(world: EngineWorld) -> list[str]:
    documents: list[Any] = [world.reports.documents, world.alerts.published]
    manifests = [task.model_dump_json() for tasks in world.manifests.tasks.values() for task in tasks]
    return [json.dumps(documents, default=str), *world.reports.pages.values(), *manifests]


def _kept(target: Query) -> list[str]:
    """What our own records tell, those apart that are images of rows and never leave the target."""
    tables = target("""
        select c.oid::regclass::text from pg_class c where relnamespace = 'hybrid_sync'::regnamespace
        and relkind = 'r' and relname !~ '^journal' and relname <> 'tombstone'
        """)
    return [str(row) for (table,) in tables for row in target(f"select to_jsonb(t)::text from {table} t")]
