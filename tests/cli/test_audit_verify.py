"""`hybrid-sync audit verify`: a line that was changed, taken out or cut off is found, by the chain or by the copies."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from hybrid_sync.postgres import connect
from hybrid_sync.services import audit_copy
from hybrid_sync.services.audit_copy import S3Copies, copy_new_lines
from tests.cli.conftest import Command
from tests.cli.gateway import Desk
from tests.contract import accounts

NOW = datetime(2026, 11, 29, 3, tzinfo=UTC)
Store = psycopg.Connection[Any]


@pytest.fixture
def s3() -> Iterator[Any]:
    with accounts.account("moto", str), accounts.data_bucket() as client:
        yield client


@pytest.fixture
def copies(s3: Any, desk: Desk) -> S3Copies:
    desk.audit_copies = S3Copies("data", s3, "none")
    return desk.audit_copies


def add(store: Store, *whos: str) -> None:
    for who in whos:
        store.execute(
            "insert into hybrid_sync.audit (request_id, who, source_ip, command, what, outcome)"
            " values ('1', %s, '192.0.2.7', 'hold', '{\"why\": \"x\"}', 'done')",
            (who,),
        )


def as_owner(store: Store, query: str) -> None:
    """Whoever owns the schema can take the guard away."""
    store.execute("alter table hybrid_sync.audit disable trigger stays")
    store.execute(query.encode())
    store.execute("alter table hybrid_sync.audit enable trigger stays")


def copied(desk: Desk, copies: S3Copies) -> int:
    with connect(desk.target_dsn, "target") as target:
        return copy_new_lines(target, copies, NOW)


def test_an_untouched_trail_is_as_it_was_written(
    store: Store, desk: Desk, copies: S3Copies, hybrid_sync: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_copy, "LINES", 2)  # several pages, the last one full and then not
    add(store, "a", "b", "c", "d")
    assert hybrid_sync("audit", "verify").out == (
        "All 4 lines are as they were written. No line has a copy in S3 yet.\n"
    )
    assert (copied(desk, copies), copied(desk, copies)) == (4, 0)
    add(store, "e")
    said = hybrid_sync("audit", "verify")
    assert (said.status, said.err) == (0, "")
    assert said.out == "All 5 lines are as they were written. Copies in S3 reach to line 4.\n"


@pytest.mark.parametrize(
    ("crime", "broken", "lost"),
    [
        ("update hybrid_sync.audit set who = 'somebody' where audit_id = 2", [2], []),
        ("update hybrid_sync.audit set at = at + interval '1 microsecond' where audit_id = 3", [3], []),
        ("update hybrid_sync.audit set code = '' where audit_id = 1", [1], []),
        ("delete from hybrid_sync.audit where audit_id = 2", [3], []),
        ("delete from hybrid_sync.audit where audit_id >= 4", [], [4]),
        ("truncate hybrid_sync.audit", [], [4]),
        # the whole chain made anew behind a changed line
        (
            "do $$ declare l hybrid_sync.audit; b bytea; begin"
            " update hybrid_sync.audit set who = 'z' where audit_id = 2;"
            " for l in select * from hybrid_sync.audit order by audit_id loop b := hybrid_sync.audit_hash(b, l);"
            " update hybrid_sync.audit set chained = b where audit_id = l.audit_id; end loop; end $$",
            [],
            [4],
        ),
    ],
)
def test_what_was_done_to_the_trail_is_found(
    store: Store, desk: Desk, copies: S3Copies, hybrid_sync: Command, crime: str, broken: list[int], lost: list[int]
) -> None:
    add(store, "a", "b", "c", "d")
    copied(desk, copies)
    as_owner(store, crime)

    said = hybrid_sync("audit", "verify", "--json")

    found = json.loads(said.out)
    assert (said.status, found["broken"], found["lost"]) == (1, broken, lost)
    assert "Compare with the copies" in hybrid_sync("audit", "verify").out


def test_lines_behind_the_last_copy_are_protected_by_the_next_one(
    store: Store, desk: Desk, copies: S3Copies, hybrid_sync: Command
) -> None:
    """Until then a cut end shows in nothing but how far the copies reach."""
    add(store, "a", "b")
    copied(desk, copies)
    add(store, "c")
    as_owner(store, "delete from hybrid_sync.audit where audit_id = 3")
    assert "Copies in S3 reach to line 2." in hybrid_sync("audit", "verify").out
    add(store, "d")
    copied(desk, copies)
    as_owner(store, "delete from hybrid_sync.audit where audit_id = 3")
    assert json.loads(hybrid_sync("audit", "verify", "--json").out)["lost"] == [3]


def test_a_missing_copy_is_found_and_a_copy_of_somebody_elses_keeps_none_from_being_made(
    store: Store, desk: Desk, copies: S3Copies, s3: Any, hybrid_sync: Command
) -> None:
    for who in "abc":
        add(store, who)
        copied(desk, copies)
    [second] = [one["Key"] for one in s3.list_objects_v2(Bucket="data", Prefix="audit/000000000002-")["Contents"]]
    s3.delete_object(Bucket="data", Key=second)
    said = hybrid_sync("audit", "verify")
    assert (said.status, said.out.splitlines()[0]) == (1, "Copies of lines before line 3 are missing in S3.")
    s3.put_object(Bucket="data", Key=f"audit/000000000004-999999999999-{'0' * 64}.jsonl", Body=b"")
    add(store, "d")
    assert copied(desk, copies) == 1
    assert json.loads(hybrid_sync("audit", "verify", "--json").out)["lost"] == [999999999999]


def test_a_trail_that_was_restored_is_copied_from_where_it_was(store: Store, desk: Desk, copies: S3Copies) -> None:
    add(store, "a", "b")
    copied(desk, copies)
    add(store, "c", "d")
    copied(desk, copies)
    as_owner(store, "delete from hybrid_sync.audit where audit_id > 2")  # as a backup of the target brings it
    add(store, "e", "f")
    assert (copied(desk, copies), copied(desk, copies)) == (2, 0)


@pytest.mark.parametrize(
    "crime", ["update hybrid_sync.audit set who = ''", "delete from hybrid_sync.audit", "truncate hybrid_sync.audit"]
)
def test_not_even_the_owner_changes_it_by_mistake(store: Store, crime: str) -> None:
    add(store, "a")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="the audit trail is only added to"):
        store.execute(crime.encode())


def test_lines_that_are_written_at_once_are_one_chain(
    store: Store, desk: Desk, copies: S3Copies, hybrid_sync: Command
) -> None:
    def write() -> None:
        with psycopg.connect(desk.target_dsn, autocommit=True) as own:
            add(own, *"abcdefghij")

    writers = [threading.Thread(target=write) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    assert "All 40 lines are as they were written." in hybrid_sync("audit", "verify").out


def test_a_copy_has_the_lines_and_is_locked_for_six_years_where_that_was_chosen(
    store: Store, desk: Desk, s3: Any
) -> None:
    asked: list[dict[str, Any]] = []

    class Locked:
        def __getattr__(self, verb: str) -> Any:
            return lambda **words: asked.append(words) if verb == "put_object" else getattr(s3, verb)(**words)

        def get_paginator(self, verb: str) -> Any:
            return s3.get_paginator(verb)

    add(store, "a", "b")
    assert copied(desk, S3Copies("data", Locked(), "COMPLIANCE")) == 2
    [put] = asked
    assert put["Key"].startswith("audit/000000000001-000000000002-")
    assert (put["ObjectLockMode"], put["ObjectLockRetainUntilDate"].year) == ("COMPLIANCE", 2032)
    lines = [json.loads(line) for line in put["Body"].decode().splitlines()]
    assert [line["who"] for line in lines] == ["a", "b"]
    assert put["Key"].endswith(f"-{lines[-1]['chained']}.jsonl")
