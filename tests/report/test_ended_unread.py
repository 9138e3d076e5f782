"""What a run came to is asked without its report, and of a target that is older than undoing, too."""

from __future__ import annotations

import json
from typing import Any

import psycopg
from psycopg import sql

from hybrid_sync.runs.ended import STATUS, UNDONE_BY

RUN = (
    "insert into hybrid_sync.run"
    " (run_id, profile, trigger, priority, request, fence, catalog_hash, deadline_at, status)"
    " values (%s, 'daily', 'manual', 'normal', '{}', '{}', '', now(), %s)"
)
ASKED = sql.SQL("select r.run_id, {}, {} from hybrid_sync.run r order by r.run_id").format(STATUS, UNDONE_BY)


def asked(target: psycopg.Connection[Any]) -> dict[str, tuple[str, str | None]]:
    return {run_id: (status, undone_by) for run_id, status, undone_by in target.execute(ASKED).fetchall()}


def test_a_run_that_was_undone_or_is_being_undone_says_so(target_db: str) -> None:
    with psycopg.connect(target_db) as target:
        for run_id, status in (
            ("a", "succeeded"),
            ("b", "succeeded"),
            ("c", "degraded"),
            ("d", "running"),
            ("e", "failed"),
        ):
            target.execute(RUN, (run_id, status))
        target.execute("update hybrid_sync.run set undoes = 'c' where run_id = 'b'")
        target.execute("update hybrid_sync.run set undone_by = 'b' where run_id = 'c'")
        target.execute("update hybrid_sync.run set undoes = 'e' where run_id = 'd'")
        assert asked(target) == {
            "a": ("succeeded", None), "b": ("succeeded", None), "c": ("rolled_back", "b"),
            "d": ("running", None), "e": ("rolled_back", "d"),
        }  # fmt: skip
        target.execute("alter table hybrid_sync.run drop column undone_by cascade, drop column undoes cascade")
        assert {undone_by for _, undone_by in asked(target).values()} == {None}


def test_no_report_is_read_for_it(target_db: str) -> None:
    """What is too large for a row lies beside its table, and whoever wants it reads those pages."""
    with psycopg.connect(target_db) as target:
        target.execute(RUN, ("a", "succeeded"))
        large = "select jsonb_object_agg(g, md5(g::text)) from generate_series(1, 9000) g"
        target.execute(f"update hybrid_sync.run set report = ({large})".encode())
        explain = sql.SQL("explain (analyze, buffers, format json) {}").format(ASKED)
        target.execute(explain)
        [(plan,)] = target.execute(explain).fetchall()
        assert plan[0]["Plan"]["Shared Hit Blocks"] < 20, json.dumps(plan)
