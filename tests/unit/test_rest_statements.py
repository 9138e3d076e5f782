"""What a statement is to the REST API: whether it answers rows, and how its parameters are written."""

from __future__ import annotations

import pytest
from psycopg import sql

from hybrid_sync.rest.answers import server_error
from hybrid_sync.rest.statements import Said, answers_rows


@pytest.mark.parametrize(
    ("text", "answers"),
    [
        ("select 1", True),
        ("\n  with a as (select 1) select * from a", True),
        ("with a as (delete from t returning id) insert into u select id from a", False),
        ("with a as (select 1) update t set n = 1 from a returning n", True),
        ("insert into t values ('it''s returning')", False),
        ("insert into t values (E'\\' returning ') returning \"returning\"", True),
        ("update t set \"returning\" = 1", False),
        ("create temp table t as select 1", False),
        ("set local lock_timeout = '1s'", False),
        ("explain select 1", True),
        ("do $$ begin perform 1; end $$", False),
    ],
)  # fmt: skip
def test_it_is_known_whether_a_statement_answers_rows(text: str, answers: bool) -> None:
    assert answers_rows(text) == answers


def test_parameters_are_literals_and_a_percent_sign_is_one() -> None:
    assert Said.of("select %s, '%%', %s", ("it's %s", None)).text == "select 'it''s %s', '%', NULL"
    assert Said.of("select %(a)s, %(a)s", {"a": [1]}).text == "select '{1}'::int2[], '{1}'::int2[]"
    assert Said.of(sql.SQL("select '%'"), None).text == "select '%'"


def test_an_error_within_a_function_is_told_from_one_of_the_statement_itself() -> None:
    say = "PL/pgSQL function hybrid_sync_api.say(jsonb) line 40 at EXECUTE"
    said = {"sqlstate": "P0001", "message": "no", "statement": "update t"}
    own = server_error({**said, "context": f'SQL statement "update t"\n{say}'})
    assert (own.sqlstate, own.diag.context, own.diag.source_function) == ("P0001", None, None)
    trigger = "PL/pgSQL function public.guard() line 3 at RAISE"
    inner = server_error({**said, "context": f'{trigger}\nSQL statement "update t"\n{say}'})
    assert (inner.diag.context, inner.diag.source_function) == (trigger, "exec_stmt_raise")
