"""Same version: a run is carried by the catalog and the code that planned it, from its plan to its report.

A deployment in mid-run would otherwise read rows by one definition and move the fence by another: the run succeeds, and
the rows stay as the first definition had them.
"""

from __future__ import annotations

from typing import Any

from hybrid_sync.errors import OtherVersion
from hybrid_sync.postgres import Question
from hybrid_sync.world import World


def version(world: World) -> tuple[str, str]:
    """The catalog's hash and the build."""
    return world.catalog.hash, world.build


def same_version(world: World, run_id: str) -> Question[None]:
    """Raises OtherVersion unless this step's catalog and build are those that the run was planned with."""
    return Question(
        "select catalog_hash, build from hybrid_sync.run where run_id = %s",
        (run_id,),
        lambda found: _compare(world, run_id, found.fetchone()),
    )


def _compare(world: World, run_id: str, planned: tuple[Any, ...] | None) -> None:
    if planned is None:  # whoever asks for the run itself names it
        return
    changed = [
        f"{what} {_short(then)} and carried by {_short(now)}"
        for what, then, now in zip(("catalog", "build"), planned, version(world), strict=True)
        if then != now
    ]
    if changed:
        raise OtherVersion(
            f"Run {run_id} was planned by {', '.join(changed)}: something was deployed in mid-run.",
            "Start it again; deploy with `make deploy`, which lets a running run keep its version.",
        )


def _short(text: str) -> str:
    return text[:12] or "(none)"
