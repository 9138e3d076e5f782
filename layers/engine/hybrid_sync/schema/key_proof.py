"""Whether legacy itself proves that no two rows share a key; where it does not, all rows of a changed key are read.

A fence sees the row that changed and not its twin: read alone, the changed one would win by chance.
"""

from __future__ import annotations

import re

from hybrid_sync.catalog.models import Source
from hybrid_sync.catalog.place import table
from hybrid_sync.rounds import Rounds, alike

# A column of the base table as it stands: its alias or none before it, quoted or not.
_COLUMN = re.compile(r'^(?:(?P<alias>[a-z_]\w*|"[^"]+")\s*\.\s*)?(?P<name>[a-z_]\w*|"[^"]+")$', re.IGNORECASE)

# Immediate, valid, of whole integer columns that are never NULL, and of nothing else; a temporal key (from PostgreSQL
# 18 on) excludes overlaps only.  A table that others inherit from holds their rows as well; partitions are covered by
# the parent's own index.
_PROOF = """
select exists (
  select from pg_catalog.pg_class c join pg_catalog.pg_index i on i.indrelid = c.oid
  where c.oid = pg_catalog.to_regclass(%s) and c.relkind in ('r', 'p')
    and i.indisunique and i.indimmediate and i.indisvalid and i.indisready and not i.indisexclusion
    and i.indpred is null and i.indexprs is null
    and (c.relkind = 'p' or not exists (select from pg_catalog.pg_inherits h where h.inhparent = c.oid))
    and not exists (
      select from pg_catalog.generate_series(0, i.indnkeyatts - 1) n
      left join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = i.indkey[n]
        and a.attnotnull and not a.attisdropped and a.attname = any(%s::pg_catalog.text[])
        and a.atttypid in ('pg_catalog.int2'::pg_catalog.regtype, 'pg_catalog.int4'::pg_catalog.regtype,
                           'pg_catalog.int8'::pg_catalog.regtype)
      where a.attnum is null))
"""


def proof_in_rounds(source: Source) -> Rounds[bool]:
    """Whether an index of legacy keeps the source's keys unique; a join may multiply rows, so it proves nothing."""
    columns = [_column(expression, source.table.alias) for expression in source.key.values()]
    possible = not source.joins and None not in columns
    relation = table(source.table.table).as_string(None)
    given = [("text", relation if possible else None), ("text[]", columns)]
    [proven] = yield [alike(_PROOF, given, lambda rows: bool(rows[0][0]))]
    return possible and bool(proven)


def _column(expression: str, alias: str) -> str | None:
    """The name of the base table's column that an expression is, and nothing more; else None."""
    found = _COLUMN.match(expression.strip())
    if found is None or (found["alias"] is not None and _folded(found["alias"]) != alias):
        return None
    return _folded(found["name"])


def _folded(identifier: str) -> str:
    return identifier[1:-1] if identifier.startswith('"') else identifier.lower()
