"""A mutant: the engine with one guard taken out, as a committed patch that says which promise it breaks.

To write or renew one: take the guard out of the engine, put the output of `git diff` behind the header's lines, and
put the guard back.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATCHES = Path(__file__).parent
ENGINE = Path("layers/engine")


class PatchError(Exception):
    """A patch that cannot be used, in one sentence with the remedy."""


@dataclass(frozen=True)
class Mutant:
    """`promise` is what the engine no longer keeps, `tests` are those that must notice."""

    name: str
    promise: str
    tests: tuple[str, ...]
    patch: Path

    def apply(self, copy: Path) -> None:
        """Take the guard out of the engine in `copy`, a folder that holds `layers/engine`."""
        done = subprocess.run(
            ["git", "apply", "-C1", "--recount", str(self.patch)],
            cwd=copy, env=_outside_any_repository(copy), capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise PatchError(f"{self.patch.name} no longer applies: the guard has moved, so renew the patch.")


def mutants() -> list[Mutant]:
    """Every committed mutant, by name."""
    return [read(patch) for patch in sorted(PATCHES.glob("*.patch"))]


def read(patch: Path) -> Mutant:
    """The mutant in `patch`: its header has one line `Promise:` and a line `Killed-by:` for each test."""
    header = patch.read_text(encoding="utf-8").partition("\n--- ")[0]
    lines = [line.partition(": ") for line in header.splitlines()]
    promises = [text for name, _, text in lines if name == "Promise"]
    tests = tuple(text for name, _, text in lines if name == "Killed-by")
    if len(promises) != 1 or not tests:
        raise PatchError(f"{patch.name} must begin with one line `Promise: …` and at least one `Killed-by: test`.")
    return Mutant(patch.stem, promises[0], tests, patch)


def copy_engine(of: Path, into: Path) -> None:
    """Copy the engine between two roots; what Python compiled stays valid, since the files keep their times."""
    shutil.copytree(of / ENGINE, into / ENGINE)


def _outside_any_repository(copy: Path) -> dict[str, str]:
    # Inside a repository git would take the patch's paths for the repository's own, and skip them without a word.
    return {**os.environ, "GIT_CEILING_DIRECTORIES": str(copy.parent)}
