"""A cluster is running and ours when `ensure` returns, whatever the last command left behind."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from hybrid_sync.errors import ConfigurationMissing
from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.stack import binaries, home
from hybrid_sync_cli.stack.postgres import Cluster, connect
from hybrid_sync_cli.stack.processes import Processes, free_port


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster("legacy", home.reachable(tmp_path) / "legacy", "postgres", "a b/c@d", Processes(tmp_path))
    try:
        made.ensure()
        yield made
    finally:
        made.destroy()
        shutil.rmtree(home.reachable(tmp_path), ignore_errors=True)


def same(cluster: Cluster) -> Cluster:
    """The same cluster as another command would see it: nothing but what is on disk."""
    return Cluster("legacy", cluster.directory, "postgres", cluster.password, cluster.processes)


def answer(dsn: str, query: str) -> object:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(query).fetchone()  # type: ignore[call-overload]
    assert row is not None
    return row[0]


def test_a_new_cluster_is_reachable_by_its_password_only(cluster: Cluster) -> None:
    assert answer(cluster.dsn(), "select 1") == 1
    wrong = cluster.dsn("postgres", "postgres", "wrong")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(wrong)


def test_it_listens_on_the_loopback_address_alone(cluster: Cluster) -> None:
    process = cluster.processes.recorded("legacy")
    assert process is not None
    assert {c.laddr.ip for c in process.net_connections("inet") if c.status == "LISTEN"} == {"127.0.0.1"}


def test_lower_case_works_beyond_ascii(cluster: Cluster) -> None:
    assert answer(cluster.dsn(), "select lower('ÄÉ')") == "äé"


def test_a_running_server_is_taken_over(cluster: Cluster) -> None:
    again = same(cluster)
    again.ensure()
    assert again.port == cluster.port


def test_a_server_whose_record_is_lost_is_found_and_stopped(cluster: Cluster) -> None:
    cluster.processes.forget("legacy")
    same(cluster).stop()
    assert not psutil.pid_exists(int(_lock_pid(cluster) or 0))


def test_a_killed_server_comes_back_with_its_data(cluster: Cluster) -> None:
    with psycopg.connect(cluster.dsn()) as connection:
        connection.execute("create table kept as select 42 as n")
    process = cluster.processes.recorded("legacy")
    assert process is not None
    process.send_signal(signal.SIGKILL)
    process.wait()
    again = same(cluster)
    again.ensure()
    assert answer(again.dsn(), "select n from kept") == 42


def test_a_half_made_cluster_is_made_anew(tmp_path: Path) -> None:
    directory = home.reachable(tmp_path) / "legacy"
    (directory / "new-killed" / "data").mkdir(parents=True)
    cluster = Cluster("legacy", directory, "postgres", "secret", Processes(tmp_path))
    cluster.ensure()
    assert answer(cluster.dsn(), "select 1") == 1
    assert list(directory.glob("new-*")) == []
    cluster.destroy()
    shutil.rmtree(home.reachable(tmp_path), ignore_errors=True)


def test_data_of_another_version_are_refused_in_words(cluster: Cluster) -> None:
    cluster.stop()
    version = cluster.data / "PG_VERSION"
    version.write_text("9\n")
    with pytest.raises(CliError, match=r"were made by PostgreSQL 9 .* down --purge"):
        same(cluster).ensure()


@pytest.mark.parametrize("running", [True, False])
def test_data_that_a_deleted_checkout_made_are_refused_in_words(cluster: Cluster, *, running: bool) -> None:
    if not running:
        cluster.stop()
    heir = Cluster("legacy", cluster.directory, "postgres", "of a new checkout", cluster.processes)
    with pytest.raises(CliError, match=r"made under another password.* down --purge"):
        heir.ensure()


def test_a_taken_port_is_left_alone(cluster: Cluster, tmp_path: Path) -> None:
    assert free_port(cluster.port) != cluster.port


def test_a_folder_without_postgresql_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(binaries.OVERRIDE, str(tmp_path))
    with pytest.raises(CliError, match="holds no PostgreSQL"):
        binaries.find()


def test_private_binaries_are_copied_once_with_the_libraries_beside_them(tmp_path: Path) -> None:
    folder = tmp_path / "private" / "package" / "install" / "bin"
    for path in (folder / "postgres", folder.parent / "lib" / "x.so", tmp_path / "private" / "package.libs" / "y.so"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    copied = binaries.copied_out(folder, tmp_path)
    assert (copied / "postgres").exists()
    assert (copied.parent / "lib" / "x.so").exists()
    assert (copied.parents[2] / "package.libs" / "y.so").exists()
    assert binaries.copied_out(folder, tmp_path) == copied


def test_a_server_does_not_run_from_a_folder_that_the_next_command_closes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(home, "project_root", lambda: tmp_path)
    monkeypatch.setattr(home, "SHARED", tmp_path / "shared")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(binaries, "_can_run", lambda folder, user: True)  # as it is open still
    folder = tmp_path / ".hybrid-sync" / "servers" / "package" / "native" / "bin"
    folder.mkdir(parents=True)
    (folder / "postgres").write_text("")
    assert binaries.prepared(folder).folder.is_relative_to(tmp_path / "shared")
    elsewhere = tmp_path / "usr" / "bin"
    assert binaries.prepared(elsewhere).folder == elsewhere


def test_a_wrong_dsn_is_told_in_words(cluster: Cluster) -> None:
    with pytest.raises(CliError, match=r"cannot be reached .* check --legacy-dsn\."):
        connect(f"postgresql://nobody:x@127.0.0.1:{free_port()}/x", "legacy", "--legacy-dsn")
    with pytest.raises(ConfigurationMissing, match="is not a PostgreSQL connection string"):
        connect("not a dsn", "legacy", "--legacy-dsn")


def _lock_pid(cluster: Cluster) -> str | None:
    lock = cluster.data / "postmaster.pid"
    return lock.read_text().split("\n")[0] if lock.exists() else None
