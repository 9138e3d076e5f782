"""Same version: a run is carried by the catalog and the code that planned it, from its plan to its report.

A deployment in mid-run would otherwise read rows by one definition and move the fence by another: the run succeeds, and
the rows stay as the first definition had them.
"""

from __future__ import annotations

from typing import Any

from hybrid_sync.erase.records import remember_last
from hybrid_sync.errors import OtherVersion
from hybrid_sync.ids.mint import ask_same_secret, recording, require_same
from hybrid_sync.postgres import Cursor, Question
from hybrid_sync.session import Trip
from hybrid_sync.world import World


def version(world: World) -> tuple[str, str]:
    """The catalog's hash and the build."""
    return world.catalog.hash, world.build


def same_version(world: World, run_id: str, *, mints: bool = False) -> Question[None]:
    """Raises OtherVersion unless this step's catalog and build are those that the run was planned with.

    Whoever asks hears of the last erasure as well, before it makes or takes up a plan.  Whoever `mints` ids is refused
    where the target's were made under another id secret; everybody, where the target's own rules do not apply to us.
    """

    def compare(found: Cursor) -> None:
        row = found.fetchone()
        assert row is not None, "an aggregate is one row"
        remember_last(world, row[0])
        if mints and world.build:
            require_same(world.id_secret, row[3])
        if row[4] == "replica":
            from hybrid_sync.schema.ready import require_rules  # seldom

            require_rules(row[4])
        _compare(world, run_id, row[1:3])

    return Question(
        "select e.n, r.catalog_hash, r.build, (select fingerprint from hybrid_sync.id_secret),"
        " current_setting('session_replication_role')"
        " from (select coalesce(max(n), 0) as n from hybrid_sync.erasure) e"
        " left join hybrid_sync.run r on r.run_id = %s",
        (run_id,),
        compare,
    )


def same_secret(world: World) -> list[Question[None]]:
    """Raises ConfigurationMissing where the target's ids were made under another id secret.

    Nothing is asked where nothing is deployed: there a secret is whatever a test says.
    """
    return [ask_same_secret(world.id_secret)] if world.build else []


def record_secret(world: World, trip: Trip) -> None:
    """Keep the id secret's fingerprint in the target, unless one is there."""
    if world.build:
        trip.ask(recording(world.id_secret))


def _compare(world: World, run_id: str, planned: tuple[Any, ...]) -> None:
    if planned[0] is None:  # whoever asks for the run itself names it
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
