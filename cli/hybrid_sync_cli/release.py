"""`make deploy`: build the template, say which build it is, deploy it; every argument is one of `sam deploy`."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from hybrid_sync.errors import SyncError
from hybrid_sync_cli.chosen import Machine, overrides, spring_gaps
from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.stack import home
from hybrid_sync_cli.stack.build_id import build_id, seal
from hybrid_sync_cli.stack.deploy import keep_parsed, parameters, require_catalog

BUILT = Path(".aws-sam/build")
COMPILED = ("EngineLayer", "AuthLayer", "SupabaseLayer")
"""Layers that fit one Python and one processor."""


def release(arguments: Sequence[str], project: Path) -> int:
    """The exit status of sam; what it says is on the terminal."""
    require_catalog(project)
    settings = (project / "samconfig.toml").read_text("utf-8")
    given = overrides(settings, arguments)
    defaults = _defaults(project / "template.yaml")
    for sentence in spring_gaps(defaults | given, datetime.now(UTC).date()):
        print(f"warning: {sentence}", file=sys.stderr)
    machine = Machine.chosen(given, defaults["LambdaArchitecture"])
    if machine.architecture != given.get("LambdaArchitecture", defaults["LambdaArchitecture"]):
        print(f"note: Python {machine.python} runs on {machine.architecture} only; a later one on arm64, for less.")
    sam = str(project / ".venv-sam" / "bin" / "sam")
    if status := subprocess.run([sam, "build"], cwd=project, env=os.environ | machine.environment()).returncode:
        return status
    for layer in COMPILED:
        machine.require_layer(project / BUILT / layer)
    keep_parsed(project / BUILT)
    # Other parameters make another build, because a version keeps the settings that it was published with; whoever
    # answers questions may give any.
    asked = str(time.time()) if {"--guided", "-g"} & set(arguments) else ""
    build = build_id(project, settings, *arguments, asked, machine.python, machine.architecture)
    # One source: what the layer was built for is what the template says.
    of_template = {"LambdaRuntime": f"python{machine.python}", "LambdaArchitecture": machine.architecture}
    seal(project / BUILT / "template.yaml", build, of_template)
    status = subprocess.run([sam, "deploy", *arguments], cwd=project).returncode
    if not status:
        print("Next: hybrid-sync check. Scheduled runs start once this catalog has passed one.")
    return status


def _defaults(template: Path) -> dict[str, str]:
    return {name: str(p["Default"]) for name, p in parameters(template).items() if "Default" in p}


if __name__ == "__main__":
    try:
        sys.exit(release(sys.argv[1:], home.project_root()))
    except (CliError, SyncError) as error:
        sys.exit(f"make deploy: {error}")
