"""The twelve entities deployed by the unmodified template on this machine: a first sync cold, then one that is warm."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg

from bench.ondemand.ground import ended
from bench.ondemand.processor import spent
from bench.peers import catalog, targets
from bench.peers.engine_peer import PASSWORD
from bench.peers.ground import Ground
from bench.peers.measure import PROJECT
from hybrid_sync.contracts import Profile, RunRequest
from hybrid_sync_cli.deployment import Deployment
from hybrid_sync_cli.execution import start
from hybrid_sync_cli.stack import Stack, databases
from hybrid_sync_cli.stack.home import StateFile
from hybrid_sync_cli.stack.options import UpOptions
from hybrid_sync_cli.stack.processes import Processes
from hybrid_sync_cli.stack.up import Builder, purge

_PARTS = ("cli", "functions", "layers", "policies", "requirements", "statemachine", "template.yaml", "samconfig.toml",
          "pyproject.toml", "Makefile", "README.md", "LICENSE")  # fmt: skip
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc")
_ASKED_BY_THE_BENCH = "serve-ops"
"""The function that answers, once a second, whether the run has ended: no part of a run."""
_FORGET = "drop schema hybrid_sync cascade; drop schema public cascade; create schema public;"


@dataclass(frozen=True)
class Synced:
    """Seconds from plan to report as the run has recorded them; CPU seconds of the run's functions, and of the
    emulator, which works on the same processors and on AWS is nobody's."""

    seconds: float
    cpu: float
    emulator: float


def first_syncs(ground: Ground, rounds: int, say: Callable[[str], None]) -> list[Synced]:
    """Cold, and so many times more into an empty target with functions that are warm."""
    try:
        legacy, target = ground.create_legacy("stack"), ground.create_target("stack", targets.with_ids())
        with _up(ground.folder, legacy, target, say) as (stack, builder):
            synced = [_synced(stack, target, "cold", say)]
            for _ in range(rounds):
                ground.run(target, _FORGET + targets.with_ids())
                databases.install(target, builder.state, builder.deployment.project)
                synced.append(_synced(stack, target, "warm", say))
        return synced
    finally:
        ground.drop("stack")


def _synced(stack: Stack, target: str, how: str, say: Callable[[str], None]) -> Synced:
    with spent(1) as milliseconds:
        run_id = start(Deployment.here(stack), RunRequest(profile=Profile.daily, trigger="bench")).run_id
        ended(stack, run_id)
        time.sleep(1.0)  # the last function writes down its metrics after the run has ended
    with psycopg.connect(target) as connection:
        row = connection.execute(
            "select extract(epoch from finished_at - started_at)::float8 from hybrid_sync.run where run_id = %s",
            (run_id,),
        ).fetchone()
    assert row is not None
    emulator = milliseconds.pop("emulator", 0) / 1000
    milliseconds.pop(_ASKED_BY_THE_BENCH, None)
    done = Synced(row[0], sum(milliseconds.values()) / 1000, emulator)
    say(f"deployed, {how}: {done.seconds:.1f} s, {done.cpu:.1f} s of CPU, {done.emulator:.1f} s of the emulator")
    return done


@contextmanager
def _up(folder: Path, legacy: str, target: str, say: Callable[[str], None]) -> Iterator[tuple[Stack, Builder]]:
    """A stack before these databases, with the twelve entities for a catalog; gone afterwards."""
    place, before = folder / "stack", os.environ.get("HYBRID_SYNC_HOME")
    place.mkdir()
    os.environ["HYBRID_SYNC_HOME"] = str(place)
    try:
        builder = Builder(UpOptions(legacy_dsn=legacy, target_dsn=target), say)
        # The role belongs to the whole server, where the engine has it already.
        builder.state.put("target_worker", PASSWORD)
        builder.deployment = replace(builder.deployment, project=_project(folder / "project"))
        yield builder.run(), builder
    finally:
        purge(Processes(place), StateFile(place / "keep.json"))
        os.environ.pop("HYBRID_SYNC_HOME")
        if before is not None:
            os.environ["HYBRID_SYNC_HOME"] = before


def _project(folder: Path) -> Path:
    """The project with another catalog, as a user has one of his own."""
    folder.mkdir()
    for name in _PARTS:
        source = PROJECT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=_LEFT_OUT)
        else:
            shutil.copy2(source, folder / name)
    for environment in PROJECT.glob(".venv*"):
        (folder / environment.name).symlink_to(environment)
    for file in (folder / "layers" / "catalog").glob("*.yaml"):
        file.unlink()
    catalog.write(folder / "layers" / "catalog")
    return folder
