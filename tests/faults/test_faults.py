"""A short part of `make faults`, and proof that its judge sees what it is there to see."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.faults.command import RIVAL_WRITES, play
from tests.faults.episode import Episode
from tests.faults.servers import Servers, servers

SCHEDULES = 6


@pytest.fixture(scope="module")
def both(session_home: Path) -> Iterator[Servers]:
    folder = session_home / "faults"
    folder.mkdir()
    with servers(folder) as found:
        yield found


@pytest.mark.parametrize("seed", [11])
def test_after_a_bad_day_and_quiet_the_target_is_what_legacy_says(both: Servers, tmp_path: Path, seed: int) -> None:
    score = play(both, tmp_path, seed, SCHEDULES, threading.Event())
    assert score.schedules == SCHEDULES
    assert not score.defects
    assert score.tally.crashes
    assert score.rival_writes >= SCHEDULES * RIVAL_WRITES
    assert (score.rival_reversals, bool(score.rival_crashes)) == (0, True)
    assert score.erased >= 2 * SCHEDULES


def test_the_reconcile_makes_good_what_no_fence_sees(both: Servers, tmp_path: Path) -> None:
    """Rows, joined rows and partitions that go and come; legacy on a disk of yesterday."""
    episode = Episode(both, tmp_path, seed=14)
    try:
        for _ in range(4):
            episode.schedule(blind=True)
    finally:
        episode.close()
    assert not episode.score.defects
    assert 0 < episode.score.rewinds < episode.score.blind == 4


def test_tables_that_are_loaded_for_the_first_time_are_whole_again(both: Servers, tmp_path: Path) -> None:
    episode = Episode(both, tmp_path, seed=31)
    try:
        for days in range(1, 6):
            episode.schedule(new=True)
            fired = sum(hits for name, hits in episode.score.tally.fired.items() if name.startswith("bulk."))
            if days >= 2 and fired:  # when a worker dies depends on how the threads of the servers go, too
                break
    finally:
        episode.close()
    assert not episode.score.defects
    assert episode.score.new_days == days
    assert episode.score.tally.passed["bulk.made"]
    assert fired


_IN_TARGET = (
    ("reversed", "update invoices set rev = rev - 1 where id in (select id from invoices where rev > 0 limit 1)"),
    ("wrong_ids", "update messages set id = gen_random_uuid() where kind = 'comment'"),
    ("missed", "insert into messages (kind, legacy_message_id) values ('record', 99998)"),
    ("wrong_ids", "update messages set legacy_message_id = 99999 where id in (select id from messages limit 1)"),
    ("doubled", "insert into teams (legacy_team_id, name) values (99999, 'invented')"),
    (
        "doubled",
        "insert into hybrid_sync.journal (run_id, batch_id, entity, source, operation, keys, xid) select run_id,"
        " batch_id, entity, source, operation, keys, xid from hybrid_sync.journal where operation = 'insert' limit 1",
    ),
    ("touched", "update people set note = -1 where id in (select id from people limit 1)"),
    (
        "stuck",
        "insert into hybrid_sync.failed_record (entity, source, key, reason, first_run, last_run)"
        " values ('teams', 'team', '{77777}', 'other', 'x', 'x')",
    ),
    ("unmade", "comment on index by_age is null"),
    ("unmade", "comment on constraint messages_author_id_fkey on messages is null"),
    ("missed", "delete from memberships"),
    ("returned", "update people set name = 'canary-' || legacy_person_id || '-back' where name = 'erased'"),
)
_IN_LEGACY = (
    ("missed", "update person set name = 'missed', rev = rev + 1"),
    ("missed", "insert into team (id, name) values (88888, 'missed')"),
)


def test_the_judge_sees_whatever_is_wrong(both: Servers, tmp_path: Path) -> None:
    """After a bad day that ended well, each of these is told, and told as what it is."""
    episode = Episode(both, tmp_path, seed=13)
    try:
        assert episode.schedule(), episode.score.defects
        seen: set[str] = set()
        for dsn, wrongs in ((both.target_owner, _IN_TARGET), (both.legacy, _IN_LEGACY)):
            for kind, statement in wrongs:
                with psycopg.connect(dsn, autocommit=True) as connection:
                    connection.execute(statement.encode())
                told = {defect.text for defect in episode.judge() if defect.kind == kind}
                assert told - seen, statement
                seen |= told
    finally:
        episode.close()


_CLAIMS: tuple[tuple[str, tuple[str, ...], Any], ...] = (
    ("says succeeded", ("status",), "succeeded"),
    ("says that it adds up: yes", ("adds_up",), "yes"),
    ("invoices: the report says that it adds up: yes", ("entities", "invoices", "adds_up"), "yes"),
    ("rows current", ("entities", "invoices", "conservation", "current"), 9_999),
    ("rows absent", ("entities", "invoices", "conservation", "absent"), 0),
    ("rows target", ("entities", "invoices", "conservation", "target"), 9_999),
    ("a success rate of 1.0", ("entities", "invoices", "success_rate"), 1.0),
    ("9999 current", ("entities", "invoices", "money", "USD", "current"), "9999"),
    ("0 absent", ("entities", "invoices", "money", "USD", "absent"), "0"),
    ("0 missing", ("entities", "invoices", "money", "USD", "missing"), "0"),
    ("money agrees", ("entities", "invoices", "money", "USD", "agrees"), True),
    ("no line of ('USD', 'open')", ("entities", "invoices", "money"), []),
)


def test_the_judge_sees_whatever_a_run_says_too_much(both: Servers, tmp_path: Path) -> None:
    """A row that the target refuses; then each claim that it is not missing is told as flattery."""
    episode = Episode(both, tmp_path, seed=15)
    try:
        with psycopg.connect(both.legacy, autocommit=True) as legacy:
            legacy.execute("insert into office (id, currency) values (7, 'USD')")
            legacy.execute(
                "insert into payment (id, person_id, office_id, total) select 77777, min(id), 7, 4600 from person"
            )
        assert episode.schedule(), episode.score.defects
        with psycopg.connect(both.target_owner, autocommit=True) as target:
            row = target.execute(
                "select run_id, report from hybrid_sync.run where run_id like 'clean-%'"
                " order by started_at desc limit 1"
            ).fetchone()
            assert row is not None
            run_id, report = row
            assert report["status"] == "degraded"
            assert not episode.flattered(run_id)
            for told, path, claim in _CLAIMS:
                claimed = json.loads(json.dumps(report))
                _reach(claimed, path[:-1])[path[-1]] = claim
                target.execute(
                    "update hybrid_sync.run set report = %s where run_id = %s", (json.dumps(claimed), run_id)
                )
                assert any(told in defect.text for defect in episode.flattered(run_id)), told
    finally:
        episode.close()


def _reach(report: Any, path: tuple[str, ...]) -> Any:
    """The part of a report; of a list, the entity or the open currency of that name."""
    for name in path:
        if isinstance(report, list):
            report = next(
                part
                for part in report
                if part.get("entity") == name or (part.get("currency"), part.get("status")) == (name, "open")
            )
        else:
            report = report[name]
    return report
