"""The exit status of a command that waited for a run: 0 succeeded, 3 degraded, 1 anything else."""

from __future__ import annotations

_OF = {"succeeded": 0, "degraded": 3}
FAILED = 1


def exit_of(status: str, ended: str = "succeeded") -> int:
    """By the run's status; 1 whenever its execution (`ended`) did not come to its end, whatever the target says."""
    if ended != "succeeded":
        return FAILED
    return _OF.get(status, FAILED)


def although(status: str, ended: str) -> str:
    """Why a run that went well leaves another exit status than its own; empty where it does not."""
    if status not in _OF or ended == "succeeded":
        return ""
    return (
        f"The run is {status} all the same, and its execution {ended} after that: most likely its report has reached"
        " nobody yet. The clock of admit-runs sends it until it gets through; its log says what stands in the way."
    )
