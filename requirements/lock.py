"""Lock the dependency list of pyproject.toml into hashed files that name no host.

`python requirements/lock.py` writes requirements/*.txt; `--upgrade` moves every pin to its newest release;
`--check` needs no network: each file carries the fingerprint of the part of pyproject.toml it was made from.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ["--constraint", "requirements/runtime.txt"]
# file -> what it locks. The order matters: dev takes over the pins of what ships.
LOCKS: dict[str, list[str]] = {
    "runtime": ["pyproject.toml"],
    "auth": ["--group", "auth", *SHIPPED],
    "rest": ["--group", "rest", *SHIPPED, "--constraint", "requirements/auth.txt"],
    "dev": [
        "pyproject.toml",
        "--extra",
        "cli",
        "--group",
        "dev",
        *SHIPPED,
        "--constraint",
        "requirements/auth.txt",
        "--constraint",
        "requirements/rest.txt",
    ],
    "sam": ["--group", "sam"],
    "checkov": ["--group", "checkov"],
    "stack": ["--group", "stack"],
    "bench": ["--group", "bench"],
    "bench-sling": ["--group", "bench-sling"],
    "bootstrap": ["--group", "bootstrap"],
}
COMPILE = ["uv", "pip", "compile", "--quiet", "--universal", "--generate-hashes", "--python-version", "3.11"]
ANONYMOUS = ["--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"]


def fingerprint(name: str, project: dict[str, Any]) -> str:
    """A hash of every declaration that file `name` depends on."""
    groups: dict[str, list[Any]] = project["dependency-groups"]

    def flat(group: str) -> list[str]:
        return [
            line
            for item in groups[group]
            for line in (flat(item["include-group"]) if isinstance(item, dict) else [item])
        ]

    declared: list[str] = [project["project"]["requires-python"]]
    if name in ("runtime", "dev"):
        declared += project["project"]["dependencies"]
    if name == "dev":
        declared += project["project"]["optional-dependencies"]["cli"]
    if name != "runtime":
        declared += flat(name)
    return hashlib.sha256(json.dumps(sorted(declared)).encode()).hexdigest()[:32]


def header(name: str, project: dict[str, Any]) -> str:
    return f"# made by `make lock`; declared: {fingerprint(name, project)}\n"


def lock(name: str, project: dict[str, Any], *, upgrade: bool) -> None:
    path = ROOT / "requirements" / f"{name}.txt"
    more = ["--upgrade"] if upgrade else []
    subprocess.run([*COMPILE, *ANONYMOUS, *more, *LOCKS[name], "--output-file", path], cwd=ROOT, check=True)
    path.write_text(header(name, project) + path.read_text("utf-8").removeprefix(header(name, project)), "utf-8")


def stale(project: dict[str, Any]) -> list[str]:
    """The files that pyproject.toml has moved away from."""
    files = {name: ROOT / "requirements" / f"{name}.txt" for name in LOCKS}
    return [
        name
        for name, path in files.items()
        if not path.exists() or not path.read_text("utf-8").startswith(header(name, project))
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--upgrade", action="store_true")
    asked = parser.parse_args()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    if asked.check:
        behind = stale(project)
        if behind:
            print(f"requirements/{{{','.join(behind)}}}.txt no longer match pyproject.toml: run make lock.")
        return 1 if behind else 0
    for name in LOCKS:
        lock(name, project, upgrade=asked.upgrade)
    return 0


if __name__ == "__main__":
    sys.exit(main())
