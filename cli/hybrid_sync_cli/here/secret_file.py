"""The offline copy of a deployment's secrets: a private file of the same JSON object as its connection secret.

Whoever has it reads and writes both databases, and can tell which id belongs to which legacy key.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from hybrid_sync.secret import Connections
from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.stack import home

NEEDED = ("legacy_dsn", "target_dsn", "id_secret")
"""What the environment may say in place of the file, as HYBRID_SYNC_LEGACY_DSN and so on."""
_COPIED = ("deployment", "id_secret", "legacy_ca", "legacy_dsn", "target_ca", "target_dsn")


def write(path: Path, held: Mapping[str, str]) -> None:
    """Write or replace the copy, for its owner's eyes alone."""
    if not held.get("id_secret"):
        raise CliError("The deployment has no id secret yet: install first, and copy it then.")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    home.write_private(path, json.dumps({name: held[name] for name in _COPIED if held.get(name)}, indent=1))


def read(path: Path) -> dict[str, str]:
    """What a copy holds; CliError where others may read it, or where it is none."""
    try:
        if path.stat().st_mode & 0o077:
            raise CliError(f"Others may read {path}: make it yours alone first, with chmod 600 {path}")
        held = json.loads(path.read_text("utf-8"))
        Connections.model_validate(held)
    except OSError as error:
        raise CliError(f"{path} cannot be read ({error.strerror}): name the file that install wrote.") from None
    except (ValueError, ValidationError):
        raise CliError(f"{path} is no copy of a deployment's secrets: name the file that install wrote.") from None
    return {name: str(held[name]) for name in _COPIED if held.get(name)}


def connections(path: Path | None, environment: Mapping[str, str] = os.environ) -> Connections:
    """Both ways to the databases and the id secret: of the file, but for what the environment says."""
    held = read(path) if path else {}
    for name in NEEDED:
        if given := environment.get(_variable(name)):
            held[name] = given
            if name.endswith("_dsn"):  # another server has another certificate: its DSN names the CA
                held.pop(name.replace("_dsn", "_ca"), None)
    if missing := [_variable(name) for name in NEEDED if not held.get(name)]:
        raise CliError(f"What the functions know is needed here: give --secret FILE, or set {', '.join(missing)}.")
    return Connections.model_validate(held)


def _variable(name: str) -> str:
    return f"HYBRID_SYNC_{name.upper()}"
