"""Settings are read once and checked; what is missing is named by its variable."""

from __future__ import annotations

import pytest

from hybrid_sync import opening
from hybrid_sync.contracts import Profile
from hybrid_sync.errors import ConfigurationMissing
from hybrid_sync.settings import Settings
from hybrid_sync.world import ProfileLimits


def test_each_field_comes_from_its_variable_and_others_are_ignored() -> None:
    settings = Settings.from_environment({"ID_MAP_TABLE": "ids", "RETRY_DELAY_SECONDS": "7", "HOME": "/root"})
    assert settings.need("id_map_table") == "ids"
    assert settings.retry_delay_seconds == 7


@pytest.mark.parametrize("environment", [{}, {"DATA_BUCKET": ""}])
def test_a_missing_or_empty_variable_is_named(environment: dict[str, str]) -> None:
    with pytest.raises(ConfigurationMissing, match="DATA_BUCKET"):
        Settings.from_environment(environment).need("data_bucket")


@pytest.mark.parametrize("value", ["soon", "0", "-1", "1.5"])
def test_a_number_that_is_none_is_named_and_its_value_is_not_told(value: str) -> None:
    with pytest.raises(ConfigurationMissing, match="WEEKLY_BATCH_SIZE") as caught:
        Settings.from_environment({"WEEKLY_BATCH_SIZE": value})
    assert value not in str(caught.value).replace("WEEKLY_BATCH_SIZE", "")


def test_what_a_statement_may_take_is_what_every_transaction_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "TRANSACTION_SETTINGS", dict(opening.TRANSACTION_SETTINGS))
    opening.limit_statements(77)
    try:
        said = b";".join(opening.opening("target", "read committed", None, read_only=True)).decode()
    finally:
        opening.opening.cache_clear()
    assert said.count("'77s'") == 2 and "120s" not in said


def test_runs_on_demand_share_the_limits_of_daily_ones() -> None:
    settings = Settings.from_environment({"DAILY_BATCH_SIZE": "10", "DAILY_DEADLINE_SECONDS": "60"})
    assert settings.limits(Profile.weekly) == ProfileLimits(10_000, 14_400)
    assert settings.limits(Profile.daily) == settings.limits(Profile.on_demand) == ProfileLimits(10, 60)
