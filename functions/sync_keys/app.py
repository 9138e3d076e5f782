"""Carry a few keys, verify and report; or leave the request to the whole flow."""

from __future__ import annotations

import time

from hybrid_sync.contracts import StartedRun, SyncedKeys
from hybrid_sync.entrypoint import kept_warm
from hybrid_sync.steps.find_keys import Wait
from hybrid_sync.steps.sync_keys import sync_keys
from hybrid_sync.wiring import function
from hybrid_sync.wiring import world as own_world
from hybrid_sync.world import World


def _sync(world: World, started: StartedRun, wait: Wait = time.sleep) -> SyncedKeys:
    """The execution's name is the run id, whatever the request says."""
    return sync_keys(world, started.request.model_copy(update={"run_id": started.run_id}), wait=wait)


def _get_ready() -> None:
    """All but the databases, which may be asleep and are woken for rows alone."""
    world = own_world()
    _ = world.catalog, world.id_secret, world.reports, world.alerts


handler = kept_warm(_get_ready)(function(StartedRun, _sync))
