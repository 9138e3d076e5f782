"""The sample world: a legacy database and a target with everything that makes the real ones hard."""

from __future__ import annotations

from hybrid_sync_cli.sample.week import Change, MutationReport, mutate
from hybrid_sync_cli.sample.world import World, generate

__all__ = ["Change", "MutationReport", "World", "generate", "mutate"]
