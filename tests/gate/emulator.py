"""The emulator alone, without a deployment."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hybrid_sync_cli.stack.aws import Aws, ensure_environments
from hybrid_sync_cli.stack.processes import Processes


@contextmanager
def emulator(project: Path) -> Iterator[str]:
    """Its address."""
    ensure_environments(project)
    with tempfile.TemporaryDirectory() as folder:
        running = Aws(Processes(Path(folder)))
        running.start(project / ".venv-stack" / "bin" / "python", None)
        try:
            yield running.endpoint
        finally:
            running.stop()
