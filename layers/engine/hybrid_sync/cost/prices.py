"""What AWS asks: the list prices of one region, each with AWS's page and a public text that confirms it, and of when;
no free tier, no discount.

Another region or another year needs another table and nothing else: quantities are counted elsewhere.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from enum import StrEnum

from hybrid_sync.dataclass import dataclass

REGION = "us-east-1"
AS_OF = date(2026, 11, 26)
"""When the table was compared with its sources the last time; each knows of an earlier day."""
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
    sns_mails = "SNS mails"
    ses_mails = "SES mails"
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
    source: str
    """A public text that has the same price; empty where none with an address was found."""
    known: str
    """As of when the source has it: a day, a month, a year; empty of one without a date."""

    def of(self, quantity: Decimal) -> Decimal:
        return quantity * self.dollars / self.per

    @property
    def note(self) -> str:
        """Whether anybody could confirm it, and as of when."""
        if not self.source:
            return "not confirmed"
        return self.known or "without a date"


def _price(dollars: str, per: int, page: str, source: str = "", known: str = "") -> Price:
    return Price(Decimal(dollars), per, page, f"https://{source}" if source else "", known)


MILLION = 1_000_000
_LAMBDA = "wring.co/blog/aws-lambda-pricing-guide", "2026-03-08"
_DYNAMODB = "Amazon DynamoDB Pricing for On-Demand Capacity"
_UNITS = "airbyte.com/data-engineering-resources/dynamodb-pricing", "2025-07-21"
_S3 = "Amazon S3 Pricing, Standard"
_S3_TEXT = "devnotes.tech/understanding-aws-s3-pricing-a-complete-cost-breakdown-with-examples"
_SNS = "www.factualminds.com/blog/amazon-sns-pricing-publishes-fanout-protocols/"
_SES = "www.acecloudinterviews.com/tutorials/aws/ses/"
_SENT = "leanopstech.com/blog/aws-data-transfer-pricing-2026/", "2026-04-27"
_SECRETS = "hivebook.wiki/wiki/aws-secrets-manager-rotated-secrets-dynamic-db-credentials-kms"
_CLOUDWATCH = "www.factualminds.com/blog/amazon-cloudwatch-pricing-metrics-logs-alarms-dashboards/", "2026-06-13"
PRICES = {
    Item.lambda_requests: _price("0.20", MILLION, "AWS Lambda Pricing", *_LAMBDA),
    Item.lambda_gb_seconds: _price("0.0000133334", 1, "AWS Lambda Pricing, Arm", *_LAMBDA),
    Item.transitions: _price(
        "0.025", 1_000, "AWS Step Functions Pricing, Standard Workflows",
        "www.wring.co/blog/aws-step-functions-pricing-guide", "2026-03-14",
    ),
    Item.read_units: _price("0.125", MILLION, _DYNAMODB, *_UNITS),
    Item.write_units: _price("0.625", MILLION, _DYNAMODB, *_UNITS),
    Item.table_gb: _price("0.25", 1, _DYNAMODB, "aws.amazon.com/dynamodb/pricing/"),
    Item.table_backup_gb: _price("0.20", 1, _DYNAMODB),
    Item.s3_writes: _price("0.005", 1_000, _S3, _S3_TEXT),
    Item.s3_reads: _price("0.0004", 1_000, _S3, _S3_TEXT),
    Item.s3_gb: _price("0.023", 1, _S3, _S3_TEXT),
    Item.sqs_requests: _price(
        "0.40", MILLION, "Amazon SQS Pricing, Standard Queues", "cloudburn.io/blog/amazon-sqs-pricing", "2026-03"
    ),
    Item.sns_publishes: _price("0.50", MILLION, "Amazon SNS Pricing, Standard Topics", _SNS),
    Item.sns_mails: _price("2.00", 100_000, "Amazon SNS Pricing, Email", _SNS),
    Item.ses_mails: _price("0.10", 1_000, "Amazon SES Pricing, Outbound", _SES),
    Item.secrets: _price("0.40", 1, "AWS Secrets Manager Pricing", _SECRETS),
    Item.secret_calls: _price("0.05", 10_000, "AWS Secrets Manager Pricing", _SECRETS),
    Item.api_requests: _price(
        "3.50", MILLION, "Amazon API Gateway Pricing, REST APIs",
        "awsforengineers.com/blog/aws-api-gateway-pricing-explained", "2025-05-19",
    ),
    Item.schedule_ticks: _price(
        "1.00", MILLION, "Amazon EventBridge Pricing, Scheduler", "cloudburn.io/blog/amazon-eventbridge-pricing",
        "2026-03",
    ),
    Item.traces: _price("5.00", MILLION, "AWS X-Ray Pricing", "aws.amazon.com/de/xray/pricing/"),
    Item.log_gb: _price("0.50", 1, "Amazon CloudWatch Pricing, Logs", *_CLOUDWATCH),
    Item.log_kept_gb: _price("0.03", 1, "Amazon CloudWatch Pricing, Logs"),
    Item.metrics: _price(
        "0.30", 1, "Amazon CloudWatch Pricing, Metrics", "signoz.io/guides/cloudwatch-pricing", "2026-02-15"
    ),
    Item.alarms: _price("0.10", 1, "Amazon CloudWatch Pricing, Alarms"),
    Item.dashboards: _price("3.00", 1, "Amazon CloudWatch Pricing, Dashboards", *_CLOUDWATCH),
    Item.sent_gb: _price("0.09", 1, "Amazon EC2 On-Demand Pricing, Data Transfer", *_SENT),
}  # fmt: skip
