"""Whether the target has been prepared for us."""

from __future__ import annotations

from importlib import resources

from hybrid_sync.errors import ConfigurationMissing
from hybrid_sync.postgres import Connection, inside

_REMEDY = "Run `hybrid-sync install` against the target once, with an owner's DSN."


def require_installed(connection: Connection) -> None:
    """ConfigurationMissing unless every migration of this version is applied."""
    with inside(connection, "target"):
        row = connection.execute(
            "select to_regclass('hybrid_sync.migration'),"
            " case when to_regclass('hybrid_sync.migration') is not null"
            " then has_table_privilege(to_regclass('hybrid_sync.migration'), 'select') end"
        ).fetchone()
        if row is None or row[0] is None or not row[1]:
            raise ConfigurationMissing("The target is not prepared for hybrid-sync.", _REMEDY)
        done = {name for (name,) in connection.execute("select name from hybrid_sync.migration").fetchall()}
    folder = resources.files("hybrid_sync.schema") / "migrations"
    wanted = {f.name for f in folder.iterdir() if f.name.endswith(".sql")}
    if wanted - done:
        raise ConfigurationMissing("The target's hybrid_sync schema is of an older version.", _REMEDY)
