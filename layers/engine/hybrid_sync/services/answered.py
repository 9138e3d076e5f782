"""How the API has answered, as API Gateway counts it: every answer, its own errors too."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import NamedTuple

from hybrid_sync.aws import Client, refusals

_DAY = timedelta(days=1)


class Answers(NamedTuple):
    """Of one day."""

    answers: int
    failed: int
    """With a status of 500 to 599."""


class Gateway:
    """One API, by its name."""

    def __init__(self, name: str, client: Client) -> None:
        self._name = name
        self._client = client

    def days(self, since: date, until: datetime) -> Mapping[date, Answers]:
        """By day in UTC, those on which anybody has asked; AwsUnavailable."""
        asked, failed = (self._sums(name, since, until) for name in ("Count", "5XXError"))
        return {day: Answers(number, failed.get(day, 0)) for day, number in asked.items()}

    def _sums(self, metric: str, since: date, until: datetime) -> dict[date, int]:
        begin = datetime(since.year, since.month, since.day, tzinfo=until.tzinfo)
        with refusals("the metrics of the API"):
            found = self._client.get_metric_statistics(
                Namespace="AWS/ApiGateway", MetricName=metric, Dimensions=[{"Name": "ApiName", "Value": self._name}],
                StartTime=begin, EndTime=until, Period=int(_DAY.total_seconds()), Statistics=["Sum"],
            )  # fmt: skip
        return {point["Timestamp"].astimezone(until.tzinfo).date(): int(point["Sum"]) for point in found["Datapoints"]}
