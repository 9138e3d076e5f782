"""What entity and source of an erased key are called by now: whoever gives one another name brings nobody back.

Keys are hashed with the names of then, so what those meant is recorded beside them: the table of legacy and its key.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.place import places as _all
from hybrid_sync.catalog.place import reads
from hybrid_sync.erase.hashes import Place
from hybrid_sync.erase.records import ErasedPlace
from hybrid_sync.errors import ConfigurationMissing
from hybrid_sync.postgres import Connection, inside

_RECORDED = """
select entity, source, p.reads from (select entity, source from hybrid_sync.suppressed union
                                     select entity, source from hybrid_sync.erased_place) s
left join hybrid_sync.erased_place p using (entity, source)
"""

_REMEDY = (
    "Give entity and source their names back for one run, which records what they read. Where nothing reads those rows"
    " any more, say so in the table hybrid_sync.erased_place: ({}, {}, nothing)."
)
_NAME = r'"(?:[^"]|"")+"'
_READS = re.compile(rf"({_NAME}\.{_NAME}) \((.*)\)", re.S)
_COLUMN = re.compile(rf"\((?:\w+|{_NAME})\)")

Called = Mapping[Place, frozenset[Place]]
"""Of then: of now."""


def described(catalog: Catalog, places: Iterable[Place]) -> tuple[ErasedPlace, ...]:
    """What these places of the catalog read."""
    return tuple(ErasedPlace(entity=p[0], source=p[1], reads=reads(catalog, p)) for p in sorted(set(places)))


def remember(target: Connection, catalog: Catalog, before: Iterable[ErasedPlace] = ()) -> None:
    """Record what the places of erased keys read; of those that the catalog has no more, as it was told `before`.

    A place whose rows another one reads by now was renamed, and its name is another's: it stays as it was recorded.
    """
    present = described(catalog, _all(catalog))
    still = [one.reads for one in present]
    _insert(target, before, None)
    _insert(target, present, still)


def _insert(target: Connection, places: Iterable[ErasedPlace], still: list[str] | None) -> None:
    """What is recorded is written over, but where it is among what is `still` read; nothing is without such a list."""
    rows = [(one.entity, one.source, one.reads) for one in places]
    target.execute(
        "insert into hybrid_sync.erased_place as p (entity, source, reads)"
        " select * from unnest(%s::text[], %s::text[], %s::text[]) as u (entity, source, reads)"
        " where exists (select from hybrid_sync.suppressed s where s.entity = u.entity and s.source = u.source)"
        " on conflict (entity, source) do update set reads = excluded.reads where not p.reads = any(%s::text[])",
        (*([row[i] for row in rows] for i in range(3)), still),
    )


def called_now(
    target: Connection, catalog: Catalog, legacy: Connection, before: Iterable[ErasedPlace] = ()
) -> Called:  # fmt: skip
    """Of each place of erased keys, itself where the catalog has it; else, or where its name is another's by now, those
    that read the same rows; what the target does not know of, it is told `before`.

    ConfigurationMissing where nobody knows what a place was that the catalog does not have, or where legacy has what it
    read no more: that may have another name, too.  So it may where the place reads something else by now, and another
    one has come that reads what no run has read before; or where that one reads the same table, but for its key.
    """
    present = {place: reads(catalog, place) for place in _all(catalog)}
    known = {row[0] for row in target.execute("select reads from hybrid_sync.place").fetchall()}
    newcomers = {place for place, now in present.items() if known and now not in known}
    rows = target.execute(_RECORDED).fetchall()
    recorded = {(one.entity, one.source): one.reads for one in before} | {(row[0], row[1]): row[2] for row in rows}
    found: dict[Place, frozenset[Place]] = {}
    for place, was in recorded.items():
        if was is None and place not in present:
            raise _unknown(place)
        same = {place} if place in present else set[Place]()
        if was is not None and present.get(place) != was:
            same |= {other for other, now in present.items() if now == was}
        if was is not None and (not same or (same == {place} and present[place] != was and newcomers - {place})):
            _require_there(
                legacy, place, was, "that name reads other rows now" if same else "the catalog has no such source"
            )
        if was is not None and not same:
            _require_no_other_key(place, was, {other: present[other] for other in newcomers})
        found[place] = frozenset(same)
    return found


def _require_no_other_key(place: Place, was: str, newcomers: Mapping[Place, str]) -> None:
    """Whoever reads the same table by a key in other words may mean the same one."""
    read = _READS.fullmatch(was)
    for other, now in sorted(newcomers.items()):
        if read is not None and now.startswith(f"{read[1]} ("):
            raise ConfigurationMissing(
                f"Keys of {place[0]} ({place[1]}) were erased, the catalog has no such source, and {other[0]}"
                f" ({other[1]}) reads the same table with another key: which of its rows are theirs, nobody can tell.",
                _REMEDY.format(*place),
            )


def _require_there(legacy: Connection, place: Place, was: str, but: str) -> None:
    """What it read is in legacy under its name, so that the catalog just reads it no more."""
    read = _READS.fullmatch(was)
    if read is None:  # somebody has said that nothing reads it
        return
    relation, key = read.groups()
    columns = [_attribute(column) for column in key.split(", ") if _COLUMN.fullmatch(column)]
    with inside(legacy, "legacy"):
        [(there,)] = legacy.execute(
            "select count(*) from pg_attribute where attrelid = to_regclass(%s) and attname = any(%s)"
            " and not attisdropped",
            (relation, ["ctid", *columns]),
        ).fetchall()
    if there <= len(columns):
        raise ConfigurationMissing(
            f"Keys of {place[0]} ({place[1]}) were erased, {but}, and legacy has no {relation} with the key ({key}): if"
            " both have other names now, the erased would come back.",
            _REMEDY.format(*place),
        )


def _attribute(column: str) -> str:
    """What pg_attribute calls it."""
    name = column[1:-1]
    return name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()


def _unknown(place: Place) -> ConfigurationMissing:
    return ConfigurationMissing(
        f"Keys of {place[0]} ({place[1]}) were erased, the catalog has no such source, and what it read was never"
        " recorded: if it has another name now, the erased would come back.",
        _REMEDY.format(*place),
    )


def names_of(called: Called, entities: Iterable[str]) -> set[str]:
    """These entities, and what else rows of theirs were erased under."""
    wanted = set(entities)
    return wanted | {then[0] for then, now in called.items() if any(place[0] in wanted for place in now)}
