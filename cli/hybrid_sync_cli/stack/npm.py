"""npm's packages as a lock file has them: by their hashes, whatever registry npm knows, and none of their scripts."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from importlib.resources.abc import Traversable
from pathlib import Path

LISTS = ("package.json", "package-lock.json")
INSTALL_SECONDS = 120


def install(npm: str, lists: Traversable, place: Path) -> str:
    """Bring place/node_modules to what the lists say, unless it is there already; why it is not, else nothing."""
    place.mkdir(parents=True, exist_ok=True)
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two commands may want it at once
        return _installed(npm, lists, place)


def _installed(npm: str, lists: Traversable, place: Path) -> str:
    wanted = {name: lists.joinpath(name).read_text("utf-8") for name in LISTS}
    if all((place / name).is_file() and (place / name).read_text("utf-8") == text for name, text in wanted.items()):
        return ""
    for name, text in wanted.items():
        (place / name).write_text(text, "utf-8")
    said = _said([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], place)
    if said:
        (place / LISTS[0]).unlink()  # what is half there is fetched anew
        shutil.rmtree(place / "node_modules", ignore_errors=True)
    return said


def _said(command: list[str], place: Path) -> str:
    try:
        done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    except subprocess.TimeoutExpired:
        return f"no answer within {INSTALL_SECONDS} seconds"
    if not done.returncode:
        return ""
    return ((done.stderr + done.stdout).strip().splitlines() or ["it said nothing"])[-1]
