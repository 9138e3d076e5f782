"""Carry a few keys, verify and report; or leave the request to the whole flow."""

from __future__ import annotations

import time

from hybrid_sync.contracts import StartedRun, SyncedKeys
from hybrid_sync.steps.find_keys import Wait
from hybrid_sync.steps.sync_keys import sync_keys
from hybrid_sync.wiring import function
from hybrid_sync.world import World


def _sync(world: World, started: StartedRun, wait: Wait = time.sleep) -> SyncedKeys:
    """The execution's name is the run id, whatever the request says."""
    return sync_keys(world, started.request.model_copy(update={"run_id": started.run_id}), wait=wait)


handler = function(StartedRun, _sync)
