"""`python -m tests.bottlenecks --n 3 --seed 7`: a healthy world and each planted bottleneck, named or not."""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path

import psycopg
from psycopg import sql

from hybrid_sync.entrypoint import logger
from hybrid_sync_cli.stack import supabase
from hybrid_sync_cli.stack.postgres import Cluster
from tests.bottlenecks.plants import PLANTS, Ground, healthy, wrong
from tests.rollbacks.ground import PASSWORD, servers


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bottlenecks", description=__doc__)
    parser.add_argument("--n", type=int, default=1, help="worlds of each kind")
    parser.add_argument("--seed", type=int, default=0)
    wishes = parser.parse_args()
    logger.setLevel("CRITICAL")
    defects: list[str] = []
    with tempfile.TemporaryDirectory(prefix="bottlenecks-") as folder, servers(Path(folder)) as (legacy, target):
        for seed in range(wishes.seed, wishes.seed + wishes.n):
            for code in ("", *PLANTS):
                defects += _play(legacy, target, code, seed)
    for defect in defects:
        print(defect)
    print(f"BOTTLENECKS n={wishes.n} seed={wishes.seed} defects={len(defects)}")
    return 1 if defects else 0


def _play(legacy: Cluster, target: Cluster, code: str, seed: int) -> list[str]:
    name = f"{code or 'healthy'}_{seed}"
    for cluster in (legacy, target):
        with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    supabase.bootstrap(target.dsn(name), admin_password=PASSWORD, authenticator_password=PASSWORD)
    with redirect_stdout(io.StringIO()):  # metrics, which CloudWatch would read there
        ground = Ground(legacy.dsn(name), target.dsn(name, supabase.ADMIN, PASSWORD), seed)
        found = PLANTS[code][0](ground) if code else healthy(ground)
    ground.close()
    print(f"{code or 'healthy'}: {found.sentence}")
    for one in found.bottlenecks:
        print(f"  {one.remedy} {one.ddl}".rstrip())
    return wrong(code, found)


if __name__ == "__main__":
    sys.exit(main())
