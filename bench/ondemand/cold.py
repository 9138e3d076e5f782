"""After a quiet night: no function has a worker, and nobody has been asked about the caller's token."""

from __future__ import annotations

import psutil

from hybrid_sync_cli.stack import Stack
from hybrid_sync_cli.stack.processes import end


def end_workers(stack: Stack) -> int:
    """End every worker of the stack's functions, as AWS does with those that nobody needs; how many there were."""
    workers = [process for process in psutil.process_iter() if is_worker(process, stack)]
    end(workers, grace=1.0)
    return len(workers)


def is_worker(process: psutil.Process, stack: Stack) -> bool:
    """One of its functions'."""
    try:
        own = "awslambdaric" in process.cmdline()
        return own and process.environ().get("AWS_ENDPOINT_URL") == stack.aws_endpoint_url
    except psutil.Error:  # another user's, or gone already
        return False
