"""Two throwaway PostgreSQL servers, and in them one legacy and one target with the domain's tables."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import disk_usage
from urllib.parse import urlencode

import psutil
import psycopg

from hybrid_sync.catalog.load import load
from hybrid_sync.schema.install import WORKER, install
from hybrid_sync_cli.stack import home, supabase
from hybrid_sync_cli.stack.postgres import Cluster
from hybrid_sync_cli.stack.processes import Processes
from tests.faults.disk import Disk

DOMAIN = Path(__file__).parent / "domain"
CATALOG = DOMAIN / "catalog"
_PASSWORD = "only-for-tests"  # nosec B105 - of servers that live as long as the harness
# A deadlock is looked for after 50 ms, since a schedule lasts less than PostgreSQL's own second.  Workers that die open
# new connections: the password's 4,096 rounds of hashing would be a large part of their work.
_SETTINGS = {
    "deadlock_timeout": "50ms",
    "scram_iterations": "1",
    "shared_buffers": "64MB",
    "autovacuum": "off",
    "jit": "off",
    "dynamic_shared_memory_type": "mmap",  # what a killed server leaves goes with its folder
    "unix_socket_directories": ".",  # in the data folder
}


_READER = "reader"
_READS = (
    "grant select on all tables in schema public to reader",
    "alter default privileges in schema public grant select on tables to reader",
)

_MEMORY = Path("/dev/shm")  # nosec B108 - a folder of its own is made there
_ROOM = 4 * 1024**3
"""Free bytes of memory from which on the servers' files lie there."""


@dataclass(frozen=True)
class Servers:
    """The DSNs of legacy's superuser and the role that reads it, of the target's owner and superuser, and of the
    engine's own role there."""

    legacy: str
    legacy_reader: str
    legacy_disk: Disk
    target_owner: str
    target_superuser: str
    target_worker: str


@contextmanager
def servers(folder: Path) -> Iterator[Servers]:
    """Two servers with an empty domain, destroyed at the end; `folder` is private to them."""
    processes = Processes(folder)
    with _place(folder) as place:
        legacy = Cluster("faults-legacy", place / "legacy", "postgres", _PASSWORD, processes)
        target = Cluster("faults-target", place / "target", supabase.SUPERUSER, _PASSWORD, processes)
        try:
            _start(legacy, {**_SETTINGS, "max_prepared_transactions": "16"})
            _start(target, _SETTINGS)
            yield _prepare(legacy, target)
        finally:
            legacy.destroy()
            target.destroy()


@contextmanager
def _place(folder: Path) -> Iterator[Path]:
    """In memory where there is room: temporary tables come and go by the thousand, each of them several files."""
    if not _MEMORY.is_dir() or psutil.virtual_memory().available < 2 * _ROOM or disk_usage(_MEMORY).free < _ROOM:
        yield home.reachable(folder)
        return
    with tempfile.TemporaryDirectory(prefix="hybrid-sync-faults-", dir=_MEMORY) as name:
        Path(name).chmod(0o711)  # root's servers run as another user
        yield Path(name)


def _start(cluster: Cluster, settings: dict[str, str]) -> None:
    cluster.ensure()
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        row = connection.execute("select array_agg(name) from pg_settings").fetchone()
        known = set(row[0]) if row else set()
        for name, value in settings.items():
            if name in known:  # scram_iterations came with 16
                connection.execute(
                    psycopg.sql.SQL("alter system set {} = {}").format(
                        psycopg.sql.Identifier(name), psycopg.sql.Literal(value)
                    )
                )
    cluster.stop()
    cluster.ensure()
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        # Hashed again, now in one round.
        connection.execute(
            psycopg.sql.SQL("alter role {} password {}").format(
                psycopg.sql.Identifier(cluster.superuser), psycopg.sql.Literal(_PASSWORD)
            )
        )


def _prepare(legacy: Cluster, target: Cluster) -> Servers:
    supabase.bootstrap(target.dsn(), admin_password=_PASSWORD, authenticator_password=_PASSWORD)
    owner = target.dsn(user=supabase.ADMIN, password=_PASSWORD)
    with psycopg.connect(legacy.dsn(), autocommit=True) as connection:
        connection.execute((DOMAIN / "legacy.sql").read_bytes())
        connection.execute(
            psycopg.sql.SQL("create role {} login password {}").format(
                psycopg.sql.Identifier(_READER), psycopg.sql.Literal(_PASSWORD)
            )
        )
        for statement in _READS:
            connection.execute(statement)
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute((DOMAIN / "target.sql").read_bytes())
    # By an owner who may not excuse the worker from row security, so that there are policies for it.
    with psycopg.connect(target.dsn(), autocommit=True) as connection:
        admin = psycopg.sql.Identifier(supabase.ADMIN)
        connection.execute(psycopg.sql.SQL("alter role {} nobypassrls").format(admin))
        install(owner, _PASSWORD, load(CATALOG))
        connection.execute(psycopg.sql.SQL("alter role {} bypassrls").format(admin))
    worker = target.dsn(user=WORKER, password=_PASSWORD)
    ours = [_by_socket(dsn, target) for dsn in (owner, target.dsn(), worker)]
    reader = legacy.dsn(user=_READER, password=_PASSWORD)
    return Servers(_by_socket(legacy.dsn(), legacy), _by_socket(reader, legacy), Disk(legacy), *ours)


def _by_socket(dsn: str, cluster: Cluster) -> str:
    """The same server through its socket: a schedule has thousands of round trips, and TCP's are a quarter dearer."""
    return f"{dsn}?{urlencode({'host': cluster.data})}"
