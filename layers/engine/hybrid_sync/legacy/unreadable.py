"""A row that legacy itself cannot compute costs that row: it is found on the server, and the others are read.

A cast that fails, a division by zero, a text that is not valid in its encoding: one such row aborts the COPY of all.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import field, replace
from itertools import chain

import psycopg
from psycopg import sql

from hybrid_sync.catalog.compile import ReadPlan
from hybrid_sync.contracts import Key
from hybrid_sync.dataclass import dataclass
from hybrid_sync.errors import MissingPrivilege, StructureMismatch
from hybrid_sync.halve import Refusal, halve, halve_on_server
from hybrid_sync.keys import one_of
from hybrid_sync.legacy import rows
from hybrid_sync.legacy.cut import Cut
from hybrid_sync.postgres import Connection, require_row, transaction

_REFUSED = "42501"
"""A right is missing, whichever row shows it: nothing of ours can raise it in legacy, where no trigger fires."""

# Segments of the keys are computed and thrown away.  The answer leaves in a setting of the transaction: a DO block
# returns nothing, and legacy is read only.
_COMPUTE = "perform sum(length(convert_to(r::text, 'UTF8'))) from (select {columns} from {relations} where {where}) r;"
_KEEP = sql.SQL("found := found || ' ' || lo || ':' || state;")
_ANSWER = sql.SQL("perform set_config('hybrid_sync.unreadable', found, true);")


@dataclass
class Isolated:
    """A page of rows that legacy can compute, and those among them that it cannot."""

    cut: Cut
    rows: list[bytes] = field(default_factory=list)
    unreadable: list[Refusal[Key]] = field(default_factory=list)


def read_isolated(connection: Connection, plan: ReadPlan, where: sql.Composable, cut: Cut) -> Isolated:
    """A page of the rows under `where`, in key order; never fails because of a row.

    `cut` is how large a page may be; the answer's says where this one ends.
    """
    with transaction(connection, "legacy", read_only=True, path=plan.path):
        keys = rows.keys(connection, plan, where, cut.at_most)
    more, keys = len(keys) > cut.most_rows, keys[: cut.most_rows]
    found = _readable(connection, plan, keys, cut)
    if found.cut.more:  # full of bytes before these keys were through: the next page looks at the others
        found.unreadable = [r for r in found.unreadable if r.item <= (found.cut.last or r.item)]
    elif keys:
        found.cut.last, found.cut.more = keys[-1], more
    return found


def _readable(connection: Connection, plan: ReadPlan, keys: Sequence[Key], cut: Cut) -> Isolated:
    if not keys:
        return Isolated(cut)
    found = Isolated(replace(cut))
    try:
        with transaction(connection, "legacy", read_only=True, path=plan.path):
            found.unreadable = _search(connection, plan, keys)
            unreadable = {r.item for r in found.unreadable}
            found.rows = _rows(connection, plan, [key for key in keys if key not in unreadable], found.cut)
    except (MissingPrivilege, StructureMismatch):
        return _halved(connection, plan, keys, cut)  # the role may not use PL/pgSQL, or a function in the way says so
    except psycopg.Error as error:
        require_readable(connection, plan, error)
        return _halved(connection, plan, keys, cut)  # legacy lives: a row went bad between the search and the read
    return found


def require_readable(connection: Connection, plan: ReadPlan, error: psycopg.Error) -> None:
    """Raise unless a row is to blame: legacy still takes the SELECT as such."""
    with transaction(connection, "legacy", read_only=True, path=plan.path):
        ask(connection, plan, error)


def ask(connection: Connection, plan: ReadPlan, error: psycopg.Error) -> None:
    """`require_readable` within the caller's transaction."""
    if error.sqlstate == _REFUSED:
        raise MissingPrivilege(
            f"Legacy refuses its role something that entity {plan.entity} reads ({_REFUSED}): a table, or rows that row"
            " security would hide from a function.",
            "Give the role BYPASSRLS, or grant it what the catalog's functions and views read.",
        )
    require_row(connection, error, [(plan.select(sql.SQL("true")), None)])


def _rows(connection: Connection, plan: ReadPlan, keys: Sequence[Key], cut: Cut) -> list[bytes]:
    with closing(rows.parts(connection, plan, one_of(plan.key_exprs, keys))) as found:
        return list(chain.from_iterable(cut.take(found)))


def _search(connection: Connection, plan: ReadPlan, keys: Sequence[Key]) -> list[Refusal[Key]]:
    """Keys whose row cannot be computed."""
    where = one_of(plan.key_exprs, keys, sql.SQL("[split.lo : split.hi]"))
    compute = sql.SQL(_COMPUTE).format(columns=plan.columns, relations=plan.relations, where=where)
    halve_on_server(connection, 1, len(keys), compute, _KEEP, _ANSWER)
    row = connection.execute("select current_setting('hybrid_sync.unreadable')").fetchone()
    assert row is not None, "a setting is one row"
    pairs = (entry.split(":") for entry in row[0].split())
    return [Refusal(keys[int(place) - 1], state) for place, state in pairs]


def _halved(connection: Connection, plan: ReadPlan, keys: Sequence[Key], cut: Cut) -> Isolated:
    """Read the keys in ever smaller parts, a transaction each; slower, and right whatever happens meanwhile."""
    found = Isolated(replace(cut))

    def read(some: Sequence[Key]) -> None:
        if found.cut.more:
            return
        cut = replace(found.cut)
        with transaction(connection, "legacy", read_only=True, path=plan.path):
            good = _rows(connection, plan, some, cut)
        found.rows += good
        found.cut = cut

    found.unreadable = halve(keys, read, lambda error, _: require_readable(connection, plan, error))
    return found
