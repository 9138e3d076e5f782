"""The deployment's settings of a function: read from the environment once, checked before anything is done."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hybrid_sync.contracts import Profile
from hybrid_sync.errors import ConfigurationMissing
from hybrid_sync.retries import RECORD
from hybrid_sync.world import AGAIN_HOURS, ProfileLimits


class Settings(BaseModel):
    """Each field is one environment variable, its alias; a function is given only those that it needs."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    build: str = Field("", alias="BUILD_ID")
    secret: str | None = Field(None, alias="HYBRID_SYNC_SECRET")
    id_secret: str | None = Field(None, alias="ID_SECRET")
    webhook_secrets: str | None = Field(None, alias="WEBHOOK_SECRETS")
    id_map_table: str | None = Field(None, alias="ID_MAP_TABLE")
    control_table: str | None = Field(None, alias="CONTROL_TABLE")
    data_bucket: str | None = Field(None, alias="DATA_BUCKET")
    audit_lock: Literal["none", "GOVERNANCE", "COMPLIANCE"] = Field("none", alias="AUDIT_LOCK")
    failed_queue_url: str | None = Field(None, alias="FAILED_QUEUE_URL")
    dead_letter_queue_url: str | None = Field(None, alias="DEAD_LETTER_QUEUE_URL")
    function: str | None = Field(None, alias="AWS_LAMBDA_FUNCTION_NAME")
    mail_from: str = Field("none", alias="MAIL_FROM")
    alert_email: str = Field("none", alias="ALERT_EMAIL")
    alert_topic: str | None = Field(None, alias="ALERT_TOPIC")
    rollback_function: str | None = Field(None, alias="ROLLBACK_FUNCTION")
    state_machine: str | None = Field(None, alias="STATE_MACHINE")
    api_name: str | None = Field(None, alias="API_NAME")
    weekly_schedule: str = Field("", alias="WEEKLY_SCHEDULE")
    daily_enabled: bool = Field(False, alias="DAILY_ENABLED")
    daily_schedule: str = Field("", alias="DAILY_SCHEDULE")
    hourly_enabled: bool = Field(False, alias="HOURLY_ENABLED")
    hourly_schedule: str = Field("", alias="HOURLY_SCHEDULE")
    schedule_time_zone: str = Field("UTC", alias="SCHEDULE_TIME_ZONE")
    workers: int = Field(12, alias="WORKERS", ge=1)
    """Batches of one run that work side by side, as the state machine has them."""
    looks_for_itself: bool = Field(False, alias="LOOKS_FOR_ITSELF")
    """Whether each connection is tried, whatever the database's breaker says."""
    max_runs: int = Field(3, alias="MAX_RUNS", ge=3)
    max_waiting: int = Field(1_000, alias="MAX_WAITING", ge=1)
    max_waiting_of_one: int = Field(100, alias="MAX_WAITING_OF_ONE", ge=1)
    retry_delay_seconds: int = Field(int(RECORD.first_delay), alias="RETRY_DELAY_SECONDS", ge=1)
    target_connections: int = Field(15, alias="TARGET_CONNECTIONS", ge=1)
    target_way: Literal["direct", "rest", "failover"] = Field("direct", alias="TARGET_WAY")
    few_keys_way: Literal["direct", "rest", "failover"] = Field("direct", alias="FEW_KEYS_WAY")
    """The `target_way` of the function that carries a few keys, as those know it that let runs begin."""
    legacy_connections: int = Field(15, alias="LEGACY_CONNECTIONS", ge=1)
    statement_seconds: int = Field(120, alias="STATEMENT_SECONDS", ge=1)
    keeps_connections: bool = Field(True, alias="KEEP_CONNECTIONS")
    weekly_batch_size: int = Field(10_000, alias="WEEKLY_BATCH_SIZE", ge=1)
    weekly_deadline_seconds: int = Field(14400, alias="WEEKLY_DEADLINE_SECONDS", ge=1)
    daily_batch_size: int = Field(10_000, alias="DAILY_BATCH_SIZE", ge=1)
    daily_deadline_seconds: int = Field(3600, alias="DAILY_DEADLINE_SECONDS", ge=1)
    retry_window_hours: float = Field(AGAIN_HOURS, alias="RETRY_WINDOW_HOURS", ge=0)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """ConfigurationMissing names the variable that is wrong, not its value."""
        aliases = {str(field.alias) for field in cls.model_fields.values()}
        given = {name: value for name, value in environment.items() if name in aliases and value}
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            names = ", ".join(str(problem["loc"][0]) for problem in error.errors())
            raise ConfigurationMissing(
                f"The environment variable {names} does not hold a value that fits.",
                "Correct the template's parameter and deploy again.",
            ) from None

    def need(self, field: str) -> str:
        """The value of a text field; ConfigurationMissing when this function was not given it."""
        value: str | None = getattr(self, field)
        if value is None:
            alias = type(self).model_fields[field].alias
            raise ConfigurationMissing(
                f"The environment variable {alias} is not set.",
                "Give it to the function in template.yaml and deploy again.",
            )
        return value

    def limits(self, profile: Profile) -> ProfileLimits:
        """Runs on demand are small and urgent: the daily numbers.  A check is as large as a week."""
        if profile in (Profile.weekly, Profile.verify):
            rows, seconds = self.weekly_batch_size, self.weekly_deadline_seconds
        else:
            rows, seconds = self.daily_batch_size, self.daily_deadline_seconds
        return ProfileLimits(rows, seconds, self.retry_window_hours)
