"""What AWS asks: the list prices of one region on one day, each with the page that has it; no free tier, no discount.

Another region or another year needs another table and nothing else: quantities are counted elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum

REGION = "us-east-1"
AS_OF = date(2026, 11, 26)
HOURS = 730
"""Of a month, as AWS counts."""
BUDGET = 150
"""Dollars a month that the deployment may cost at most, unless its parameter says otherwise."""


class Item(StrEnum):
    """What is paid for."""

    lambda_requests = "Lambda requests"
    lambda_gb_seconds = "Lambda GB-seconds"
    transitions = "Step Functions state transitions"
    read_units = "DynamoDB read units"
    write_units = "DynamoDB write units"
    table_gb = "DynamoDB storage, GB"
    table_backup_gb = "DynamoDB point-in-time recovery, GB"
    s3_writes = "S3 writes and lists"
    s3_reads = "S3 reads"
    s3_gb = "S3 storage, GB"
    sqs_requests = "SQS requests"
    sns_publishes = "SNS publishes"
    secrets = "secrets"
    secret_calls = "Secrets Manager calls"  # nosec B105 - the name of an item
    api_requests = "API Gateway requests"
    schedule_ticks = "EventBridge Scheduler calls"
    traces = "X-Ray traces"
    log_gb = "logs taken in, GB"
    log_kept_gb = "logs kept, GB"
    metrics = "CloudWatch metrics"
    alarms = "CloudWatch alarms"
    dashboards = "CloudWatch dashboards"
    sent_gb = "data sent to the internet, GB"


@dataclass(frozen=True)
class Price:
    """`dollars` for `per` of them."""

    dollars: Decimal
    per: int
    page: str
    """The name of AWS's page."""

    def of(self, quantity: Decimal) -> Decimal:
        return quantity * self.dollars / self.per


def _price(dollars: str, per: int, page: str) -> Price:
    return Price(Decimal(dollars), per, page)


PRICES = {
    Item.lambda_requests: _price("0.20", 1_000_000, "AWS Lambda Pricing"),
    Item.lambda_gb_seconds: _price("0.0000133334", 1, "AWS Lambda Pricing, Arm"),
    Item.transitions: _price("0.025", 1_000, "AWS Step Functions Pricing, Standard Workflows"),
    Item.read_units: _price("0.125", 1_000_000, "Amazon DynamoDB Pricing for On-Demand Capacity"),
    Item.write_units: _price("0.625", 1_000_000, "Amazon DynamoDB Pricing for On-Demand Capacity"),
    Item.table_gb: _price("0.25", 1, "Amazon DynamoDB Pricing for On-Demand Capacity"),
    Item.table_backup_gb: _price("0.20", 1, "Amazon DynamoDB Pricing for On-Demand Capacity"),
    Item.s3_writes: _price("0.005", 1_000, "Amazon S3 Pricing, Standard"),
    Item.s3_reads: _price("0.0004", 1_000, "Amazon S3 Pricing, Standard"),
    Item.s3_gb: _price("0.023", 1, "Amazon S3 Pricing, Standard"),
    Item.sqs_requests: _price("0.40", 1_000_000, "Amazon SQS Pricing, Standard Queues"),
    Item.sns_publishes: _price("0.50", 1_000_000, "Amazon SNS Pricing, Standard Topics"),
    Item.secrets: _price("0.40", 1, "AWS Secrets Manager Pricing"),
    Item.secret_calls: _price("0.05", 10_000, "AWS Secrets Manager Pricing"),
    Item.api_requests: _price("3.50", 1_000_000, "Amazon API Gateway Pricing, REST APIs"),
    Item.schedule_ticks: _price("1.00", 1_000_000, "Amazon EventBridge Pricing, Scheduler"),
    Item.traces: _price("5.00", 1_000_000, "AWS X-Ray Pricing"),
    Item.log_gb: _price("0.50", 1, "Amazon CloudWatch Pricing, Logs"),
    Item.log_kept_gb: _price("0.03", 1, "Amazon CloudWatch Pricing, Logs"),
    Item.metrics: _price("0.30", 1, "Amazon CloudWatch Pricing, Metrics"),
    Item.alarms: _price("0.10", 1, "Amazon CloudWatch Pricing, Alarms"),
    Item.dashboards: _price("3.00", 1, "Amazon CloudWatch Pricing, Dashboards"),
    Item.sent_gb: _price("0.09", 1, "Amazon EC2 On-Demand Pricing, Data Transfer"),
}
