"""Only a database that the sample made is ever sampled into or mutated."""

from __future__ import annotations

from importlib import resources

from hybrid_sync.postgres import Connection, Side
from hybrid_sync_cli.errors import CliError

_HAS_MARKER = "select to_regclass('hybrid_sync_sample.marker') is not null"
_MARKER = "select seed, scale::float8 from hybrid_sync_sample.marker where side = %s"
# Views and foreign tables count as well: whatever stands in `public` is somebody's.
_TABLES = """
select count(*) from pg_class
where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'f')
"""


def script(name: str) -> str:
    """The text of one of the package's SQL files, named by its path under `sql/`."""
    return resources.files("hybrid_sync_cli.sample").joinpath("sql", *name.split("/")).read_text(encoding="utf-8")


def found(connection: Connection, side: Side) -> tuple[int, float] | None:
    """Seed and scale of the world in this database; None where the sample made none."""
    if not _one(connection, _HAS_MARKER):
        return None
    row = connection.execute(_MARKER, (side,)).fetchone()
    return (int(row[0]), float(row[1])) if row else None


def require_empty(connection: Connection, side: Side) -> None:
    """Raises CliError where a world, or anybody's tables, already are."""
    world = found(connection, side)
    if world is not None:
        seed, scale = world
        raise CliError(
            f"The {side} database already holds a sample world (scale {scale:g}, seed {seed}): use it, "
            "or run `hybrid-sync down --purge` and `hybrid-sync up` for empty databases."
        )
    if _one(connection, _TABLES):
        raise CliError(
            f"The {side} database has tables that the sample did not make, so nothing is written into it: "
            "use the databases that `hybrid-sync up` creates."
        )


def require_sample(connection: Connection, side: Side) -> None:
    """Raises CliError unless the sample made this database's tables."""
    if found(connection, side) is None:
        raise CliError(
            f"The {side} database was not made by `hybrid-sync sample`, so nothing is changed in it: "
            "run `hybrid-sync sample` on the databases that `hybrid-sync up` creates."
        )


def claim(connection: Connection, side: Side, seed: int, scale: float) -> None:
    """Write the marker, in the transaction that writes the tables."""
    connection.execute(script("marker.sql"))
    connection.execute("insert into hybrid_sync_sample.marker values (%s, %s, %s)", (side, seed, scale))


def _one(connection: Connection, query: str) -> object:
    row = connection.execute(query.encode()).fetchone()
    return row[0] if row else None
