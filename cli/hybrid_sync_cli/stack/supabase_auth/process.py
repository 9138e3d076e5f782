"""The stand-in as one recorded process."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

from hybrid_sync_cli.stack.processes import Processes, free_port
from hybrid_sync_cli.stack.supabase_auth.accounts import Accounts

NAME = "auth"
_SERVER = "hybrid_sync_cli.stack.supabase_auth.server"


@dataclass
class SupabaseAuth:
    """Behind the project's gateway, which waits until it answers."""

    processes: Processes
    port: int = 0

    def start(self, project_url: str, jwt_secret: str) -> None:
        """Anew; users and keys stay as they are, whoever has signed in does so again."""
        self.stop()
        Accounts(self.processes.home, jwt_secret)
        self.port = free_port()
        command = [sys.executable, "-m", _SERVER, str(self.port), str(self.processes.home), project_url]
        self.processes.start(NAME, command, env=dict(os.environ))

    def stop(self) -> None:
        self.processes.stop(NAME)
