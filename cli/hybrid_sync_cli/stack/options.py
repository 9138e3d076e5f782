"""What a person asked `up` for."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from hybrid_sync_cli.stack.home import StateFile
from hybrid_sync_cli.stack.processes import demanded_port


@dataclass(frozen=True)
class UpOptions:
    """Databases and ports; what is not asked for, the stack provides."""

    legacy_dsn: str | None = None
    target_dsn: str | None = None
    ports: dict[str, int | None] = field(default_factory=dict)  # of legacy, target, rest, aws
    # Every role is judged as on AWS; continuous integration knows no other stack.
    strict: bool = field(default_factory=lambda: bool(os.environ.get("CI")))
    injected: str = ""  # bad luck, as emulator.injected reads it
    mail: tuple[str, str] = ("none", "none")  # from whom and to whom the weekly digest goes by SES

    def check_ports(self) -> None:
        """CliError when a port that was asked for is taken."""
        for name, port in self.ports.items():
            if port:
                demanded_port(port, f"--{name}-port")

    def port(self, name: str, state: StateFile) -> int | None:
        """The port that was asked for, or that of last time, which may still be free."""
        return self.ports.get(name) or state.get(f"{name}_port")

    def foreign(self, side: str) -> str | None:
        """The DSN of a person's own database on that side."""
        return self.legacy_dsn if side == "legacy" else self.target_dsn

    def manners(self) -> dict[str, str | bool]:
        """How AWS treats us; a stack with others is another stack."""
        return {"strict": self.strict, "injected": self.injected}

    def databases(self) -> dict[str, str | None]:
        return {"legacy": self.legacy_dsn, "target": self.target_dsn}
