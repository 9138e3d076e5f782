"""A server's sudden death."""

from __future__ import annotations

from contextlib import suppress

import psutil

from hybrid_sync_cli.stack.processes import family

_ENDS_WITHIN = 10


def crash(server: psutil.Process) -> None:
    """SIGKILL for the server and every one of its backends, whichever still live; returns when all are gone."""
    doomed = family(server)
    for process in doomed:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(doomed, timeout=_ENDS_WITHIN)
