"""Unique values that move: rows that want each other's are parked or deferred first, then set, and new ones come last.

PostgreSQL checks a unique index row by row, so a swap is refused although its end would be sound.  A row whose value
somebody keeps who does not move cannot be set, nor can those that wait for its own: they stay as they are.  Every
other row whose present value another one wants is moved aside under a savepoint; then all are set.  What the server
refuses even so joins those that stay, and the rest begins anew, so that no parked value is ever committed.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence

from hybrid_sync.rows.splice import Spliced
from hybrid_sync.schema.uniqueness import Uniqueness
from hybrid_sync.write.parking import Collided, Parking
from hybrid_sync.write.row_loop import SUPPRESSED, Refusal, RowLoop
from hybrid_sync.write.wants import Wants

TWINS = ("23505", "23P01")
"""Unique and exclusion violations: the value may be one that another row is about to give up."""


def write_contested(loop: RowLoop, rows: Sequence[Spliced], refused: Sequence[Refusal]) -> list[Refusal]:
    """Try again what a unique value kept out of a batch; what remains refused."""
    contested = {r.id for r in refused if r.sqlstate in TWINS}
    if not contested:
        return list(refused)
    out = [r for r in refused if r.id not in contested]
    waiting = [row for row in rows if uuid.UUID(bytes=row.data[6:22]) in contested]
    return [*out, *loop.stage(waiting, flagged=True), *move(loop)]


def move_all(loop: RowLoop, rows: Sequence[Spliced]) -> list[Refusal]:
    """Write known rows of a batch, of which some unique value keeps at least one out; what remains refused."""
    return [*loop.stage(rows, flagged=True), *move(loop)]


def move(loop: RowLoop) -> list[Refusal]:
    """Write every staged row that can be written, all at once; those that stay as they are, and why."""
    stayed: list[Refusal] = []
    deferring = True
    while loop.count():
        try:
            lost = _attempt(loop, deferring=deferring)
        except Collided:
            # Without deferring the server tells whose row it is.
            deferring = False
            continue
        if not lost:
            break
        stayed += lost
        loop.drop(r.id for r in lost)
    return stayed


class _Undone(Exception):
    """Rows were refused while others stood parked: everything since the savepoint is undone."""


def _attempt(loop: RowLoop, *, deferring: bool) -> list[Refusal]:
    """Set everything that is staged, or nothing; then the rows that are lost come back."""
    lost: list[Refusal] = []
    try:
        with loop.connection.transaction():
            loop.clear_images()
            loop.connection.execute(loop.everything.take_images())
            lost = _set_all(loop, deferring=deferring)
            if lost:
                raise _Undone
    except _Undone:
        pass
    return lost


def _set_all(loop: RowLoop, *, deferring: bool) -> list[Refusal]:
    moving = loop.moving()
    wants = Wants(loop.connection, moving)
    for index in wants.uncomputed:
        if unusable := loop.compute(wants.keys_then(index, loop.moving(loop.statements.segment).then)):
            return unusable
    if stay := wants.blocked():
        return _refusals(loop, stay)
    parking = Parking(loop.connection, moving, loop.statements.table.columns, wants, deferring=deferring)
    refused = loop.update_imaged() + loop.insert_new()
    if not refused:
        refused = [Refusal(row, SUPPRESSED) for row in loop.ids(parking.still_parked()).values()]
    if refused:
        return refused + _refusals(loop, wants.waiting_for(loop.lines(r.id for r in refused)))
    parking.end()
    return []


def _refusals(loop: RowLoop, staying: Mapping[int, Uniqueness]) -> list[Refusal]:
    ids = loop.ids(staying)
    unique, exclusion = TWINS
    return [Refusal(ids[n], exclusion if index.exclusion else unique, index.name) for n, index in staying.items()]
