"""Real PostgreSQL for every test that asks: a cluster per side and session, a database per test."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from hybrid_sync_cli.emulator.refusals import unexpected
from hybrid_sync_cli.stack import Stack, home, supabase
from hybrid_sync_cli.stack.aws import Aws
from hybrid_sync_cli.stack.home import StateFile
from hybrid_sync_cli.stack.options import UpOptions
from hybrid_sync_cli.stack.postgres import Cluster
from hybrid_sync_cli.stack.processes import Processes
from hybrid_sync_cli.stack.up import Builder, purge, tear_down
from tests.drills.mailbox import ADDRESSES
from tests.servers import memory, versions
from tests.servers.projects import Projects, created, log_in_quickly, new_name
from tests.servers.tls import TlsServer, serve

pytest_plugins = ["tests.browser.plugin", "tests.last_words", "tests.workers"]

PASSWORD = "only-for-tests"
HOMES = home.project_root() / ".hybrid-sync" / "tests"
LENT = "HYBRID_SYNC_TEST_HOME"
"""Names a home for sessions that run in turn: its servers stay up between them, and the lender clears it."""


@pytest.fixture(scope="session", autouse=True)
def no_edge() -> Iterator[None]:
    """What is printed goes to files and pipes here, which have no columns, whatever the workers are given."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("COLUMNS", raising=False)
        yield


@pytest.fixture(scope="session")
def session_home() -> Iterator[Path]:
    """A stack home for this session; what killed sessions left behind is cleared away first."""
    if lent := os.environ.get(LENT):
        yield Path(lent)
        return
    mine = new_home()
    yield mine
    clear(mine)


def new_home(part: str = "") -> Path:
    """An empty home that lives as long as this process; `part` tells several of them apart."""
    HOMES.mkdir(mode=0o700, parents=True, exist_ok=True)
    for other in HOMES.iterdir():
        if not _owner_lives(other):
            clear(other)
    mine = HOMES / f"{os.getpid()}-{psutil.Process().create_time():.2f}{part and '-' + part}"
    mine.mkdir(mode=0o700)
    return mine


def _owner_lives(folder: Path) -> bool:
    try:
        pid, started, *_ = folder.name.split("-")
        return f"{psutil.Process(int(pid)).create_time():.2f}" == started
    except (ValueError, psutil.NoSuchProcess):
        return False


def clear(folder: Path) -> None:
    """Stop what runs in a home, and delete it."""
    for place in (folder / "stack", folder):
        if place.exists():
            purge(Processes(place), StateFile(place / "keep.json"))
    memory.clear(folder)


@pytest.fixture(scope="session")
def deployed(session_home: Path) -> Iterator[Stack]:
    """A stack of its own with the real template deployed, as `hybrid-sync up --strict` makes it.

    AWS would have refused whatever is refused here: only what a test has expected may be.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HYBRID_SYNC_HOME", str(session_home / "stack"))
        versions.ensure_npm()  # where the target's server comes from
        yield Builder(UpOptions(strict=True, mail=ADDRESSES), lambda line: None).run()
        assert unexpected(Aws(Processes(home.directory())).refusals) == []
        tear_down(Processes(home.directory()), StateFile(home.directory() / "keep.json"))


@pytest.fixture(scope="session")
def postgres(session_home: Path) -> Iterator[Cluster]:
    """A plain PostgreSQL, superuser `postgres`."""
    yield from _cluster("legacy", "postgres", session_home)


@pytest.fixture(scope="session")
def supabase_postgres(session_home: Path) -> Iterator[Cluster]:
    """A PostgreSQL with Supabase's roles, superuser `supabase_admin`."""
    for cluster in _cluster("target", supabase.SUPERUSER, session_home):
        Projects(cluster, PASSWORD).bootstrap("postgres")
        yield cluster


@pytest.fixture(scope="session")
def projects(supabase_postgres: Cluster) -> Projects:
    """Makes the databases of that server."""
    return Projects(supabase_postgres, PASSWORD)


@pytest.fixture(scope="session")
def tls_server(session_home: Path) -> Iterator[TlsServer]:
    """A PostgreSQL with TLS, superuser `postgres`; whoever changes what it shows leaves it so."""
    yield from serve(session_home, PASSWORD)


def _cluster(name: str, superuser: str, folder: Path) -> Iterator[Cluster]:
    cluster = Cluster(name, memory.place(folder) / name, superuser, PASSWORD, Processes(folder))
    try:
        cluster.ensure()
        log_in_quickly(cluster, PASSWORD, superuser)
        yield cluster
    finally:
        if not os.environ.get(LENT):
            cluster.destroy()


@pytest.fixture
def fresh_database(postgres: Cluster) -> Iterator[Callable[[str], str]]:
    """Call with a name for the DSN (superuser) of one more empty database."""
    with ExitStack() as opened:

        def create(name: str) -> str:
            unique = new_name(name)
            opened.enter_context(created(postgres, unique))
            return postgres.dsn(unique)

        yield create


@pytest.fixture
def legacy_db(fresh_database: Callable[[str], str]) -> str:
    """The DSN of an empty legacy database, as its superuser."""
    return fresh_database("legacy")


@pytest.fixture
def target_db(projects: Projects) -> Iterator[str]:
    """The DSN of an empty Supabase-like database, as `postgres`: no superuser, but BYPASSRLS."""
    with projects.copy("target", installed=False) as name:
        yield projects.admin_dsn(name)
