"""A person accepts single failed records: they stay in every report and count against no tolerance."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from hybrid_sync.contracts import Key
from hybrid_sync.errors import RequestRejected
from hybrid_sync.keys import key_text, record_among
from hybrid_sync.postgres import Connection


def accept(connection: Connection, entity: str, source: str, keys: Sequence[Key], *, by: str, why: str) -> None:
    """Accept the failed records of these keys, all or none; until the row or its failure is another one.

    The empty key stands for the rows without a complete key.  RequestRejected names what cannot be accepted.
    """
    found = {
        tuple(key): (str(status), version)
        for key, status, version in connection.execute(
            "select key, status, row_version from hybrid_sync.failed_record"
            " where entity = %s and source = %s and status <> 'resolved' for update",
            (entity, source),
        ).fetchall()
    }
    if unknown := [key for key in keys if key not in found]:
        raise RequestRejected(
            f"Nothing was accepted: {entity}/{source} has no failed record of {_named(unknown)}.",
            f"List them with: hybrid-sync failures --entity {entity}.",
        )
    # Of a record that an older release wrote nobody knows which version of the row failed.
    if unread := [key for key in keys if key and found[key][1] is None]:
        raise RequestRejected(
            f"Nothing was accepted: {_named(unread)} of {entity}/{source} was recorded without its row's version.",
            f"Read it again first: hybrid-sync sync --ref {entity}/{source}:{key_text(unread[0])}.",
        )
    connection.execute(
        sql.SQL(
            "update hybrid_sync.failed_record set status = 'accepted', ended_at = clock_timestamp(), ended_by = {},"
            " accepted_why = {} where entity = {} and source = {} and {}"
        ).format(by, why, entity, source, record_among(keys))
    )


def _named(keys: Sequence[Key]) -> str:
    return ", ".join(key_text(key) or "none" for key in keys)
