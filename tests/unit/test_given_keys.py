"""A legacy key is a bigint; any other number is refused where it comes in, and never becomes another key."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from hybrid_sync.contracts import FailureMessage, Ref
from hybrid_sync.http.calls.syncs import SyncRequest
from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.execution import reference

LOWEST, HIGHEST = -(2**63), 2**63 - 1
NO_BIGINTS = [
    "1e30", "1.0", "1.5", "true", "null", '"1e3"', '"1_0"', '" 1"', '"٣"', '""', str(2**63), str(-(2**63) - 1),
    "1" + "0" * 30, f'"{2**63}"', "[1.0]", "[true, 1]", "{}", "[[1]]",
]  # fmt: skip


@pytest.mark.parametrize("text", NO_BIGINTS)
def test_what_is_no_bigint_is_refused_in_a_body(text: str) -> None:
    with pytest.raises(ValidationError):
        SyncRequest.model_validate(json.loads(f'{{"refs": [{{"entity": "payments", "legacy_id": {text}}}]}}'))


@pytest.mark.parametrize(
    ("given", "key"),
    [
        (1, (1,)), ("17229", (17229,)), (HIGHEST, (HIGHEST,)), (str(LOWEST), (LOWEST,)), ([3, "41"], (3, 41)),
        ((LOWEST, HIGHEST), (LOWEST, HIGHEST)),
    ],
)  # fmt: skip
def test_bigints_are_welcome_as_numbers_and_as_digits(given: Any, key: tuple[int, ...]) -> None:
    assert Ref.model_validate({"entity": "payments", "legacy_id": given}).key == key


@pytest.mark.parametrize("key", ["1e30", "1.0", "", "1,", "1_0", "+1", "0x1F", str(2**63), "9" * 5_000, "one", "٣"])
def test_the_command_refuses_them_as_well(key: str) -> None:
    with pytest.raises(CliError, match="a key is a bigint"):
        reference(f"payments:{key}")


def test_the_command_reads_keys_from_one_end_of_bigint_to_the_other() -> None:
    assert reference(f"role_permissions:{LOWEST},{HIGHEST}").key == (LOWEST, HIGHEST)


@pytest.mark.parametrize("keys", [[[1.0]], [["1"]], [[2**63]], [[True]], [[]], []])
def test_a_queued_message_names_complete_keys_or_is_none(keys: list[Any]) -> None:
    with pytest.raises(ValidationError):
        FailureMessage.model_validate(
            {"run_id": "r", "entity": "payments", "source": "payment", "reason": "bad_json", "keys": keys}
        )
