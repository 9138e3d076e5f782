"""The target through real PostgREST, as the worker reaches it there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from hybrid_sync.rest.project import Project
from hybrid_sync_cli.stack import rest, supabase
from hybrid_sync_cli.stack.processes import Processes
from tests.conftest import PASSWORD

SECRET = "a-secret-of-at-least-thirty-two-bytes"


@contextmanager
def served(target_dsn: str, home: Path, folder: Path) -> Iterator[Project]:
    """The project over this database; `home` holds PostgREST's program, `folder` the processes' files."""
    binary = rest.find_postgrest(home)
    assert isinstance(binary, Path), binary
    parts = {**conninfo_to_dict(target_dsn), "user": supabase.AUTHENTICATOR, "password": PASSWORD}
    api = rest.Rest(Processes(folder))
    api.ensure(binary, authenticator_dsn=make_conninfo(**parts), jwt_secret=SECRET, port=None)
    project = Project(api.url, supabase.api_key("anon", SECRET), SECRET)
    try:
        yield project
    finally:
        project.close()
        api.stop()
