"""Before-images of others' rows that were an erased person's once: each holds the id of a row of that person.

By the id and not by a column's name: an image names its columns as they were called then, and one that was renamed,
or dropped, or is no reference of the catalog any more, still says whose the row was.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from psycopg import sql

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.place import quoted, table
from hybrid_sync.contracts import Key
from hybrid_sync.erase.closure import Rows
from hybrid_sync.erase.hashes import Place
from hybrid_sync.keys import record_among
from hybrid_sync.postgres import Connection
from hybrid_sync.write.journal import CHANGES

# Of an entry that rows share, the others stay.
_TAKE_OUT = sql.SQL("""
doomed as materialized ({changes}),
entry as (select seq, array_agg(place) as places from doomed group by seq),
gone as (
  delete from hybrid_sync.journal j using entry e
  where j.seq = e.seq and (j.ids is null or cardinality(j.ids) = cardinality(e.places))
),
less as (
  update hybrid_sync.journal j set (keys, ids, priors, images) = (
    select (select array_agg(k.part order by k.n) from unnest(j.keys) with ordinality as k (part, n)
            where (k.n - 1) / (cardinality(j.keys) / cardinality(j.ids)) + 1 <> all(e.places)),
           array_agg(c.id order by c.place), array_agg(c.prior order by c.place), array_agg(c.image order by c.place)
    from unnest(j.ids, j.priors, j.images) with ordinality as c (id, prior, image, place)
    where c.place <> all(e.places))
  from entry e where j.seq = e.seq and cardinality(j.ids) > cardinality(e.places)
)
select entity, source, keys, operation, id::text from doomed
""")
# Only a column that a run has recorded by its number, and that is still there, is known to be called otherwise now.
_SPARED = sql.SQL("""
spared as materialized (
  select e.run_id, e.entity, c.source, n.name
  from unnest(%(entities)s::text[], %(sources)s::text[], %(tables)s::text[], %(columns)s::text[])
       as c (entity, source, relation, name)
  join hybrid_sync.run_entity e on e.entity = c.entity and (e.columns ->> 'relation')::oid = to_regclass(c.relation)
  join pg_attribute a on a.attrelid = to_regclass(c.relation) and a.attname = c.name and not a.attisdropped
  cross join lateral jsonb_each_text(e.columns -> 'numbers') as n (name, number)
  where n.number::int2 = a.attnum
)
""")
_OF_PEOPLE = sql.SQL("""
select j.* from {changes} j
where j.before is not null
  and j.entity <> all(%(kept)s::text[])
  and (j.id = any(%(rows)s::uuid[]) or exists (
              select from jsonb_each_text(j.before) as i (name, value)
              where i.value = any(%(ids)s::text[])
                and not exists (select from spared s where s.run_id = j.run_id and s.entity = j.entity
                                and s.source = j.source and s.name = i.name)))
""").format(changes=CHANGES)


def take_out_images(
    catalog: Catalog, target: Connection, ids: Iterable[str], row_ids: Iterable[str]
) -> tuple[int, Rows]:  # fmt: skip
    """Take out of the journal the before-images that hold one of these ids, and those of the rows with `row_ids`,
    whatever their entity and source; returns how many, and the rows that only existed in them.

    A reference that does not make a row a person's does not count. Such rows were deleted since and belonged to the
    person until then. Images of rows that the catalog keeps, or that are about nobody, stay; those of an entity or a
    source that the catalog no longer has could not be put back anyway.
    """
    own = [
        (name, source)
        for name, entity in catalog.entities.items() if entity.erasure is not None and entity.erasure.policy != "keep"
        for source in entity.sources
    ]  # fmt: skip
    others = [(*place, quoted(catalog[place[0]].target), column) for place in own for column in _others(catalog, place)]
    kept = [name for name in catalog.entities if name not in dict(own)]
    count, known, fresh, gone, of = 0, set[str](), set(ids), Rows(), set(row_ids)
    while fresh:
        rows = target.execute(
            sql.SQL("with {}, {}").format(_SPARED, _TAKE_OUT.format(changes=_OF_PEOPLE)),
            {
                **dict(zip(("entities", "sources", "tables", "columns"), _columns(others, 4), strict=True)),
                "kept": kept, "ids": sorted(fresh), "rows": sorted(of),
            },
        ).fetchall()  # fmt: skip
        count, known = count + len(rows), known | fresh
        deleted = {str(row[4]): ((row[0], row[1]), tuple(row[2])) for row in rows if row[3] == "delete"}
        deleted = {row_id: one for row_id, one in deleted.items() if one[0] in own}
        fresh = _absent(catalog, target, {row_id: place for row_id, (place, _) in deleted.items()}) - known
        of = fresh
        for row_id in fresh:
            place, key = deleted[row_id]
            gone.setdefault(place, set()).add(key)
    return count, gone


def take_out_changes(target: Connection, which: sql.Composable) -> int:
    """Take the before-images of the changes under the condition out of the journal; returns how many."""
    changes = sql.SQL("select j.* from {} j where j.before is not null and {}").format(CHANGES, which)
    return target.execute(sql.SQL("with {}").format(_TAKE_OUT.format(changes=changes))).rowcount


def take_out_marks(catalog: Catalog, target: Connection, place: Place, keys: Iterable[Key]) -> int:
    """Take out what marks of these rows hold under another entity's or source's name; nothing reads those any more."""
    present = [(name, source) for name, entity in catalog.entities.items() for source in entity.sources]
    return target.execute(
        sql.SQL(
            "delete from hybrid_sync.tombstone d where {} and (d.entity, d.source) not in ({})"
            " and exists (select from hybrid_sync.run_entity e where e.run_id = d.run_id and e.entity = d.entity and"
            "  coalesce((e.columns ->> 'relation')::oid = to_regclass({}), true))"
        ).format(
            record_among(keys, sql.SQL("d.key")),
            sql.SQL(", ").join(sql.SQL("({}, {})").format(*one) for one in present),
            quoted(catalog[place[0]].target),
        )
    ).rowcount  # fmt: skip


def _others(catalog: Catalog, place: Place) -> list[str]:
    """The references that do not make a row a person's, by the catalog."""
    entity = catalog[place[0]]
    assert entity.erasure is not None, "only such places are asked about"
    return [column for column in entity.sources[place[1]].references if column not in entity.erasure.leads]


def _absent(catalog: Catalog, target: Connection, places: dict[str, Place]) -> set[str]:
    """Of these ids, those that no row has by now: a key that returned has its old id."""
    left = set(places)
    for entity in sorted({place[0] for place in places.values()}):
        rows = target.execute(
            sql.SQL("select id::text from {} where id = any(%s::uuid[])").format(table(catalog[entity].target)),
            ([row_id for row_id, place in places.items() if place[0] == entity],),
        ).fetchall()
        left -= {str(row[0]) for row in rows}
    return left


def _columns(rows: Sequence[tuple[str, ...]], width: int) -> list[list[str]]:
    """As parameters for `unnest`."""
    return [[row[i] for row in rows] for i in range(width)]
