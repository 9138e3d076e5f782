"""What a transaction begins with: its settings, so that both sides speak the same text and none waits for ever.

Nothing is set for a session: poolers keep none, so every transaction brings its settings along.
"""

from __future__ import annotations

from functools import lru_cache
from typing import LiteralString

from psycopg import sql

from hybrid_sync.blame import Side

SearchPath = tuple[str, ...] | None
"""Schemas in which names are looked up; None is PostgreSQL's own and nobody else's."""

OUR_PATH: LiteralString = "pg_catalog, pg_temp"
"""What every name of ours is looked up in: nothing that others can fill (pg_temp last, so that it shadows nothing)."""
NATIVE_PATH: LiteralString = "hybrid_sync.path"
"""The setting that remembers, for one transaction, the path that the target gives: its triggers are written for it."""

# Both sides speak the same canonical text and never wait for ever. Set per transaction: poolers keep no session.
TRANSACTION_SETTINGS: dict[LiteralString, str] = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "extra_float_digits": "3",
    "bytea_output": "hex",
    "xmloption": "content",
    "array_nulls": "on",
    "transform_null_equals": "off",
    "standard_conforming_strings": "on",
    "exit_on_error": "off",
    "gin_fuzzy_search_limit": "0",
    "quote_all_identifiers": "off",
    "statement_timeout": "120s",
    "lock_timeout": "30s",
    "idle_in_transaction_session_timeout": "120s",
    # Releases of PostgreSQL (15.18 is one) leave out a default partition for `key in (…) and key is not null`.
    "enable_partition_pruning": "off",
}
_TIMED: tuple[LiteralString, ...] = ("statement_timeout", "idle_in_transaction_session_timeout")
_AT_ONCE = 5
"""Statements of one message that may all take as long as they are allowed."""
# Legacy must refuse where its row security would hide rows from us: a row that is not shown looks deleted.
_LEGACY_LAST: tuple[LiteralString, ...] = ("set local row_security = off", "set local search_path = {}")
_TRUSTED_PATH = tuple(OUR_PATH.split(", "))
# "Succeeded" is said after a commit, which has to outlast a crash; what is set to wait for more stays.
_DURABLE: LiteralString = (
    "select pg_catalog.set_config('synchronous_commit', 'on', true)"
    " where pg_catalog.current_setting('synchronous_commit') = 'off'"
)
# A constraint trigger that waits for COMMIT would run under our path, and its error would cost the whole transaction.
_TARGET_LAST: tuple[LiteralString, ...] = (
    "set local search_path to default",
    f"select pg_catalog.set_config('{NATIVE_PATH}', pg_catalog.current_setting('search_path'), true)",
    f"set local search_path = {OUR_PATH}",
    "set constraints all immediate",
)


@lru_cache(maxsize=64)
def opening(side: Side, isolation: LiteralString, path: SearchPath, *, read_only: bool) -> tuple[bytes, ...]:
    """BEGIN and the settings, rendered once.

    It does not say READ WRITE: where the target's default is read-only (Supabase sets that when the disk is full), the
    transaction has to be refused.
    """
    begin = sql.SQL("begin isolation level {}{}").format(sql.SQL(isolation), sql.SQL(" read only" if read_only else ""))
    # Counted, so that the answer is one number: a column for each setting takes as much again as the statement.
    settings = sql.SQL(
        "select pg_catalog.count(pg_catalog.set_config(name, value, true)) from (values {}) as s (name, value)"
    ).format(
        sql.SQL(", ").join(
            sql.SQL("({}, {})").format(sql.Literal(name), sql.Literal(value))
            for name, value in TRANSACTION_SETTINGS.items()
        )
    )
    parts = _TARGET_LAST if side == "target" else _LEGACY_LAST
    if not read_only:
        parts = (*parts, _DURABLE)  # once the path is ours, in which its operator is looked up
    last = [sql.SQL(part).format(_schemas(path)) for part in parts]
    return tuple(part.as_bytes(None) for part in (begin, settings, *last))


def limit_statements(seconds: int) -> None:
    """How long a statement may take from here on, and one side wait for the other within a transaction."""
    for name in _TIMED:
        TRANSACTION_SETTINGS[name] = f"{seconds}s"
    opening.cache_clear()


def longest_silence() -> float:
    """Seconds after which an answer does not come any more: the server ends each statement of a message in time."""
    return _AT_ONCE * float(TRANSACTION_SETTINGS["statement_timeout"].removesuffix("s"))


def usual_limits() -> sql.Composed:
    """Statements that bring a transaction's time limits back after a part with tighter ones."""
    names: tuple[LiteralString, ...] = ("statement_timeout", "lock_timeout")
    return sql.SQL("; ").join(
        sql.SQL("set local {} = {}").format(sql.SQL(name), sql.Literal(TRANSACTION_SETTINGS[name])) for name in names
    )


def path_setting(path: SearchPath) -> sql.Composed:
    """The statement that makes a transaction look names up in these schemas."""
    return sql.SQL("set local search_path = {}").format(_schemas(path))


def _schemas(path: SearchPath) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, path or _TRUSTED_PATH))
