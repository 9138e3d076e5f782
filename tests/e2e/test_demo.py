"""After a demo: proof, by SQL of our own on both databases, that it did what it says."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass
from decimal import Decimal
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from hybrid_sync.failures.reasons import reason_of
from hybrid_sync.report.model import RunSummary
from tests.e2e.conftest import Demo

CURRENCY = "case o.country when 'US' then 'USD' when 'JP' then 'JPY' when 'IN' then 'INR' when 'TH' then 'THB' end"
WITHOUT_TIMESTAMP = ("jaws", "role_permissions", "roles", "treatment_plans", "profiles", "offices")


@dataclass(frozen=True)
class Mapped:
    """Where the rows of one entity come from, written down here independently of the catalog."""

    entity: str
    due: str
    """Legacy keys that ought to arrive."""
    arrived: str
    """Legacy keys in the target."""


MAPPED = [
    Mapped("offices", "select id from dispatch_office", "select legacy_id from offices"),
    Mapped("profiles", "select id from auth_user", "select legacy_id from profiles"),
    Mapped("payments", "select id from dispatch_payment", "select legacy_id from payments"),
    Mapped(
        "purchases",
        "select id from dispatch_payment where paid and not canceled and paid_price > 0",
        "select legacy_id from purchases",
    ),
    Mapped("operations", "select id from dispatch_operation", "select legacy_id from operations"),
    Mapped(
        "role_permissions",
        "select role_id, permission_id from dispatch_role_permissions",
        "select legacy_role_id, legacy_permission_id from role_permissions",
    ),
    Mapped(
        "case_messages/comment",
        "select id from dispatch_comment",
        "select legacy_id from case_messages where legacy_source = 'comment'",
    ),
    Mapped(
        "case_messages/record",
        "select id from dispatch_record where target_type_id <> 58",
        "select legacy_id from case_messages where legacy_source = 'record'",
    ),
    Mapped("order_states", "select id from dispatch_state", "select legacy_id from order_states"),
    Mapped("system_messages", "select id from dispatch_notification", "select legacy_id from system_messages"),
]


def test_the_demo_says_that_it_succeeded(demo: Demo) -> None:
    assert demo.ended.status == 0, demo.ended.out + demo.ended.err
    assert demo.result["ok"] is True
    assert [run["profile"] for run in demo.result["runs"]] == ["weekly", "weekly", "on_demand"]
    assert all(run["status"] == "succeeded" and run["conservation"] for run in demo.result["runs"])


def test_the_result_is_one_short_line_and_what_to_try_next_comes_last(demo: Demo) -> None:
    *_, line = (line for line in demo.ended.out.splitlines() if line.startswith("RESULT "))
    said = re.fullmatch(r"RESULT ok runs=3 seconds=[\d.]+ file=(.+)", line)
    assert said and Path(said[1]) == demo.place / "result.json"
    last = demo.ended.out.rpartition("RESULT ")[2].splitlines()[1:]
    assert last[0] == "Try next:"
    assert last[-2].endswith("hybrid-sync down")


def test_the_quick_start_of_the_readme_shows_what_a_demo_says(demo: Demo) -> None:
    def shape(text: str) -> str:
        return re.sub(r"\d[\d,.]*", "0", re.sub(r"\d{8}T\d{6}-[0-9a-f]{6}", "x", text))

    shown = Path("README.md").read_text("utf-8").partition("```\nRun weekly-")[2].partition("```")[0]
    said = set(map(shape, demo.ended.out.splitlines()))
    for line in f"Run weekly-{shown}".splitlines():
        if line != "…" and "/" not in line and "─" not in line and not line.lstrip().startswith(("component", "and ")):
            assert shape(line) in said, line


def test_what_looks_of_the_commands_that_are_printed_works_as_it_is_printed(demo: Demo) -> None:
    """Each is typed into a shell, with the export that is printed above it; on 80 columns no id is broken."""
    last = [line[2:] for line in demo.ended.out.rpartition("Try next:\n")[2].splitlines() if line[2:3] != " "]
    export = next(line for line in last if line.startswith("export "))
    asked = [line for line in last if line.endswith(("watch", "report latest", "failures", "queue"))]
    assert len(asked) == 4
    latest = json.loads(demo.command("status", "--json", "--limit", "1").out)[0]["run_id"]
    for line in asked:
        done = subprocess.run(
            ["bash", "-c", f"{export}; {line}"], env={**os.environ, "COLUMNS": "80"}, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, (line, done.stderr)
        assert max(map(len, done.stdout.splitlines())) <= 80, (line, done.stdout)
        assert (line.endswith("report latest")) <= (latest in done.stdout and f"latest: {latest}" in done.stderr)


@pytest.mark.parametrize("mapped", MAPPED, ids=lambda m: m.entity)
def test_every_legacy_row_is_in_the_target_or_a_failed_record(demo: Demo, mapped: Mapped) -> None:
    entity, _, source = mapped.entity.partition("/")
    due = set(demo.legacy(mapped.due))
    arrived = {key for key in demo.target(mapped.arrived) if key[0] is not None}
    failed = {
        tuple(key)
        for name, of, key in demo.target(
            "select entity, source, key from hybrid_sync.failed_record where status <> 'resolved' and not present"
        )
        if name == entity and source in ("", of)
    }

    assert due - arrived - failed == set()
    assert arrived & failed == set()


def test_failed_records_have_a_reason_that_was_planted(demo: Demo) -> None:
    reasons = {
        (entity, reason) for entity, reason in demo.target("select entity, reason from hybrid_sync.failed_record")
    }

    assert ("system_messages", "bad_json") in reasons
    assert ("case_messages", "missing_parent") in reasons
    assert ("orders", "unknown_enum") in reasons
    assert {reason for _, reason in reasons} == {"bad_json", "missing_parent", "unknown_enum"}


def test_money_agrees_to_the_cent_in_every_currency(demo: Demo) -> None:
    pairs = [
        (
            f"select {CURRENCY}, sum(p.total_price), sum(p.paid_price) from dispatch_payment p"
            " join dispatch_office o on o.id = p.office_id group by 1",
            "select currency, sum(total), sum(paid_amount) from payments where legacy_id is not null group by 1",
        ),
        (
            f"select {CURRENCY}, sum(case op.type when 2 then -op.price else op.price end) from dispatch_operation op"
            " join dispatch_payment p on p.id = op.payment_id join dispatch_office o on o.id = p.office_id group by 1",
            "select currency, sum(amount) from operations where legacy_id is not null group by 1",
        ),
    ]
    for ours, theirs in pairs:
        legacy = {row[0]: row[1:] for row in demo.legacy(ours)}
        target = {row[0]: row[1:] for row in demo.target(theirs)}
        assert legacy == target
        assert all(isinstance(amount, Decimal) for amounts in target.values() for amount in amounts)
    assert len(legacy) > 1


def test_the_second_run_read_what_the_week_had_changed_and_nothing_else(demo: Demo) -> None:
    compared = demo.result["mutate"]

    assert compared["read"] == compared["changed"]
    assert all(compared["read"][entity] > 0 for entity in WITHOUT_TIMESTAMP)


def test_ids_and_native_rows_are_as_they_were(demo: Demo) -> None:
    assert demo.result["touched"] == {"ids": [], "natives": []}


def test_the_payment_came_over_http_at_once(demo: Demo) -> None:
    http = demo.result["http"]
    key = http["legacy_id"]

    assert http["arrived"] is True
    assert demo.legacy(f"select total_price from dispatch_payment where id = {key}") == demo.target(
        f"select total from payments where legacy_id = {key}"
    )


def test_the_queue_tried_three_times_and_then_told_a_person(demo: Demo) -> None:
    queue = demo.result["queue"]

    assert (queue["queued"], queue["dead_letters"]) == (0, 0)
    waiting = demo.target("select distinct reason from hybrid_sync.failed_record where status = 'open'")
    assert [reason for (reason,) in waiting if reason_of(reason).retryable] == []
    assert demo.target("select distinct attempts from hybrid_sync.failed_record where status = 'escalated'") == [(3,)]


def test_every_worker_stayed_within_its_memory(demo: Demo) -> None:
    workers = demo.target("select function, peak_rss_kib, memory_mib from hybrid_sync.run_worker")

    assert {name.rpartition("hybrid-sync-")[2] for name, _, _ in workers} >= {"plan-run", "sync-batch", "verify-entity"}
    # Memory buys a processor, too: whatever a function is given, it needs no more than this.
    assert all(0 < peak <= min(memory, 512) * 1024 for _, peak, memory in workers)


def test_a_run_after_the_demo_reads_only_what_came_since(demo: Demo) -> None:
    ended = demo.command("sync", "--profile", "weekly", "--json")
    summary = RunSummary.model_validate_json(ended.out)
    again = RunSummary.model_validate_json(demo.command("sync", "--profile", "weekly", "--json").out)

    assert ended.status == 0
    # The payment that the demo took through the HTTP trigger: an on-demand run moves no fence.
    assert {e.entity: e.counts.read for e in summary.entities if e.counts.read} == {"payments": 1, "purchases": 1}
    assert summary.counts.inserted == summary.counts.updated == 0
    assert again.counts.read == 0


def test_the_report_in_the_bucket_is_the_one_in_the_target(demo: Demo) -> None:
    run_id = demo.result["runs"][1]["run_id"]
    kept = demo.stack.client("s3").get_object(Bucket=demo.stack.outputs["DataBucket"], Key=f"reports/{run_id}.json")
    shown = demo.command("report", run_id, "--format", "json")

    assert RunSummary.model_validate_json(kept["Body"].read()) == RunSummary.model_validate_json(shown.out)


@pytest.mark.parametrize("bearer", ["", "Bearer nonsense", f"Bearer hs_{'a' * 12}_{'b' * 43}"])
def test_the_trigger_is_closed_without_a_token(demo: Demo, bearer: str) -> None:
    status, _ = _post(demo, bearer, {"entities": ["payments"]})

    assert status in (401, 403)


def test_a_request_for_what_the_catalog_does_not_have_is_refused_in_words(demo: Demo) -> None:
    created = json.loads(demo.command("tokens", "create", "test", "--json").out)

    status, told = _post(demo, f"Bearer {created['token']}", {"entities": ["nope"]})

    assert status == 422
    assert told["detail"] == "There is no entity nope in the catalog."


def _post(demo: Demo, bearer: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    url = urlsplit(f"{demo.stack.api_url}/v1/syncs")
    connection = HTTPConnection(url.netloc, timeout=60)
    headers = {"Content-Type": "application/json", **({"Authorization": bearer} if bearer else {})}
    try:
        connection.request("POST", url.path, json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"{}")
    finally:
        connection.close()
