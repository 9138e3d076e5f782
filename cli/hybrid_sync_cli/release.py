"""`make deploy`: build the template, say which build it is, deploy it; every argument is one of `sam deploy`."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from hybrid_sync_cli.stack import home
from hybrid_sync_cli.stack.build_id import build_id, seal

BUILT = Path(".aws-sam/build/template.yaml")


def release(arguments: Sequence[str], project: Path) -> int:
    """The exit status of sam; what it says is on the terminal."""
    sam = str(project / ".venv-sam" / "bin" / "sam")
    if status := subprocess.run([sam, "build"], cwd=project).returncode:
        return status
    # Other parameters make another build, because a version keeps the settings that it was published with; whoever
    # answers questions may give any.
    asked = str(time.time()) if {"--guided", "-g"} & set(arguments) else ""
    settings = (project / "samconfig.toml").read_text("utf-8")
    seal(project / BUILT, build_id(project, settings, *arguments, asked))
    return subprocess.run([sam, "deploy", *arguments], cwd=project).returncode


if __name__ == "__main__":
    sys.exit(release(sys.argv[1:], home.project_root()))
