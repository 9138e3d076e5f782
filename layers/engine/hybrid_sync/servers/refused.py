"""Why a server lets nobody in: in one sentence, with what to look at."""

from __future__ import annotations

import re

import psycopg

from hybrid_sync.blame import Side
from hybrid_sync.errors import UNAVAILABLE as UNAVAILABLE
from hybrid_sync.errors import SyncError, TooManyConnections
from hybrid_sync.servers.dsn import Parts, hosts

_NO_CONNECTION_LEFT = re.compile(
    "max clients|too many (clients|connections)|connection slots|no more connections", re.I
)
_WRONG_PASSWORD = re.compile("password authentication failed|no password supplied|wrong password", re.I)
_NOT_THERE = re.compile("does not exist|tenant or user not found", re.I)
_NOT_ALLOWED = re.compile("no pg_hba.conf entry|permission denied for database|is not permitted to log in", re.I)
# A resolver that is away for a moment says "temporary failure" instead.
_NO_SUCH_HOST = re.compile(
    "(failed to resolve host|could not translate host name).*(not known|no address|nodename nor servname)", re.I | re.S
)
_NO_POSTGRES = re.compile(
    "invalid response to ssl negotiation|unsupported frontend protocol|expected authentication", re.I
)


def refused(side: Side, parts: Parts, error: psycopg.Error) -> SyncError:
    """What stands in the way of a connection."""
    text = str(error)
    tried = hosts(parts)
    # libpq gives no SQLSTATE for a refused connection; these words choose the advice and how patient we are, no more.
    if _NO_CONNECTION_LEFT.search(text):
        return no_connection_left(side)
    needs_person = True
    if _WRONG_PASSWORD.search(text):
        advice = "Check the user and the password in its DSN."
    elif _NOT_THERE.search(text):
        advice = "Check the database name and the user in its DSN."
    elif _NOT_ALLOWED.search(text):
        advice = "Let the user of its DSN connect to that database."
    elif _NO_SUCH_HOST.search(text):
        advice = _unreached(parts) or (
            "That name leads nowhere: check the host in its DSN, and whether the server was deleted, paused or renamed."
        )
    elif _NO_POSTGRES.search(text):
        advice = "What answers there is no PostgreSQL: check host and port in its DSN."
    elif (untrusted := why_untrusted(side, parts)) is not None:
        return untrusted
    else:
        needs_person = False
        advice = _unreached(parts) or "Check that the server runs and that host and port in its DSN are right."
    places = ",".join(f"{host.name or host.address or 'localhost'}:{host.port}" for host in tried)
    found = UNAVAILABLE[side](f"The {side} database does not let us in at {places}/{parts.get('dbname', '')}.", advice)
    found.needs_person = needs_person
    return found


def _unreached(parts: Parts) -> str | None:
    from hybrid_sync.servers import supabase  # what only a refusal needs

    return supabase.unreached(parts.get("host", ""))


def no_connection_left(side: Side) -> SyncError:
    """Others use all that there are."""
    parameter = "LegacyConnections" if side == "legacy" else "TargetConnections"
    return TooManyConnections(
        f"The {side} database, or its pooler, has no connection left.",
        f"It is tried again for a quarter of an hour; lower {parameter}, or raise the limit there.",
    )


def why_untrusted(side: Side, parts: Parts) -> SyncError | None:
    """What is wrong with the TLS of the first of the servers that does not prove itself."""
    if parts.get("sslmode") != "verify-full":
        return None
    from hybrid_sync.servers.handshake import why_untrusted  # only for servers that refuse us

    found = (
        why_untrusted(host, side, parts["sslrootcert"]) for host in hosts(parts) if not host.name.startswith(("/", "@"))
    )
    return next((error for error in found if error is not None), None)
