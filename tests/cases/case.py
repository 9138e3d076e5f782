"""One case as its file tells it; a file that says something unknown is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from hybrid_sync.postgres import OLDEST
from hybrid_sync_cli.stack.binaries import Binaries

ROOT = Path(__file__).parent
Rows = list[list[Any]]


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Expect(Part):
    """What SQL of its own must find."""

    target: dict[str, Rows] = Field(default_factory=dict)
    legacy: dict[str, Rows] = Field(default_factory=dict)
    failed: list[list[Any]] | None = None


class Step(Part):
    """One of: a run, SQL on a side, deliveries from the queue, an undo, a look."""

    run: Literal["weekly", "daily", "on_demand", "verify"] | None = None
    request: dict[str, Any] = Field(default_factory=dict)
    outcome: Literal["succeeded", "degraded", "failed", "refused", "cancelled", "undone"] | None = None
    entities: dict[str, str] = Field(default_factory=dict)
    says: list[str] = Field(default_factory=list)
    never: list[str] = Field(default_factory=list)
    legacy: str | None = None
    target: str | None = None
    retry: bool = False
    rollback: Literal["last"] | None = None
    expect: Expect | None = None

    @model_validator(mode="after")
    def _something(self) -> Step:
        acts = [self.run, self.legacy, self.target, self.rollback, self.expect, self.retry or None]
        if not any(act is not None for act in acts):
            raise ValueError("a step does something: run, legacy, target, retry, rollback or expect")
        if self.run is not None and self.outcome is None:
            raise ValueError("say which outcome the run must have")
        return self


class Case(Part):
    """A small world, what is done to it, and what must be there afterwards."""

    why: Annotated[str, Field(min_length=10)]
    legacy: str = ""
    target: str = ""
    superuser_target: str = ""
    legacy_role: str | None = None
    legacy_options: str = ""
    since: int = OLDEST
    """The oldest PostgreSQL that has what the case is about."""
    icu: bool = False
    """Whether it is about ICU's collations: Debian's PostgreSQL has them, the embedded one has not."""
    catalog: Annotated[dict[str, str], Field(min_length=1)]
    refused: list[str] = Field(default_factory=list)
    steps: list[Step] = Field(default_factory=list)

    @model_validator(mode="after")
    def _does_something(self) -> Case:
        if bool(self.refused) == bool(self.steps):
            raise ValueError("a case has either `steps`, or `refused` with what is said of its catalog")
        return self


def names() -> list[str]:
    """Every case as kind/name, in order."""
    return sorted(f"{path.parent.name}/{path.stem}" for path in ROOT.glob("*/*.yaml"))


def playable(server: Binaries) -> list[str]:
    """Those that this server has all for."""
    return [name for name in names() if lacks(read(name), server) is None]


def lacks(case: Case, server: Binaries) -> str | None:
    """What the case is about and the server does not have."""
    if case.since > server.major:
        return f"PostgreSQL {server.major} has not what the case is about"
    if case.icu and b"libicu" not in (server.folder / "postgres").read_bytes():
        return "this PostgreSQL is built without ICU"
    return None


def read(name: str) -> Case:
    """The case `kind/name`."""
    return Case.model_validate(yaml.safe_load((ROOT / f"{name}.yaml").read_text(encoding="utf-8")))
