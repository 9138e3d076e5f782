"""Who has the worker's password may add lines to the audit trail, and do nothing else to it."""

from __future__ import annotations

import psycopg
import pytest

from tests.engine.conftest import Query
from tests.engine.worlds import EngineWorld

_LINE = (
    "insert into hybrid_sync.audit (audit_id, at, request_id, who, source_ip, command, what, outcome, chained)"
    " overriding system value values (77, '1999-01-01', '1', 'w', '', 'hold', '{}', 'done', 'x')"
)
_CRIMES = (
    "update hybrid_sync.audit set who = ''", "delete from hybrid_sync.audit", "truncate hybrid_sync.audit",
    "alter table hybrid_sync.audit disable trigger chain", "drop trigger stays on hybrid_sync.audit",
    "set session_replication_role = replica", "alter function hybrid_sync.chain_audit() reset all",
    "create or replace function hybrid_sync.chain_audit() returns trigger language plpgsql as 'begin return new; end'",
)  # fmt: skip
_OWN = (
    "create function own.sha256(bytea) returns bytea language sql as $$ select 'x'::bytea $$",
    "create function own.clock_timestamp() returns timestamptz language sql as $$ select '1999-01-01'::timestamptz $$",
    "set search_path = own, pg_catalog",
)


def test_the_worker_forges_no_line_whatever_its_session_calls_the_functions(
    world: EngineWorld, target: Query
) -> None:  # fmt: skip
    target("create schema own; grant usage, create on schema own to hybrid_sync_worker")
    with psycopg.connect(world.target_dsn, autocommit=True) as worker:
        for statement in (*_OWN, _LINE, _LINE):
            worker.execute(statement.encode())
        for crime in _CRIMES:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                worker.execute(crime.encode())
    lines = target(
        "select audit_id, at > now() - interval '1 hour', chained = hybrid_sync.audit_hash(lag(chained) over w, a)"
        " from hybrid_sync.audit a window w as (order by audit_id)"
    )
    assert lines == [(1, True, True), (2, True, True)]
