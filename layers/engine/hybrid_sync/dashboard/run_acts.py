"""Acts about runs: cancel, run again, start now, roll back."""

from __future__ import annotations

from hybrid_sync.contracts import Message, Profile, RunRequest
from hybrid_sync.dashboard.act import Before, Done, Form, Kind, name_of, started, starting
from hybrid_sync.errors import RequestRejected, no_such_run
from hybrid_sync.postgres import answer
from hybrid_sync.report.words import n_of
from hybrid_sync.services import jobs, rollback, starts
from hybrid_sync.services.desk import Asked, Desk, at_target
from hybrid_sync.services.messages.jobs import CancelAsked, JobsAsked
from hybrid_sync.services.messages.undoing import RollbackAsked
from hybrid_sync.services.views.undoing import undoing
from hybrid_sync.session import dicts


def _before_cancel(_: Desk, __: str) -> Before:
    follows = (
        "Nothing more is written for it. What it has written stays, and the next run goes on with what is left.",
        "A run that waits leaves the queue.",
    )
    return Before("Cancel this run?", follows, "Cancel the run", danger=True, of_run=True)


def _request_of(desk: Desk, run: str) -> RunRequest:
    with at_target(desk) as target:
        found = answer(target, dicts("select request from hybrid_sync.run where run_id = %(run)s", {"run": run}))
    if not found:
        raise no_such_run(run)
    names = ("trigger", "run_id", "requested_by", "correlation_id", "accepted_at")
    kept = {name: value for name, value in found[0]["request"].items() if name not in names}
    return RunRequest.model_validate({**kept, "trigger": "dashboard"})


def _before_again(desk: Desk, run: str) -> Before:
    request = _request_of(desk, run)
    what = n_of(len(request.refs), "row") if request.refs else n_of(len(request.entities), "entity", "entities")
    whole = "everything" if not (request.refs or request.entities) else what
    follows = (
        f"A run of {whole} starts as soon as it may, with what this one was asked for.",
        "Rows that are current already are read and left alone.",
    )
    return Before("Run this again?", follows, "Run again", hidden=name_of(request.profile, desk), of_run=True)


def _ask_again(desk: Desk, run: str, form: Form) -> Asked:
    return starting(form, _request_of(desk, run))


def _before_run(desk: Desk, profile: str) -> Before:
    follows = (f"A {profile} run of every entity starts as soon as it may; a second one beside it waits.",)
    return Before(f"Start a {profile} run now?", follows, "Start it", hidden=name_of(profile, desk))


def _ask_run(_: Desk, profile: str, form: Form) -> Asked:
    if profile not in (Profile.weekly, Profile.daily):
        raise RequestRejected(f"No clock starts a {profile} run.", "Choose weekly or daily.")
    return starting(form, RunRequest(profile=Profile(profile), trigger="dashboard"))


def _before_rollback(desk: Desk, run: str) -> Before:
    seen = rollback.preview(desk, RollbackAsked(run_id=run))
    would = undoing(desk, run)
    follows: tuple[str, ...] = (
        "Rows go back to what they were before the run; rows that it brought are deleted, and those that it deleted"
        " return.",
        "Rows that somebody has changed since stay as they are, and are listed.",
        "The entities are held: no run writes to them until somebody releases them.",
    )
    if seen.lost:
        follows += (
            f"Not undone, because the catalog no longer has what the run wrote to there: {', '.join(seen.lost)}.",
        )
    hidden = {"rollback_id": seen.under_way} if seen.under_way else {}
    return Before(
        "Roll back this run?", follows, "Go on with the rollback" if hidden else "Roll back", danger=True,
        undoing=would, refused=seen.why, hidden=hidden, of_run=True,
    )  # fmt: skip


def _ask_rollback(_: Desk, run: str, form: Form) -> Asked:
    return RollbackAsked(run_id=run, rollback_id=form.get("rollback_id", ""))


def _rolled_back(run: str, answer: Message) -> Done:
    rollback_id = str(getattr(answer, "rollback_id", ""))
    again = {"of": run, "rollback_id": rollback_id} if getattr(answer, "more", False) else {}
    return Done(f"runs/{rollback_id or run}", "rolled-back", again)


def _before_resume(_: Desk, __: str) -> Before:
    return Before("Let runs start again?", ("What waits starts, in its order.",), "Resume")


KINDS = {
    "cancel": Kind(
        "cancel", _before_cancel, lambda _, of, __: CancelAsked(run_id=of), jobs.cancel,
        lambda of, _: Done(f"runs/{of}", "cancelled"),
    ),
    "run-again": Kind("sync", _before_again, _ask_again, starts.sync, started),
    "run": Kind("sync", _before_run, _ask_run, starts.sync, started),
    "rollback": Kind("rollback", _before_rollback, _ask_rollback, rollback.rollback, _rolled_back),
    "resume": Kind(
        "resume", _before_resume, lambda _, __, ___: JobsAsked(), jobs.resume, lambda _, __: Done("", "resumed")
    ),
}  # fmt: skip
