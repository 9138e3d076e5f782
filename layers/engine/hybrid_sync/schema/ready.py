"""Whether the target has been prepared for us."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources

from hybrid_sync.blame import hidden
from hybrid_sync.errors import ConfigurationMissing, MissingPrivilege, StructureMismatch
from hybrid_sync.postgres import Connection, Cursor, Question, one_trip

# Neither foreign keys nor triggers apply to a session in replica mode, and the engine relies on both.
_ASKED = """
select name, pg_catalog.current_setting('session_replication_role') from hybrid_sync.migration
"""
_REMEDY = "Run `hybrid-sync install` against the target once, with an owner's DSN."


def require_installed(connection: Connection) -> None:
    """ConfigurationMissing unless every migration of this version is applied, and the target's own rules to us."""
    with prepared(connection), one_trip(connection, "target", read_only=True) as trip:
        trip.ask(ask_installed())


@contextmanager
def prepared(connection: Connection) -> Iterator[None]:
    """Around `ask_installed`: where it is refused, there is no schema of ours that we may read."""
    try:
        yield
    except (StructureMismatch, MissingPrivilege, ConfigurationMissing) as error:
        _require_our_role(connection)
        if isinstance(error, ConfigurationMissing):
            raise
        raise ConfigurationMissing("The target is not prepared for hybrid-sync.", _REMEDY) from None


def _require_our_role(connection: Connection) -> None:
    """ConfigurationMissing where a setting of the role, or of the database, lets our session be another role."""
    who = Question("select session_user::text, current_user::text", None, lambda found: found.fetchall())
    with one_trip(connection, "target", read_only=True) as trip:
        asked = trip.ask(who)
    [(ours, now)] = asked.value
    if ours != now:
        raise ConfigurationMissing(
            f"Sessions of our role {ours} in the target become {now} at their start, and that role is not prepared.",
            f'Take that setting back, where it stands: alter role "{ours}" reset role; or alter database … reset role.',
        )


def ask_installed() -> Question[None]:
    """`require_installed` as a question; ask it within `prepared`."""
    return Question(_ASKED, None, _require)


def _require(found: Cursor) -> None:
    folder = resources.files("hybrid_sync.schema") / "migrations"
    wanted = {f.name for f in folder.iterdir() if f.name.endswith(".sql")}
    rows = found.fetchall()
    applied = {name for name, _ in rows}
    if not applied:
        raise hidden()
    if wanted - applied:
        raise ConfigurationMissing("The target's hybrid_sync schema is of an older version.", _REMEDY)
    require_rules(rows[0][1])


def require_rules(replication_role: str) -> None:
    """ConfigurationMissing in a session to which the target's own rules do not apply."""
    if replication_role == "replica":
        raise ConfigurationMissing(
            "Our role of the target is set to session_replication_role = replica: neither foreign keys nor triggers of"
            " the target would apply to what is written.",
            "Take that setting back, where it stands: alter role hybrid_sync_worker reset session_replication_role;"
            " or alter database … reset session_replication_role.",
        )
