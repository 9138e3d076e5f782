"""`python -m tests.erasing --n 1000 --seed 7`: so many people erased in a storm, and a verdict in one line."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from hybrid_sync.schema.install import install
from hybrid_sync_cli.stack import supabase
from hybrid_sync_cli.stack.postgres import Cluster
from tests.erasing.storm import Storm
from tests.rollbacks.ground import DOMAIN, PASSWORD, ground, servers


class _Backup:
    """A copy of the target's database, and its return."""

    def __init__(self, target: Cluster, storm: Storm) -> None:
        self._target = target
        self._storm = storm
        self._name = str(conninfo_to_dict(storm.admin_dsn)["dbname"])

    def make(self) -> None:
        self._copy(self._name, "backup")

    def restore(self) -> None:
        self._copy("backup", self._name, drop=True)

    def begin_anew(self) -> None:
        """An empty target under the same deployment: the next run is a bulk load."""
        self._do(sql.SQL("drop database {} with (force)").format(sql.Identifier(self._name)))
        self._do(sql.SQL("create database {}").format(sql.Identifier(self._name)))
        supabase.bootstrap(self._target.dsn(self._name), admin_password=PASSWORD, authenticator_password=PASSWORD)
        with psycopg.connect(self._storm.admin_dsn, autocommit=True) as target:
            target.execute((DOMAIN / "target.sql").read_bytes())
        install(self._storm.admin_dsn, PASSWORD, self._storm.world.catalog)

    def _copy(self, of: str, name: str, *, drop: bool = False) -> None:
        if drop:
            self._do(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
        self._do(
            sql.SQL("select pg_terminate_backend(pid) from pg_stat_activity where datname = {}").format(sql.Literal(of))
        )
        self._do(sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(of)))

    def _do(self, statement: sql.Composed) -> None:
        with psycopg.connect(self._target.dsn(), autocommit=True) as connection:
            connection.execute(statement)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.erasing", description=__doc__)
    parser.add_argument("--n", type=int, default=1000, help="people to erase")
    parser.add_argument("--seed", type=int, default=0)
    wishes = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="erasing-") as folder,
        servers(Path(folder)) as (legacy, target),
        ground(legacy, target, 0) as made,
    ):
        made.legacy.close()
        made.target.close()
        admin = target.dsn("game_0", supabase.ADMIN, PASSWORD)
        storm = Storm(made.world, admin, wishes.n * 5 // 4, wishes.seed)
        backup = _Backup(target, storm)
        storm.blow(wishes.n, restore=backup.restore, back_up=backup.make)
        storm.judge("storm")
        backup.begin_anew()
        storm.judge("bulk load")
    for defect in storm.defects:
        print(defect)
    print(f"  {dict(sorted(storm.done.items()))}")
    print(f"ERASING n={wishes.n} seed={wishes.seed} defects={len(storm.defects)}")
    return 1 if storm.defects else 0


if __name__ == "__main__":
    sys.exit(main())
