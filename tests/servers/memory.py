"""Where servers of tests keep their data: in memory where there is room for it.

A database is some three hundred files, a test makes two databases, and a disk's file system is slow with either.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import psutil

from hybrid_sync_cli.stack import home

MEMORY = Path("/dev/shm")  # nosec B108 - a folder of our own is made there
ROOM = 4 * 1024**3
"""Free bytes of memory from which on the servers' files lie there."""


def place(folder: Path) -> Path:
    """A folder for a server's data that its user can reach; `folder` is whose end `clear` is told."""
    if not _has_room():
        return home.reachable(folder)
    made = _mirror(folder)
    for part in reversed([made, *made.parents]):
        if part.is_relative_to(_own()):
            part.mkdir(mode=0o711, exist_ok=True)
    return made if _own().stat().st_uid == os.geteuid() else home.reachable(folder)


def is_memory(folder: Path) -> bool:
    return folder.is_relative_to(MEMORY)


def clear(folder: Path) -> None:
    """Delete what lies in memory for a folder."""
    shutil.rmtree(_mirror(folder), ignore_errors=True)


def _has_room() -> bool:
    return MEMORY.is_dir() and psutil.virtual_memory().available >= 2 * ROOM and shutil.disk_usage(MEMORY).free >= ROOM


def _own() -> Path:
    return MEMORY / f"hybrid-sync-{os.geteuid()}"


def _mirror(folder: Path) -> Path:
    return _own() / folder.resolve().relative_to("/")
