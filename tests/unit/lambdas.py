"""What Lambda hands to a handler besides the event."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FakeContext:
    """The part of Lambda's context object that handlers and their libraries use."""

    function_name: str = "hybrid-sync-sync-batch"
    memory_limit_in_mb: str = "512"
    log_stream_name: str = "2026/11/23/[$LATEST]0123"
    aws_request_id: str = "request-1"
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:123456789012:function:hybrid-sync-sync-batch"

    def get_remaining_time_in_millis(self) -> int:
        return 300_000
