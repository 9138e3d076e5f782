"""Every reason that a row can fail for has a meaning and a remedy in words."""

from __future__ import annotations

import pytest

from hybrid_sync.failures.reasons import REASONS, Kind, reason_of
from hybrid_sync.write import isolate

SQLSTATES = (
    "23505",
    "23514",
    "23502",
    "23503",
    "23P01",
    "22001",
    "22003",
    "22021",
    "22P02",
    "22007",
    "P0001",
    "XX000",
    "",
)


@pytest.mark.parametrize("sqlstate", SQLSTATES)
def test_whatever_the_server_answers_has_a_reason(sqlstate: str) -> None:
    assert isolate.reason_of(sqlstate) in REASONS


@pytest.mark.parametrize("code", REASONS)
def test_meaning_and_remedy_are_sentences(code: str) -> None:
    reason = reason_of(code)

    assert reason.meaning.endswith(".")
    assert reason.remedy.endswith(".")


def test_a_code_that_is_not_ours_is_a_rule_of_the_catalog() -> None:
    reason = reason_of("price_below_zero")

    assert reason.kind is Kind.catalog
    assert "`price_below_zero`" in reason.meaning
    assert not reason.retryable
