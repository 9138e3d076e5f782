"""`failures`: lists are whole or say of how many they show a part; single records are accepted."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from hybrid_sync_cli.commands.failures import SHOWN
from tests.cli.conftest import Command
from tests.report.records import add_failed, add_run

Store = psycopg.Connection[Any]


def failing(store: Store, number: int) -> None:
    for key in range(number):
        add_failed(store, key, "bad_json")
    store.execute("update hybrid_sync.failed_record set source = 'dispatch_payment', row_version = 'one'")


def test_json_has_every_record_and_the_terminal_says_what_it_leaves_out(store: Store, hybrid_sync: Command) -> None:
    failing(store, SHOWN + 3)

    assert len(json.loads(hybrid_sync("failures", "--json").out)) == SHOWN + 3
    assert len(json.loads(hybrid_sync("failures", "--json", "--limit", "2").out)) == 2
    assert f"{SHOWN} of {SHOWN + 3} are shown: see more with --limit" in hybrid_sync("failures").out
    assert "are shown" not in hybrid_sync("failures", "--limit", "60").out


def test_a_reason_that_does_not_exist_is_not_good_news(store: Store, hybrid_sync: Command) -> None:
    failing(store, 1)

    said = hybrid_sync("failures", "--reason", "nope")

    assert (said.status, said.out) == (1, "")
    assert said.err.startswith("hybrid-sync: There is no reason nope: the records have bad_json; there are also ")
    assert "missing_parent" in said.err
    assert hybrid_sync("failures", "--reason", "missing_parent").out == "No failed records.\n"


def test_records_are_accepted_with_who_and_why(store: Store, hybrid_sync: Command) -> None:
    failing(store, 3)

    said = hybrid_sync("failures", "accept", "payments", "0", "2", "--why", "of 2015", "--by", "ann")

    assert (said.status, said.err) == (0, "")
    found = {r["key"][0]: r for r in json.loads(hybrid_sync("failures", "--json").out)}
    assert [found[key]["status"] for key in range(3)] == ["accepted", "open", "accepted"]
    assert (found[0]["ended_by"], found[0]["accepted_why"]) == ("ann", "of 2015")
    assert "accepted by ann: of 2015" in hybrid_sync("failures").out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("payments", "0", "99"), "Nothing was accepted: payments/dispatch_payment has no failed record of 99."),
        (("payments", "x"), "payments:x names no legacy row"),
        (("payments", "1,2"), "1,2 is no key of payments: it has 1 part(s)"),
        (("case_messages", "1"), "case_messages has several sources: write case_messages/source"),
        (("payments/nope", "1"), "payments has no source nope: choose from dispatch_payment."),
        (("nope", "1"), "There is no entity nope in the catalog."),
    ],
)
def test_what_cannot_be_accepted_is_one_sentence_and_accepts_nothing(
    store: Store, hybrid_sync: Command, words: tuple[str, ...], sentence: str
) -> None:
    failing(store, 1)

    said = hybrid_sync("failures", "accept", *words, "--why", "known")

    assert said.status == 1
    assert said.err.startswith(f"hybrid-sync: {sentence}")
    assert json.loads(hybrid_sync("failures", "--json").out)[0]["status"] == "open"


def test_an_acceptance_without_a_why_is_refused(store: Store, hybrid_sync: Command) -> None:
    failing(store, 1)

    assert hybrid_sync("failures", "accept", "payments", "0").status == 2
    assert "--why is empty" in hybrid_sync("failures", "accept", "payments", "0", "--why", " ").err


def test_a_run_is_still_named_first(store: Store, hybrid_sync: Command) -> None:
    add_run(store, "weekly-1")
    add_failed(store, 1, "bad_json", first_run="weekly-1")

    assert len(json.loads(hybrid_sync("failures", "weekly-1", "--json").out)) == 1
