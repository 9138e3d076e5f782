"""The exit status of a command that waited for a run: 0 succeeded, 3 degraded, 1 anything else."""

from __future__ import annotations

_OF = {"succeeded": 0, "degraded": 3}
FAILED = 1


def exit_of(status: str, ended: str = "succeeded") -> int:
    """By the run's status; 1 whenever its execution (`ended`) did not come to its end, whatever the target says."""
    if ended != "succeeded":
        return FAILED
    return _OF.get(status, FAILED)
