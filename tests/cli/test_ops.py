"""`/ops`: who asks is told by AWS alone, what changes something is recorded, and a target belongs to one deployment."""

from __future__ import annotations

import json
import re
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from hybrid_sync.errors import RequestRejected
from hybrid_sync.http.ops import Ops
from hybrid_sync.schema.install import WORKER, install
from tests.cli.conftest import Command
from tests.cli.gateway import PERSON, Desk
from tests.conftest import PASSWORD
from tests.report.records import add_failed, add_run

Store = psycopg.Connection[Any]


def trail(store: Store) -> list[tuple[Any, ...]]:
    found = store.execute(
        "select who, source_ip, command, what, outcome, code from hybrid_sync.audit order by audit_id"
    )
    return found.fetchall()


def test_changes_are_recorded_with_who_what_and_from_where_refused_ones_too(store: Store, hybrid_sync: Command) -> None:
    hybrid_sync("hold", "payments", "--why", "restore")
    hybrid_sync("release", "offices")
    hybrid_sync("holds")

    assert trail(store) == [
        (PERSON, "192.0.2.7", "hold", {"entity": "payments", "why": "restore"}, "done", None),
        (PERSON, "192.0.2.7", "release", {"entities": ["offices"]}, "refused", "request_rejected"),
    ]


def test_the_trail_is_listed_the_newest_first_and_by_who_what_and_when(store: Store, hybrid_sync: Command) -> None:
    hybrid_sync("hold", "payments", "--why", "restore")
    hybrid_sync("release", "offices")
    store.execute(
        "insert into hybrid_sync.audit (at, request_id, who, source_ip, command, what, outcome)"
        " values ('2026-01-01', '1', 'token:abc', '', 'POST /v1/syncs', '{\"run_id\": \"api-1\"}', 'done')"
    )

    def found(*words: str) -> list[str]:
        said = hybrid_sync("audit", "--json", *words)
        assert said.status == 0
        return [line["command"] for line in json.loads(said.out)]

    assert found() == ["POST /v1/syncs", "release", "hold"]
    assert found("--who", PERSON) == found("--who", "ann") == found("--since", "2026-02-01") == ["release", "hold"]
    assert found("--who", "abc") == found("--command", "POST /v1/syncs") == found("--until", "2026-02-01")
    assert found("--who", "bc") == found("--who", "%") == []
    assert found("--outcome", "refused") == ["release"]
    assert found("--limit", "1") == ["POST /v1/syncs"]
    said = hybrid_sync("audit", "--limit", "2")
    assert "run_id=api-1" in said.out
    assert "release" in said.out and "refused (request_rejected)" in said.out
    [before] = re.findall(r"2 of 3 are shown: go on with --before (\d+)\.", said.err)
    assert found("--before", before) == ["hold"]
    assert "Nobody has done anything" in hybrid_sync("audit", "--who", "nobody").out


def test_a_request_that_nobody_has_signed_is_refused_whatever_let_it_pass(desk: Desk, store: Store) -> None:
    body = json.dumps({"entity": "payments", "why": "x"})

    answer = Ops(desk).resolve({"resource": "/ops/hold", "body": body, "requestContext": {"identity": {}}})

    assert (answer["statusCode"], json.loads(answer["body"])["code"]) == (403, "request_forbidden")
    assert store.execute("select count(*) from hybrid_sync.entity_state where held").fetchone() == (0,)


def test_the_worker_adds_to_the_trail_and_changes_nothing_of_it(target_db: str) -> None:
    worker = install(target_db, PASSWORD)
    line = "insert into hybrid_sync.audit (request_id, who, source_ip, command, what, outcome)"
    with psycopg.connect(worker, autocommit=True) as connection:
        connection.execute(line.encode() + b" values ('1', 'a', '', 'hold', '{}', 'done')")
        for query in (b"update hybrid_sync.audit set who = 'b'", b"delete from hybrid_sync.audit"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(query)


def test_a_target_belongs_to_one_deployment(target_db: str) -> None:
    install(target_db, PASSWORD, deployment="ours")
    install(target_db, PASSWORD, deployment="ours")
    with pytest.raises(RequestRejected, match="belongs to another deployment"):
        install(target_db, PASSWORD, deployment="theirs")
    install(target_db, PASSWORD, deployment="theirs", new_password=True)
    with psycopg.connect(target_db) as connection:
        assert connection.execute("select name from hybrid_sync.deployment").fetchall() == [("theirs",)]


class Secret:
    """A deployment's secret in memory."""

    name = "arn:secret"

    def __init__(self, target_dsn: str) -> None:
        self.values = {"id_secret": "keep me", "target_dsn": target_dsn}

    def held(self) -> dict[str, str]:
        return dict(self.values)

    def fill(self, values: dict[str, str]) -> None:
        self.values = values


def test_install_from_inside_keeps_the_owners_dsn_nowhere(desk: Desk, stack: object, hybrid_sync: Command) -> None:
    # The worker's role is the cluster's, and other tests have made it.
    desk.secret = Secret(make_conninfo(desk.target_dsn, user=WORKER, password=PASSWORD))
    owner = desk.target_dsn

    said = hybrid_sync("install", "--from-inside", "--target-dsn", owner)

    assert (said.status, said.err) == (0, "The secret holds no way to legacy yet: give --legacy-dsn, too.\n")
    assert PASSWORD not in said.out
    assert desk.secret.values["id_secret"] == "keep me"
    assert conninfo_to_dict(desk.secret.values["target_dsn"])["user"] == WORKER
    with psycopg.connect(desk.target_dsn) as connection:
        [line] = trail(connection)
        assert connection.execute("select name from hybrid_sync.deployment").fetchall() == [("arn:secret",)]
    assert line[2:] == ("install", {"target_dsn": "**********"}, "done", None)
    assert hybrid_sync("install", "--from-inside", "--target-dsn", owner).status == 0


def test_lists_come_in_pages_and_whole(store: Store, hybrid_sync: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hybrid_sync.services.findings.PAGE_ROWS", 2)
    monkeypatch.setattr("hybrid_sync_cli.commands.failures.PAGE_ROWS", 2)
    add_run(store, "weekly-1")
    store.execute(
        "insert into hybrid_sync.run_entity (run_id, entity, wave, status)"
        " values ('weekly-1', 'payments', 0, 'verified')"
    )
    for key in range(-2, 3):
        add_failed(store, key, "bad_json")
        store.execute(
            "insert into hybrid_sync.difference (run_id, entity, source, key, segment, state, kind, columns, origin)"
            " values ('weekly-1', 'payments', 'payment', array[%s::int8], 0, 'confirmed', 'changed', '{a}', 'legacy')",
            (key,),
        )

    listed = json.loads(hybrid_sync("failures", "--json").out)
    found = json.loads(hybrid_sync("verify", "--of", "weekly-1", "--json").out)

    for rows in (listed, found["failed"], found["differences"]):
        assert [row["key"] for row in rows] == [[key] for key in range(-2, 3)]
    assert "3 of 5 are shown" in hybrid_sync("failures", "--limit", "3").out
