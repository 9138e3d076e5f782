"""What a person asked `up` for."""

from __future__ import annotations

from dataclasses import dataclass, field

from hybrid_sync_cli.stack.home import Keep
from hybrid_sync_cli.stack.processes import demanded_port


@dataclass(frozen=True)
class Wishes:
    """Databases and ports; what is not asked for, the stack provides."""

    legacy_dsn: str | None = None
    target_dsn: str | None = None
    ports: dict[str, int | None] = field(default_factory=dict)  # of legacy, target, rest, aws

    def port(self, name: str, keep: Keep) -> int | None:
        """The port that was asked for, which has to be free, or that of last time, which may be."""
        asked = self.ports.get(name)
        return demanded_port(asked, f"--{name}-port") if asked else keep.get(f"{name}_port")

    def foreign(self, side: str) -> str | None:
        """The DSN of a person's own database on that side."""
        return self.legacy_dsn if side == "legacy" else self.target_dsn

    def databases(self) -> dict[str, str | None]:
        return {"legacy": self.legacy_dsn, "target": self.target_dsn}
