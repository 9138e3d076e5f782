"""A checkout of the project, in which a person types the README's commands."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from hybrid_sync_cli.stack import aws, home

_PYTHON = """#!/bin/sh
PYTHONPATH={here}/cli:{here}/layers/engine exec {real} "$@"
"""
_COMMAND = """#!/bin/sh
exec {here}/.venv/bin/python -c 'import sys; from hybrid_sync_cli.main import main; main(sys.argv[1:])' "$@"
"""


class Failed(Exception):
    """A step of the README does not do what it says."""


class Checkout:
    """The files as they are committed or edited, with the environments of the real project."""

    def __init__(self, folder: Path, endpoint: str) -> None:
        self.folder = folder
        self._real = home.project_root()
        self.log = folder.parent / "commands.log"
        self._variables: dict[str, str] = {"AWS_ENDPOINT_URL": endpoint}
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=self._real, check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip
        for name in filter(None, listed.split("\0")):
            if (self._real / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(self._real / name, folder / name)
        self._environments()

    def _environments(self) -> None:
        """Those of the real project; its code is this checkout's."""
        binaries = self.folder / ".venv" / "bin"
        shutil.copytree(self._real / ".venv" / "bin", binaries, symlinks=True)
        scripts = {"python": _PYTHON, "hybrid-sync": _COMMAND}
        for name, script in scripts.items():
            (binaries / name).unlink()
            real = self._real / ".venv" / "bin" / "python"
            (binaries / name).write_text(script.format(here=self.folder, real=real), "utf-8")
            (binaries / name).chmod(0o755)
        (self.folder / ".venv-sam").symlink_to(self._real / ".venv-sam")
        (self.folder / ".venv" / ".ready").touch()

    def ask_nobody(self) -> None:
        """Nobody is there to look at a change set."""
        file = self.folder / "samconfig.toml"
        before = file.read_text("utf-8")
        assert "confirm_changeset = true" in before
        file.write_text(before.replace("confirm_changeset = true", "confirm_changeset = false"), "utf-8")

    def export(self, **variables: str) -> None:
        self._variables |= variables

    def run(self, line: str) -> str:
        """What the command printed; Failed with its last words."""
        environment = {
            **aws.environment(),
            "HYBRID_SYNC_HOME": str(self.folder.parent / "home"),
            "SAM_CLI_TELEMETRY": "0",
            "SAM_CLI_POLL_DELAY": "0.2",
            "__SAM_CLI_APP_DIR": str(self.folder.parent / "sam"),
            "PATH": f"{self._real / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}",
            **self._variables,
        }
        done = subprocess.run(
            ["bash", "-c", line], cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True,
            text=True,
        )  # fmt: skip
        with self.log.open("a", encoding="utf-8") as log:
            log.write(f"$ {line}\n{done.stdout}{done.stderr}\n")
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:] or ["it said nothing"]
            raise Failed(f"{line.split()[0]} ended with {done.returncode}: {said[0]}")
        return done.stdout
