"""Where and with what a benchmark was run."""

from __future__ import annotations

import platform
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import psutil

from bench.peers.measure import PROJECT
from hybrid_sync_cli.stack import binaries


def machine() -> dict[str, str | int]:
    return {
        "processor": _processor(),
        "processors": psutil.cpu_count() or 1,
        "memory_gb": round(psutil.virtual_memory().total / 2**30),
        "system": f"{platform.system()} {platform.release()}",
    }


def versions() -> dict[str, str]:
    """Of everybody's programs; peers have environments of their own."""
    found = {
        "python": platform.python_version(),
        "postgresql": binaries.find().run("postgres", "--version").stdout.strip().rpartition(" ")[2],
        "psycopg": metadata.version("psycopg"),
    }
    for environment in (".venv-bench", ".venv-bench-sling"):
        packages = sorted((PROJECT / environment).glob("lib/python*/site-packages"))
        for package in metadata.distributions(path=[str(folder) for folder in packages]):
            if package.name in ("dlt", "connectorx", "pyarrow") or package.name.startswith("sling"):
                found[package.name.partition("-")[0]] = package.version
    return found


def commit() -> str:
    """Of the tree that was measured; `+` where it has been changed since."""
    head = _git("rev-parse", "--short", "HEAD")
    changed = _git("status", "--porcelain", "--", "layers", "cli", "functions", "statemachine", "bench")
    return (head or "unknown") + ("+" if changed else "")


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _git(*command: str) -> str:
    try:
        return subprocess.run(["git", *command], cwd=PROJECT, capture_output=True, text=True).stdout.strip()
    except FileNotFoundError:
        return ""


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except FileNotFoundError:
        return platform.processor()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())
