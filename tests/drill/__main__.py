"""`python -m tests.drill --n 2000 --seed 1`: spoil a synced sample world, and see whether each corruption is named."""

from __future__ import annotations

import argparse
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hybrid_sync.catalog.load import load
from hybrid_sync.schema.install import install
from hybrid_sync_cli.sample import generate
from hybrid_sync_cli.stack import home, supabase
from hybrid_sync_cli.stack.postgres import Cluster
from hybrid_sync_cli.stack.processes import Processes
from tests.drill.drill import drill
from tests.engine.worlds import EngineWorld, run


@contextmanager
def servers(folder: Path) -> Iterator[tuple[Cluster, Cluster, str]]:
    """Two empty servers, the second like a Supabase project, and the password of both; gone afterwards."""
    processes, place, password = Processes(folder), home.reachable(folder), secrets.token_urlsafe()
    legacy = Cluster("drill-legacy", place / "legacy", "postgres", password, processes)
    target = Cluster("drill-target", place / "target", supabase.SUPERUSER, password, processes)
    try:
        for cluster in (legacy, target):
            cluster.ensure()
        supabase.bootstrap(target.dsn(), admin_password=password, authenticator_password=password)
        yield legacy, target, password
    finally:
        for cluster in (legacy, target):
            cluster.destroy()
        shutil.rmtree(place, ignore_errors=True)


def synced(legacy: Cluster, target: Cluster, password: str, scale: float, seed: int) -> tuple[EngineWorld, float]:
    """A sample world after its first sync, and how many seconds that took, its own check not counted."""
    owner = target.dsn(user=supabase.ADMIN, password=password)
    generate(legacy.dsn(), owner, scale, seed)
    catalog = load(home.project_root() / "layers" / "catalog")
    world = EngineWorld(catalog, legacy.dsn(), install(owner, password, catalog))
    began = time.monotonic()
    run(world, "first", profile="daily")
    return world, time.monotonic() - began


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.drill", description=__doc__)
    parser.add_argument("--n", type=int, default=2000, help="corruptions (default: 2000)")
    parser.add_argument("--seed", type=int, default=1, help="(default: 1)")
    parser.add_argument("--scale", type=float, default=0.02, help="of the sample world (default: 0.02)")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="drill-", dir=home.directory()) as folder,
        servers(Path(folder)) as (legacy, target, password),
    ):
        world, _ = synced(legacy, target, password, options.scale, options.seed)
        verdict = drill(world, target.dsn(), options.n, options.seed)
    for line in verdict.missed[:20]:
        print(line, file=sys.stderr)
    print("  ".join(f"{kind} {n}" for kind, n in sorted(verdict.kinds.items())))
    print(f"equal changes {verdict.equal}; after a repair {verdict.left} differ")
    print(f"DRILL injected={verdict.injected} found={verdict.found} false={verdict.false} seed={options.seed}")
    return 0 if verdict.good else 1


if __name__ == "__main__":
    sys.exit(main())
