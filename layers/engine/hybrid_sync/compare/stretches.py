"""Which keys there are, as bits: of each stretch of 512 integers, which a shift finds where a bucket takes divisions.

Rows are gathered in two steps, where their numbers leave room for it: the bits of 64 keys are one number, which costs a
row nothing to keep; the few numbers of a stretch then become its 512 bits.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from hybrid_sync.dataclass import dataclass
from hybrid_sync.keys import between, bucket_of, key_parts

STRETCH = 512
_SHIFT = sql.Literal(9)
_PLACE_BITS = 3
_WORD = 64


def stretch_of(key: sql.Composable) -> sql.Composed:
    """The number of the stretch that an integer lies in, below zero as well."""
    return sql.SQL("({} >> {})").format(*key_parts([key]), _SHIFT)


def bit_of(key: sql.Composable) -> sql.Composed:
    """The integer's share in the bits of its stretch."""
    return sql.SQL("set_bit(repeat('0', {size})::bit({size}), ({key} & {last})::int, 1)").format(
        size=sql.Literal(STRETCH), key=key_parts([key])[0], last=sql.Literal(STRETCH - 1)
    )


def within(key: sql.Composable, stretches: Sequence[int]) -> sql.Composed:
    """The condition that a key lies in one of these stretches; a key index serves it."""
    ranges = (between(key, n * STRETCH, (n + 1) * STRETCH) for n in stretches)
    return sql.SQL("({})").format(sql.SQL(" or ").join(sql.SQL("({})").format(one) for one in ranges))


@dataclass(frozen=True)
class Groups:
    """How rows are gathered: by stretch, or by 64 keys of it, by the place where they are (three bits), and by which
    references they carry.

    All of that is one number: of several columns the planner would expect so many groups that it sorts all rows.  It
    has room for three references beside the 58 bits of 64 keys, for six beside the 55 of a stretch; more stand apart.
    """

    key: sql.Composable
    """The first column of the key."""
    single: bool
    references: int

    @property
    def words(self) -> bool:
        """Whether the bits of 64 keys are gathered first."""
        return self.single and self.references <= self._bits(_WORD)

    @property
    def apart(self) -> bool:
        return self.references > self._bits(self._step)

    @property
    def share(self) -> sql.Composed:
        """What a row with a single key adds to its group."""
        if not self.words:
            return bit_of(self.key)
        return sql.SQL("1::bigint << ({} & {})::int").format(self.key, sql.Literal(_WORD - 1))

    def number(
        self, keyed: sql.Composable, place: sql.Composable, mask: sql.Composable, changed: sql.Composable | None
    ) -> sql.Composed:  # fmt: skip
        """The group of a row.  One that has `changed` goes by the bucket that planning asks for, and its keys are
        compared with nobody's; a bucket beyond the last stretch is an error, as of a row that cannot be computed."""
        first: sql.Composable = sql.SQL("{} & {}").format(self.key, sql.Literal(-self._step))
        if changed is not None:
            bucket = sql.SQL("{} * {}").format(bucket_of(self.key), sql.Literal(STRETCH))
            first = sql.SQL("case when {} then {} else {} end").format(changed, bucket, first)
        shift = self._bits(self._step)
        # Only rows with a key carry references that count, so those without one are told from others by all bits.
        return sql.SQL(
            "case when {keyed} then ({first}) | (({place} << {shift}) | {mask}) else ({place} << {shift}) | {all} end"
        ).format(keyed=keyed, first=first, place=place, shift=shift, mask=mask, all=2**shift - 1)

    def stretches(self) -> sql.Composed:
        """Stretch, place and references of a group `g`, `m`; a group without a key has no stretch."""
        shift = self._bits(self._step)
        return sql.SQL(
            "case when {} is not null then g >> {} end as s, (g >> {} & {})::int as p, {} as m"
        ).format(
            sql.SQL("h" if self.single else "h0"), _SHIFT, shift, 2**_PLACE_BITS - 1,
            sql.SQL("m") if self.apart else sql.SQL("(g & {})::int").format(2**shift - 1),
        )  # fmt: skip

    @property
    def bits(self) -> sql.Composed:
        """The keys of a stretch's groups together."""
        if not self.words:
            return sql.SQL("bit_or(h)").format()
        return sql.SQL("bit_or(h::bit({})::bit({}) >> (g & {})::int)").format(
            sql.Literal(_WORD), sql.Literal(STRETCH), sql.Literal(STRETCH - _WORD)
        )

    @property
    def _step(self) -> int:
        return _WORD if self.words else STRETCH

    @staticmethod
    def _bits(step: int) -> int:
        """How many bits of the number are left for references."""
        return step.bit_length() - 1 - _PLACE_BITS
