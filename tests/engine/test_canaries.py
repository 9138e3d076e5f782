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
STRINGS = 300
"""In every text column of either side that takes one."""
# A code of every class that PostgreSQL knows, what a server says of itself among them, and classes of nobody's.
CODES = (
    "01000", "02000", "03000", "08006", "09000", "0A000", "0B000", "0F000", "0L000", "0P000", "0Z000", "20000", "21000",
    "22000", "22001", "22003", "22P02", "23000", "23502", "23503", "23505", "23514", "23P01", "24000", "25000", "25006",
    "26000", "27000", "28000", "2B000", "2D000", "2F000", "34000", "38000", "39000", "3B000", "3D000", "3F000", "42000",
    "42501", "42601", "42703", "42804", "42883", "42P01", "44000", "54000", "55000", "58030", "72000", "F0000", "HV000",
    "P0001", "P0002", "PT403", "XX000", "XX001", "ZZ123",
)  # fmt: skip
SHOUTED = ("clinics", "messages", "people", "visits")
"""Entities with a trigger that raises all of them."""
REFUSED = {
    "trigger_exception", "bad_json", "value_too_long", "unique_violation", "check_violation", "missing_parent",
    "unknown_enum",
}  # fmt: skip
_RAISES = """
create function shout() returns trigger language plpgsql as $$
declare
  codes text[] := string_to_array('{codes}', ',');
  said text := to_jsonb(new) ->> tg_argv[0];
begin
  if said ~ '{canary}' and (new.legacy_id + tg_argv[1]::int) % 4 = 0 then
    raise exception using errcode = codes[1 + (new.legacy_id / 4)::int % array_length(codes, 1)], message = said,
      detail = said, hint = said, column = said, constraint = said, datatype = said, table = said, schema = said;
  end if;
  return new;
end $$;
create trigger shout before insert or update on clinics for each row execute function shout('name', '0');
create trigger shout before insert or update on people for each row execute function shout('email', '0');
create trigger shout before insert or update on visits for each row execute function shout('note', '1');
create trigger shout before insert or update on messages for each row execute function shout('body', '0');
alter table messages add constraint brief check (length(body) <> 15);
create unique index one_note on visits (note);
alter table clinics alter internal_note set default '{canary}';
alter table people alter internal_note set default '{canary}';
"""


@pytest.fixture
def spoken(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG)
    return caplog


def test_no_text_of_a_cell_is_told_by_a_run_its_retries_or_its_undo(
    world: EngineWorld, legacy: Query, target: Query, spoken: pytest.LogCaptureFixture
) -> None:
    _fill(legacy)
    target(_RAISES.replace("{codes}", ",".join(CODES)).replace("{canary}", CANARY))
    said: list[str] = []
    first = run(world, "first")
    raised = target("select entity, sqlstate from hybrid_sync.failed_record where reason <> 'missing_parent'")
    assert {code for _, code in raised} >= set(CODES)
    assert min(len({code for entity, code in raised if entity == shouted}) for shouted in SHOUTED) > 40
    assert {reason for (reason,) in target("select distinct reason from hybrid_sync.failed_record")} >= REFUSED
    legacy("update person set email = 'x' || email; update letter set body = 'x' || body")
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
    for column in ("clinics.name", "people.email", "visits.note", "messages.body", "people.internal_note"):
        table = column.partition(".")[0]
        assert target(f"select count(*) > 100 from {table} where {column} like %s", f"%{CANARY}%") == [(True,)], column
    assert [text[max(0, at - 200) : at + 50] for text in said if (at := text.lower().find(CANARY)) >= 0] == []


def _fill(legacy: Query) -> None:
    """Every text column of legacy; some rows are such as the engine or a constraint refuses by itself."""
    legacy("insert into clinic (name, country) select %s || i, 'US' from generate_series(1, %s) i", CANARY, STRINGS)
    legacy(
        "insert into person (clinic_id, email, kind, settings) select 1, %s || i || '@x.org', 1 + i %% 3,"
        " case when i %% 7 = 0 then %s || i else json_build_object('k', %s || i)::text end"
        " from generate_series(1, %s) i",
        CANARY, CANARY, CANARY, STRINGS,
    )  # fmt: skip
    legacy(
        "insert into visit (person_id, note) select person.id, case"
        " when id %% 9 = 0 then repeat(%s, 8) when id %% 11 = 0 then %s else %s || id end"
        " from person where email like %s",
        CANARY, CANARY, CANARY, f"{CANARY}%",
    )  # fmt: skip
    for table in ("remark", "letter"):
        legacy(f"insert into {table} (person_id, body) select id, %s || id from person where id > 12", CANARY)
    legacy("update clinic set name = %s || id, country = '%%!' where id = 2", CANARY)


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
