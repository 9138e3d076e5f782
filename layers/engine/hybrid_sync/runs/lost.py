"""Runs that stand at work although their execution has ended: it was stopped, timed out, or broke off unreported."""

from __future__ import annotations

from collections.abc import Callable

from hybrid_sync.contracts import RunFailure
from hybrid_sync.postgres import Connection, Question, answer
from hybrid_sync.runs.store import record_failure

Ask = Callable[[str], str | None]
"""How the execution of a run stands: running, succeeded, failed, cancelled, lost; None where nobody knows it."""
Why = Callable[[str], RunFailure | None]
"""What ended the execution of a run that failed; None where nobody says."""


def at_work(but: str = "") -> Question[list[tuple[str, bool]]]:
    """The other runs that stand at work, and whether each is past its deadline."""
    return Question(
        "select run_id, clock_timestamp() > deadline_at from hybrid_sync.run"
        " where status = 'running' and undoes is null and trigger <> 'retry' and run_id <> %s order by run_id",
        (but,),
        lambda found: found.fetchall(),
    )


def end_lost_runs(connection: Connection, ask: Ask, why: Why, *, but: str = "") -> dict[str, str]:
    """End them as `cancelled` where a person stopped the execution, as `failed` where it failed past every Catch, with
    its cause as a failure of the run, else as `lost`; what became of which run.

    A run whose execution nobody knows may belong to another deployment: it is lost once its own deadline, after which
    it writes nothing, has passed.  Rollbacks and retries have no execution of their own.  Call it in a transaction.
    """
    ended: dict[str, str] = {}
    for run_id, late in answer(connection, at_work(but)):
        state = ask(str(run_id))
        if state == "running" or (state is None and not late):
            continue
        status = str(state) if state in ("cancelled", "failed") else "lost"
        done = connection.execute(
            "update hybrid_sync.run set status = %s, finished_at = clock_timestamp()"
            " where run_id = %s and status = 'running'",
            (status, run_id),
        )
        if not done.rowcount:
            continue
        ended[str(run_id)] = status
        if status == "failed" and (failure := why(str(run_id))) is not None:
            record_failure(connection, failure)
    return ended
