"""A PostgreSQL cluster of our own: made once, on a free port of 127.0.0.1, found again after any kill."""

from __future__ import annotations

import shutil
import signal
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg
from psycopg.conninfo import make_conninfo

from hybrid_sync.postgres import Side
from hybrid_sync.servers.dsn import secured
from hybrid_sync.servers.refused import why_untrusted
from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.stack import binaries
from hybrid_sync_cli.stack.binaries import Binaries
from hybrid_sync_cli.stack.processes import GRACE, Processes, end, family, free_port, is_alive, still_alive, wait_until

START_SECONDS = 30.0
# A cluster that can be made again from nothing need not survive a power cut (fsync), but its commits are
# otherwise ordinary. Only TCP: a Unix socket's path may not exceed 107 bytes, and homes can be deep.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "synchronous_commit": "on",
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "max_connections": "100",
    "wal_level": "logical",  # as hosted
    "log_line_prefix": "%m [%p] ",
    # Statements of a data migration carry cell values; the log may not.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}


@dataclass
class Cluster:
    """One server process over `directory`/data; `superuser` and `password` are fixed when it is made."""

    name: str
    directory: Path
    superuser: str
    password: str
    processes: Processes
    port: int = 0
    _other_password: bool = field(default=False, init=False)

    @cached_property
    def binaries(self) -> Binaries:
        return binaries.find()

    @property
    def data(self) -> Path:
        return self.directory / "data"

    def dsn(self, database: str = "postgres", user: str | None = None, password: str | None = None) -> str:
        """A connection URL for `user` (default: the superuser)."""
        name, secret = (user, password or "") if user else (self.superuser, self.password)
        name, secret, database = (quote(part, safe="") for part in (name, secret, database))
        return f"postgresql://{name}:{secret}@127.0.0.1:{self.port}/{database}"

    def arguments(self) -> list[str]:
        """What else the server is started with."""
        return []

    def ensure(self, preferred_port: int | None = None) -> None:
        """Running and reachable when this returns, whatever state the last command left behind."""
        running = self._postmaster()
        if running is not None and self._adopt(running):
            return
        if not self.data.exists():
            self._initialise()
        self._check_version()
        self._start(preferred_port)

    def stop(self) -> None:
        """Stop the server, finishing no transactions; quiet when it is not running."""
        process = self._postmaster()
        if process is not None:
            # A postmaster takes SIGTERM as "when all clients have gone" and SIGINT as "now, and cleanly".
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGINT)
            still_alive([process], seconds=GRACE)
            end(family(process))
        self.processes.forget(self.name)

    def destroy(self) -> None:
        """Stop the server and delete its data."""
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _initialise(self) -> None:
        self.directory.mkdir(mode=0o711, parents=True, exist_ok=True)
        workshop = Path(tempfile.mkdtemp(prefix="new-", dir=self.directory))
        secret = workshop / "password"
        secret.touch(mode=0o600)
        secret.write_text(self.password, "utf-8")
        if self.binaries.user:
            for path in (workshop, secret):
                shutil.chown(path, self.binaries.user)
        self.binaries.run(
            "initdb", "--pgdata", workshop / "data", "--username", self.superuser, "--pwfile", secret,
            "--auth", "scram-sha-256", "--encoding", "UTF8", "--no-sync", *self._locale(),
        )  # fmt: skip
        secret.unlink()
        with (workshop / "data" / "postgresql.conf").open("a", encoding="utf-8") as config:
            config.writelines(f"{name} = '{value}'\n" for name, value in SETTINGS.items())
        # initdb may be killed half-way: only a complete cluster gets its name.
        (workshop / "data").rename(self.data)
        for leftover in self.directory.glob("new-*"):
            shutil.rmtree(leftover, ignore_errors=True)

    def _check_version(self) -> None:
        made_by = int((self.data / "PG_VERSION").read_text("utf-8"))
        if made_by != self.binaries.major:
            raise CliError(
                f"The {self.name} data were made by PostgreSQL {made_by} and this is {self.binaries.major}: "
                f"set {binaries.OVERRIDE} as it was then, or start anew with hybrid-sync down --purge."
            )

    def _locale(self) -> list[str]:
        """C.UTF-8 from PostgreSQL itself where it has it (17 on), else from the operating system."""
        if self.binaries.major >= 17:
            return ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        return ["--locale=C.UTF-8"]

    def _start(self, preferred_port: int | None) -> None:
        self.port = free_port(preferred_port)
        self._clear_remains()
        server = self.processes.start(
            self.name,
            [self.binaries.folder / "postgres", "-D", self.data, "-p", str(self.port), *self.arguments()],
            env=binaries.clean_environment(),
            user=self.binaries.user,
            cwd=Path("/"),
        )

        def failed() -> str | None:
            if self._other_password:
                return (
                    f"the data in {self.directory} were made under another password, as by a checkout that stood here"
                    " before. To delete them and start anew: hybrid-sync down --purge."
                )
            return None if server.poll() is None else self.processes.log_tail(self.name)

        wait_until(self._answers, seconds=START_SECONDS, failed=failed, what=f"The {self.name} database server")

    def _clear_remains(self) -> None:
        """After a kill of the postmaster: end its orphans, which hold its shared memory; drop its lock."""
        lock = self.data / "postmaster.pid"
        if lock.exists():
            end(process for process in psutil.process_iter() if _works_in(process, self.data))
            lock.unlink(missing_ok=True)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.dsn(), connect_timeout=2).close()
        except psycopg.OperationalError as error:
            # A refused connection has no SQLSTATE here; the server's locale is C, so it speaks English.
            self._other_password = "password authentication failed" in str(error)
            return False
        return True

    def _postmaster(self) -> psutil.Process | None:
        """The live server over our data, also one that nobody recorded; None when its lock file is stale."""
        try:
            pid = int((self.data / "postmaster.pid").read_text("utf-8").split("\n", 1)[0])
            process = psutil.Process(pid)
            ours = is_alive(process) and str(self.data) in process.cmdline()
        except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
            return None
        return process if ours else None

    def _adopt(self, running: psutil.Process) -> bool:
        """Take over a running server's port; False (and stopped) when it does not let us in."""
        lines = (self.data / "postmaster.pid").read_text("utf-8").split("\n")
        self.port = int(lines[3]) if len(lines) > 3 and lines[3].isdigit() else 0
        if self.port and self._answers():
            self.processes.record(self.name, running.pid)
            return True
        self.stop()
        return False


def _works_in(process: psutil.Process, folder: Path) -> bool:
    try:
        return process.cwd() == str(folder)
    except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
        return False


def connect(dsn: str, side: Side, option: str) -> psycopg.Connection[tuple[object, ...]]:
    """Connect to a database that a person named, as the engine does; in words when that is not possible."""
    parts = {"connect_timeout": "5", **secured(dsn, side)}
    try:
        return psycopg.connect(make_conninfo(**parts), autocommit=True)
    except psycopg.Error as error:
        if (untrusted := why_untrusted(side, parts)) is not None:
            raise untrusted from None
        reason = " ".join(str(error).split()).partition(" Is the server")[0]
        raise CliError(f"The {side} database cannot be reached ({reason}): check {option}.") from error
