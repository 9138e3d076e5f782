"""The processes of a stack's functions."""

from __future__ import annotations

from contextlib import suppress

import psutil

from hybrid_sync_cli.stack import Stack

FRONT = ("serve-ops", "serve-api", "serve-dashboard", "authorize-request")
"""Whoever waits for these would get no answer."""


def recycle(stack: Stack) -> None:
    """End those that wait for work, as AWS does from time to time: whoever comes next remembers nothing."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if "awslambdaric" not in process.cmdline():
                continue
            given = process.environ()
            ours = given.get("AWS_ENDPOINT_URL") == stack.aws_endpoint_url
            if ours and not given.get("AWS_LAMBDA_FUNCTION_NAME", "").endswith(FRONT):
                process.kill()
