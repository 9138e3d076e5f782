"""Unique values that move: rows that want each other's are parked or deferred first, then set, and new ones come last.

PostgreSQL checks a unique index row by row, so a swap is refused although its end would be sound.  A row whose value
somebody keeps who does not move cannot be set, nor can those that wait for its own: they stay as they are.  Every
other row whose present value another one wants is moved aside under a savepoint; then all are set.  What the server
refuses even so joins those that stay, and the rest begins anew, so that no parked value is ever committed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

from hybrid_sync.catalog.shape import TargetColumn
from hybrid_sync.halve import Refusal
from hybrid_sync.postgres import Connection
from hybrid_sync.schema.uniqueness import Uniqueness
from hybrid_sync.write.parking import Collided, Parking
from hybrid_sync.write.split import SUPPRESSED
from hybrid_sync.write.wants import Moving, Wants

TWINS = ("23505", "23P01")
"""Unique and exclusion violations: the value may be one that another row is about to give up."""
T = TypeVar("T")
"""What a refusal names: a line, or the id of its row."""


class Lines(Protocol[T]):
    """Numbered lines of a stage, each of them a row as it is to be."""

    connection: Connection

    @property
    def columns(self) -> Mapping[str, TargetColumn]: ...

    def left(self) -> bool:
        """Whether any line is left to write."""

    def about_to_move(self) -> Moving:
        """All lines that are left."""

    def uncomputable(self, wants: Wants) -> list[Refusal[T]]:
        """Lines that no write can change, found before anything is parked."""

    def write(self) -> list[Refusal[T]]:
        """Write what is left, each line that the target takes; the others, and why."""

    def numbers(self, refused: Sequence[Refusal[T]]) -> set[int]: ...

    def refusals(self, found: Mapping[int, tuple[str, str | None]]) -> list[Refusal[T]]:
        """A code and a constraint's name for each number, as refusals."""

    def drop(self, refused: Sequence[Refusal[T]]) -> None:
        """These lines stay as they are, and are left no more."""


def move(lines: Lines[T]) -> list[Refusal[T]]:
    """Write every line that can be written, all at once; those that stay as they are, and why."""
    stayed: list[Refusal[T]] = []
    deferring = True
    while lines.left():
        try:
            lost = _attempt(lines, deferring=deferring)
        except Collided:
            # Without deferring the server names the row.
            deferring = False
            continue
        if not lost:
            break
        stayed += lost
        lines.drop(lost)
    return stayed


class _Undone(Exception):
    """Lines were refused while others stood parked: everything since the savepoint is undone."""


def _attempt(lines: Lines[T], *, deferring: bool) -> list[Refusal[T]]:
    """Write all lines, or nothing; then those that are lost come back."""
    lost: list[Refusal[T]] = []
    try:
        with lines.connection.transaction():
            lost = _write_all(lines, deferring=deferring)
            if lost:
                raise _Undone
    except _Undone:
        pass
    return lost


def _write_all(lines: Lines[T], *, deferring: bool) -> list[Refusal[T]]:
    moving = lines.about_to_move()
    wants = Wants(lines.connection, moving)
    if unusable := lines.uncomputable(wants):
        return unusable
    if stay := wants.blocked():
        return _refusals(lines, stay)
    parking = Parking(lines.connection, moving, lines.columns, wants, deferring=deferring)
    refused = lines.write()
    if not refused:
        refused = lines.refusals(dict.fromkeys(parking.still_parked(), (SUPPRESSED, None)))
    if refused:
        return refused + _refusals(lines, wants.waiting_for(lines.numbers(refused)))
    parking.end()
    return []


def _refusals(lines: Lines[T], staying: Mapping[int, Uniqueness]) -> list[Refusal[T]]:
    unique, exclusion = TWINS
    return lines.refusals({n: (exclusion if i.exclusion else unique, i.name) for n, i in staying.items()})
