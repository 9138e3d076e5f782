"""How each database is reached: whether others can listen, and how long an answer takes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from statistics import median

from hybrid_sync.blame import Side
from hybrid_sync.check.context import ProbeContext
from hybrid_sync.check.model import Finding, note, warning
from hybrid_sync.check.probe import probe
from hybrid_sync.servers.dsn import Host

ROUND_TRIPS = 5
# Behind a pooler the server tells of the pooler's line to it: whether there is TLS at all is asked of our own end.
_WHO = """
select current_user::text, current_setting('server_version'), version
from pg_stat_ssl where pid = pg_backend_pid()
"""


@probe()
def reached(context: ProbeContext) -> Iterator[Finding]:
    """As which role, how and how far each database is reached; findings: a line that is not verified, a slow one."""
    for side in context.connections:
        role, version, server_tls = context.row(side, _WHO)
        seconds = round_trip(context, side)
        info = context.connections[side].info
        tls = (server_tls or "TLS") if info.pgconn.ssl_in_use else ""
        mode = info.get_parameters().get("sslmode", "")
        yield note(
            "reached",
            f"{context.place(side)} as {role}: PostgreSQL {version}, {_line(tls, mode)},"
            f" {seconds * 1000:.1f} ms for a round trip.",
        )
        yield from judged_line(context.place(side), Host(info.host, info.hostaddr, info.port), tls, mode)
        if seconds > context.limits.round_trip.total_seconds():
            yield warning(
                "slow_line",
                f"{context.place(side)} takes {seconds * 1000:.0f} ms for a round trip.",
                "Deploy to the region of the databases: a batch waits for some ten round trips to each side.",
            )


def round_trip(context: ProbeContext, side: Side) -> float:
    """Seconds; the median of some."""
    taken: list[float] = []
    for _ in range(ROUND_TRIPS):
        began = time.perf_counter()
        context.connections[side].execute("select 1")
        taken.append(time.perf_counter() - began)
    return median(taken)


def judged_line(place: str, host: Host, tls: str, mode: str) -> Iterator[Finding]:
    """What is wrong with a line of that TLS version (empty: none) and `sslmode`."""
    if host.is_here:
        return
    if not tls:
        yield warning(
            "not_encrypted",
            f"The connection to {place} is not encrypted: its CA is `plaintext`.",
            "Give the CA instead, unless nobody else is on that network: hybrid-sync install --target-ca, --legacy-ca.",
        )
    elif mode != "verify-full":
        yield warning(
            "not_verified",
            f"The connection to {place} is encrypted, and nobody verifies who answers (sslmode={mode or 'prefer'}).",
            "Give the CA: hybrid-sync install --target-ca, --legacy-ca.",
        )


def _line(tls: str, mode: str) -> str:
    if not tls:
        return "no TLS"
    return f"{tls}, {'verified' if mode == 'verify-full' else 'not verified'}"
