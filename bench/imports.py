"""What a cold start costs: the CPU of each function's import from the layer as it ships, and the layer's size."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.stack.deploy import Host

PROJECT = Path(__file__).resolve().parent.parent
MOST_CPU_MS = 300
ROUNDS = 9


def contest() -> int:
    """Print CPU ms per function, of its quickest round; 1 when one takes longer than a cold start may."""
    with tempfile.TemporaryDirectory(prefix="hybrid-sync-layer-") as folder:
        layer = build_layer(Path(folder))
        spent = {app.parent.name: 0.0 for app in sorted(PROJECT.glob("functions/*/app.py"))}
        for name in spent:
            spent[name] = min(cpu_ms(PROJECT / "functions" / name, layer) for _ in range(ROUNDS))
        size = megabytes(layer)
    print(f"{'function':22}{'CPU ms':>8}")
    for name, cpu in sorted(spent.items(), key=lambda item: -item[1]):
        print(f"{name:22}{cpu:8.0f}")
    print("IMPORTS", json.dumps({"layer_mb": round(size, 1), "cpu_ms": {n: round(c) for n, c in spent.items()}}))
    return int(max(spent.values()) >= MOST_CPU_MS)


def build_layer(folder: Path) -> Path:
    """The engine's layer, made for this machine by its own Makefile and compiled; returns what goes on the path."""
    host = Host.this()
    environment = {
        **os.environ,
        "ARTIFACTS_DIR": str(folder),
        "PYTHON": sys.executable,
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
        "HYBRID_SYNC_LAYER_PYTHON": host.python,
        "HYBRID_SYNC_LAYER_PLATFORM": host.platform,
    }
    made = subprocess.run(
        ["make", "--silent", "build-EngineLayer"],
        cwd=PROJECT / "layers" / "engine", env=environment, capture_output=True, text=True,
    )  # fmt: skip
    if made.returncode:
        raise CliError(f"The layer could not be built: {made.stderr.strip().splitlines()[-1]}")
    return folder / "python"


def cpu_ms(function: Path, layer: Path) -> float:
    """CPU of a process that imports the function from this layer, and nothing of this environment."""
    environment = {"PYTHONPATH": f"{function}{os.pathsep}{layer}", "PYTHONDONTWRITEBYTECODE": "1"}
    # As under AWS's runtime client, by which the engine knows a cold start; the client itself is not ours to measure.
    program = "import sys; sys.modules['awslambdaric'] = sys; import app"
    process = subprocess.Popen([sys.executable, "-S", "-c", program], cwd=layer, env=environment)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise CliError(f"{function.name} cannot be imported from its layer.")
    return (used.ru_utime + used.ru_stime) * 1000


def megabytes(layer: Path) -> float:
    """As Lambda counts it: the files' own sizes, unzipped."""
    return sum(path.stat().st_size for path in layer.rglob("*") if path.is_file()) / 2**20
