"""What an operator may ask of a deployment: one table, from which follow the paths, the policies and the audit trail.

A command is a line here, a service in this room and a file of the operator's command; a test names the template's route
and the policies that lack it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hybrid_sync.contracts import Message
from hybrid_sync.services import (
    audit_copy,
    checks,
    cost,
    erasing,
    failed,
    findings,
    held,
    history,
    idmap,
    install,
    jobs,
    progress,
    redrive,
    rollback,
    run_logs,
    runs,
    starts,
    tokens,
    trail,
    webhooks,
)
from hybrid_sync.services.desk import Asked, Desk
from hybrid_sync.services.roles import Role as Role
from hybrid_sync.services.views import overview


@dataclass(frozen=True)
class Command:
    """One path, `POST /ops/{name}`; `changes`: the audit trail has every call, refused ones too."""

    name: str
    role: Role
    changes: bool
    asks: type[Asked]
    serve: Callable[[Desk, Any, str], Message]
    """With who asks, as AWS has found."""

    @property
    def path(self) -> str:
        return f"/ops/{self.name}"


_READS, _CHANGES = False, True
COMMANDS = {
    command.name: command
    for command in (
        Command("status", Role.viewer, _READS, runs.StatusAsked, runs.status),
        Command("overview", Role.viewer, _READS, overview.OverviewAsked, overview.overview),
        Command("progress", Role.viewer, _READS, progress.ProgressAsked, progress.progress),
        Command("report", Role.viewer, _READS, runs.RunAsked, runs.report),
        Command("logs", Role.viewer, _READS, run_logs.LogsAsked, run_logs.logs),
        Command("findings", Role.viewer, _READS, findings.FindingsAsked, findings.findings),
        Command("failures", Role.viewer, _READS, failed.FailuresAsked, failed.failures),
        Command("history", Role.viewer, _READS, history.HistoryAsked, history.history),
        Command("holds", Role.viewer, _READS, held.HoldsAsked, held.holds),
        Command("syncs", Role.viewer, _READS, jobs.JobsAsked, jobs.syncs),
        Command("checked", Role.viewer, _READS, checks.CheckedAsked, checks.checked),
        Command("audit", Role.viewer, _READS, trail.TrailAsked, trail.audit),
        Command("audit-verify", Role.viewer, _READS, audit_copy.VerifyAsked, audit_copy.verify),
        Command("idmap-check", Role.viewer, _READS, idmap.CheckAsked, idmap.check),
        Command("idmap-backups", Role.viewer, _READS, idmap.BackupsAsked, idmap.backups),
        Command("idmap-backup", Role.operator, _CHANGES, idmap.BackupAsked, idmap.backup),
        Command("idmap-rebuild", Role.operator, _CHANGES, idmap.RebuildAsked, idmap.rebuild),
        Command("cost", Role.viewer, _READS, cost.CostAsked, cost.cost),
        Command("events", Role.viewer, _READS, webhooks.EventsAsked, webhooks.events),
        Command("sync", Role.operator, _CHANGES, starts.StartAsked, starts.sync),
        Command("verify", Role.operator, _CHANGES, starts.StartAsked, starts.verify),
        Command("check", Role.operator, _CHANGES, checks.CheckAsked, checks.check),
        Command("cancel", Role.operator, _CHANGES, jobs.CancelAsked, jobs.cancel),
        Command("pause", Role.operator, _CHANGES, jobs.PauseAsked, jobs.pause),
        Command("resume", Role.operator, _CHANGES, jobs.JobsAsked, jobs.resume),
        Command("accept", Role.operator, _CHANGES, failed.AcceptAsked, failed.accept),
        Command("redrive", Role.operator, _CHANGES, redrive.RedriveAsked, redrive.redrive),
        Command("hold", Role.operator, _CHANGES, held.HoldAsked, held.hold),
        Command("release", Role.operator, _CHANGES, held.ReleaseAsked, held.release),
        Command("rollback", Role.operator, _CHANGES, rollback.RollbackAsked, rollback.rollback),
        Command("tokens", Role.operator, _READS, tokens.TokensAsked, tokens.tokens),
        Command("create-token", Role.admin, _CHANGES, tokens.CreateAsked, tokens.create_token),
        Command("rotate-token", Role.admin, _CHANGES, tokens.RotateAsked, tokens.rotate_token),
        Command("revoke-token", Role.admin, _CHANGES, tokens.RevokeAsked, tokens.revoke_token),
        Command("erasures", Role.viewer, _READS, erasing.ErasuresAsked, erasing.erasures),
        Command("erase-preview", Role.admin, _READS, erasing.EraseAsked, erasing.preview),
        Command("erase", Role.admin, _CHANGES, erasing.EraseAsked, erasing.erase_people),
        Command("idmap-restore", Role.admin, _CHANGES, idmap.RestoreAsked, idmap.restore),
        Command("sign-event", Role.admin, _CHANGES, webhooks.SignAsked, webhooks.sign),
        Command("rotate-webhook-secret", Role.admin, _CHANGES, webhooks.RotateAsked, webhooks.rotate),
        Command("install", Role.admin, _CHANGES, install.InstallAsked, install.install),
    )
}
