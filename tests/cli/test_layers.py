"""Each layer with compiled parts is built, by its own Makefile, for each processor that Lambda runs this Python on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hybrid_sync_cli.chosen import OLD, Machine
from hybrid_sync_cli.stack.deploy import Host

OWN = f"{sys.version_info.major}.{sys.version_info.minor}"
OURS = Host.this().architecture
ASK = "from hybrid_sync.compiled.library import json_tails; print(json_tails()([b'\\0\\0\\0\\1' + b'1'], 1))"

READY = b"\0\0\0\2" + b"\1" + b"1"


def built(layer: str, machine: Machine, folder: Path) -> Path:
    """What goes on the path. The Makefile refuses a layer that is too large."""
    tools = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    environment = {**os.environ, **machine.environment(), "PATH": tools, "ARTIFACTS_DIR": str(folder)}
    command = ["make", "--silent", "-C", f"layers/{layer}", f"build-{layer.capitalize()}Layer"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    machine.require_layer(folder)
    return folder / "python"


@pytest.mark.parametrize("architecture", ["x86_64"] if OWN == OLD else ["arm64", "x86_64"])
@pytest.mark.parametrize("layer", ["engine", "auth", "supabase"])
def test_a_layer_is_built_for_either_processor(layer: str, architecture: str, tmp_path: Path) -> None:
    path = built(layer, Machine(OWN, architecture, sys.executable), tmp_path)
    if layer == "engine":
        assert [file.name for file in (path / "hybrid_sync" / "compiled").glob("*.[chs]*")] == ["rows.so"]
    if (layer, architecture) == ("engine", OURS):
        asked = [sys.executable, "-S", "-c", ASK]
        done = subprocess.run(asked, env={"PYTHONPATH": str(path)}, capture_output=True, text=True)
        assert done.stdout == f"{[READY]}\n", done.stderr
