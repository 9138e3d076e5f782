"""Legacy's disk, as its owner's provider snapshots it: remembered while the server works, and put back behind its back.

After a revert the server recovers as from a crash, and gives out again transaction ids that the runs have seen used:
same system identifier, same timeline, another history.
"""

from __future__ import annotations

import shutil
import subprocess
from contextlib import suppress

import psutil

from hybrid_sync_cli.stack.postgres import Cluster
from hybrid_sync_cli.stack.processes import family
from tests.crash import crash


class Disk:
    """The data folder of one server."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._copy = cluster.directory / "snapshot"

    def remember(self) -> None:
        """Copy every file at one moment: the server's processes are stopped for it, like the blocks of a volume."""
        shutil.rmtree(self._copy, ignore_errors=True)
        server = family(self._server())
        suspended: list[psutil.Process] = []
        try:
            for process in server:
                with suppress(psutil.NoSuchProcess):
                    process.suspend()
                    suspended.append(process)
            # Unlike Python's copies, this one keeps the owner.
            subprocess.run(["cp", "-Rp", self._cluster.data, self._copy], check=True)
        finally:
            for process in suspended:
                with suppress(psutil.NoSuchProcess):
                    process.resume()
        for remains in (*self._copy.glob(".s.PGSQL*"), self._copy / "postmaster.pid"):
            remains.unlink(missing_ok=True)

    def revert(self) -> None:
        """The server works on what was remembered, under the same address; whoever was connected is not any more."""
        crash(self._server())
        shutil.rmtree(self._cluster.data)
        self._copy.rename(self._cluster.data)
        self._cluster.ensure(preferred_port=self._cluster.port)

    def _server(self) -> psutil.Process:
        pid = int((self._cluster.data / "postmaster.pid").read_text("utf-8").split("\n", 1)[0])
        return psutil.Process(pid)
