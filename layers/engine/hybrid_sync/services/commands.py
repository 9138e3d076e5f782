"""What an operator may ask of a deployment: one table, from which follow the paths, the policies and the audit trail.

A command is a line here, a service in this room and a file of the operator's command; a test names the template's route
and the policies that lack it.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, get_type_hints

from hybrid_sync.contracts import Message
from hybrid_sync.dataclass import dataclass
from hybrid_sync.services.desk import Asked, Desk
from hybrid_sync.services.roles import Role as Role


@dataclass(frozen=True)
class Command:
    """One path, `POST /ops/{name}`; `changes`: the audit trail has every call, refused ones too."""

    name: str
    role: Role
    changes: bool
    service: str
    """Module and function of this room: only the command that is asked for is imported."""

    @property
    def path(self) -> str:
        return f"/ops/{self.name}"

    @property
    def serve(self) -> Callable[[Desk, Any, str], Message]:
        """The service; its third argument is who asks, as AWS has found."""
        module, _, function = self.service.rpartition(".")
        found: Callable[[Desk, Any, str], Message] = getattr(import_module(f"{__package__}.{module}"), function)
        return found

    @property
    def asks(self) -> type[Asked]:
        """The form of a request: what the service declares as its second argument."""
        found: type[Asked] = list(get_type_hints(self.serve).values())[1]
        return found


_READS, _CHANGES = False, True
COMMANDS = {
    command.name: command
    for command in (
        Command("status", Role.viewer, _READS, "runs.status"),
        Command("overview", Role.viewer, _READS, "views.overview.overview"),
        Command("progress", Role.viewer, _READS, "progress.progress"),
        Command("report", Role.viewer, _READS, "runs.report"),
        Command("logs", Role.viewer, _READS, "run_logs.logs"),
        Command("findings", Role.viewer, _READS, "findings.findings"),
        Command("failures", Role.viewer, _READS, "failed.failures"),
        Command("history", Role.viewer, _READS, "history.history"),
        Command("holds", Role.viewer, _READS, "held.holds"),
        Command("syncs", Role.viewer, _READS, "jobs.syncs"),
        Command("checked", Role.viewer, _READS, "checks.checked"),
        Command("audit", Role.viewer, _READS, "trail.audit"),
        Command("audit-verify", Role.viewer, _READS, "audit_copy.verify"),
        Command("idmap-check", Role.viewer, _READS, "idmap.check"),
        Command("idmap-backups", Role.viewer, _READS, "idmap.backups"),
        Command("idmap-backup", Role.operator, _CHANGES, "idmap.backup"),
        Command("idmap-rebuild", Role.operator, _CHANGES, "idmap.rebuild"),
        Command("levels", Role.viewer, _READS, "levels.levels"),
        Command("cost", Role.viewer, _READS, "cost.cost"),
        Command("usage", Role.viewer, _READS, "usage.usage"),
        Command("performance", Role.viewer, _READS, "performance.performance"),
        Command("advise", Role.viewer, _READS, "advice.advise"),
        Command("events", Role.viewer, _READS, "webhooks.events"),
        Command("sync", Role.operator, _CHANGES, "starts.sync"),
        Command("verify", Role.operator, _CHANGES, "starts.verify"),
        Command("check", Role.operator, _CHANGES, "checks.check"),
        Command("cancel", Role.operator, _CHANGES, "jobs.cancel"),
        Command("pause", Role.operator, _CHANGES, "jobs.pause"),
        Command("resume", Role.operator, _CHANGES, "jobs.resume"),
        Command("accept", Role.operator, _CHANGES, "failed.accept"),
        Command("redrive", Role.operator, _CHANGES, "redrive.redrive"),
        Command("hold", Role.operator, _CHANGES, "held.hold"),
        Command("release", Role.operator, _CHANGES, "held.release"),
        Command("rollback", Role.operator, _CHANGES, "rollback.rollback"),
        Command("tokens", Role.operator, _READS, "tokens.tokens"),
        Command("create-token", Role.admin, _CHANGES, "tokens.create_token"),
        Command("rotate-token", Role.admin, _CHANGES, "tokens.rotate_token"),
        Command("revoke-token", Role.admin, _CHANGES, "tokens.revoke_token"),
        Command("erasures", Role.viewer, _READS, "erasing.erasures"),
        Command("erase-preview", Role.admin, _READS, "erasing.preview"),
        Command("erase", Role.admin, _CHANGES, "erasing.erase_people"),
        Command("idmap-restore", Role.admin, _CHANGES, "idmap.restore"),
        Command("sign-event", Role.admin, _CHANGES, "webhooks.sign"),
        Command("rotate-webhook-secret", Role.admin, _CHANGES, "webhooks.rotate"),
        Command("install", Role.admin, _CHANGES, "install.install"),
    )
}
