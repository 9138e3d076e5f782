"""Both sides made ready: a cluster of our own or a person's database, with the roles for the functions."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from hybrid_sync_cli.stack import home, legacy, supabase
from hybrid_sync_cli.stack.home import StateFile
from hybrid_sync_cli.stack.options import UpOptions
from hybrid_sync_cli.stack.postgres import Cluster, connect
from hybrid_sync_cli.stack.processes import Processes
from hybrid_sync_cli.stack.tls_cluster import TlsCluster

LEGACY_SUPERUSER = "postgres"
LEGACY_DATABASE = "legacy"
TARGET_DATABASE = "postgres"  # as every hosted project names it


@dataclass(frozen=True)
class Databases:
    """Both sides, as people and as the functions connect to them."""

    legacy_dsn: str
    target_dsn: str
    worker_legacy_dsn: str
    worker_target_dsn: str
    authenticator_dsn: str  # what PostgREST logs in with; empty when the target is a person's own
    target_ca: str = ""  # PEM text, where the stack's own target demands TLS


def cluster(side: str, processes: Processes, state: StateFile, *, strict: bool = False) -> Cluster:
    """Our cluster of that side, running or not; the strict stack's target demands TLS."""
    superuser = LEGACY_SUPERUSER if side == "legacy" else supabase.SUPERUSER
    folder = home.reachable(processes.home) / side
    kind = TlsCluster if strict and side == "target" else Cluster
    return kind(side, folder, superuser, state.secret(f"{side}_superuser"), processes)


def check(options: UpOptions) -> None:
    """CliError when a person's own database cannot be reached; asked before anything is written."""
    for side, dsn in options.databases().items():
        if dsn:
            connect(dsn, "legacy" if side == "legacy" else "target", f"--{side}-dsn").close()


def prepare(options: UpOptions, processes: Processes, state: StateFile, project: Path) -> Databases:
    """Start our own sides, side by side, and prepare both."""
    own = [side for side, dsn in options.databases().items() if not dsn]
    clusters = {side: cluster(side, processes, state, strict=options.strict) for side in own}
    ports = {side: options.port(side, state) for side in own}
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda side: clusters[side].ensure(ports[side]), own))
    for side in own:
        state.put(f"{side}_port", clusters[side].port)
    legacy_dsn, worker_legacy_dsn = _legacy(options, clusters.get("legacy"), state)
    target_dsn, authenticator_dsn = _target(options, clusters.get("target"), state)
    worker_target_dsn = install(target_dsn, state, project)
    target, ca = clusters.get("target"), ""
    if isinstance(target, TlsCluster):
        ca, worker_target_dsn = target.ca, make_conninfo(worker_target_dsn, sslrootcert=str(target.ca_file))
    return Databases(legacy_dsn, target_dsn, worker_legacy_dsn, worker_target_dsn, authenticator_dsn, ca)


def install(target_dsn: str, state: StateFile, project: Path) -> str:
    """Bring the engine's own schema and role in the target up to date; the DSN of that role."""
    from hybrid_sync.catalog.load import load
    from hybrid_sync.schema.install import Way
    from hybrid_sync.schema.install import install as install_target

    catalog = load(project / "layers" / "catalog")
    way = Way(ipv6=True)  # the functions run on this machine, as the admin does
    return install_target(target_dsn, state.secret("target_worker"), catalog, way=way, deployment=deployment(state))


def deployment(state: StateFile) -> str:
    """The name under which the stack of this home claims its target: no other home has it."""
    return f"local-{state.secret('deployment', 9)}"


def _legacy(options: UpOptions, own: Cluster | None, state: StateFile) -> tuple[str, str]:
    """Legacy for people and for the functions; a person's own is used as given: we create no role there."""
    if own is None:
        given = str(options.legacy_dsn)
        return given, given
    with psycopg.connect(own.dsn(), autocommit=True) as connection:
        known = connection.execute("select 1 from pg_database where datname = %s", (LEGACY_DATABASE,)).fetchone()
        if known is None:
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(LEGACY_DATABASE)))
    dsn = own.dsn(LEGACY_DATABASE)
    legacy.prepare_reader(dsn, state.secret("legacy_reader"))
    return dsn, own.dsn(LEGACY_DATABASE, legacy.READER, state.secret("legacy_reader"))


def _target(options: UpOptions, own: Cluster | None, state: StateFile) -> tuple[str, str]:
    """The target for people, and for PostgREST where it is ours."""
    if own is None:
        return str(options.target_dsn), ""
    admin, login = state.secret("target_admin"), state.secret("target_authenticator")
    supabase.bootstrap(own.dsn(TARGET_DATABASE), admin_password=admin, authenticator_password=login)
    return (
        own.dsn(TARGET_DATABASE, supabase.ADMIN, admin),
        own.dsn(TARGET_DATABASE, supabase.AUTHENTICATOR, login),
    )
