"""Functions of legacy that the catalog's expressions call: another body gives every row another value, and no row shows
it."""

from __future__ import annotations

from collections.abc import Iterable

from hybrid_sync.catalog.expressions import tokens
from hybrid_sync.dataclass import dataclass
from hybrid_sync.postgres import Question

# With those that they call in turn. What a body names is looked for as text, which finds too much rather than too
# little; of a body that is kept parsed the server knows what it depends on. Rights say nothing of what a function does.
_FUNCTIONS = """
with recursive called (oid) as (
  select p.oid from pg_proc p where p.proname = any(%s) and p.pronamespace <> 'pg_catalog'::regnamespace
  union
  select c.oid from called
  join pg_proc p on p.oid = called.oid
  join pg_proc c on c.oid <> p.oid and c.pronamespace <> 'pg_catalog'::regnamespace
    and (strpos(p.prosrc, c.proname) > 0 or exists (
      select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid
        and d.refclassid = 'pg_proc'::regclass and d.refobjid = c.oid))
)
select p.oid::bigint, n.nspname || '.' || p.proname, p.provolatile = 'i', md5((to_jsonb(p) - 'proacl')::text)
from called join pg_proc p on p.oid = called.oid join pg_namespace n on n.oid = p.pronamespace
order by 1
"""


@dataclass(frozen=True)
class Called:
    """A function that an expression calls, or that such a function does."""

    oid: int
    name: str
    immutable: bool
    body: str
    """A digest of it, and of how it was declared."""


def names_called(statement: str, *, qualified: bool) -> set[str]:
    """Names of functions in the statement that may not be PostgreSQL's own; those with a schema alone, where only
    PostgreSQL's is looked in."""
    found = tokens(statement)
    names: set[str] = set()
    for i, token in enumerate(found[:-1]):
        if found[i + 1].text != "(" or token.kind not in ("word", "quoted"):
            continue
        if (i and found[i - 1].text == ".") or not qualified:
            names.add(token.text[1:-1].replace('""', '"') if token.kind == "quoted" else token.text.lower())
    return names


def functions_named(names: Iterable[str]) -> Question[list[Called]]:
    """Those of legacy that are no part of PostgreSQL, with what they call."""
    return Question(_FUNCTIONS, (sorted(names),), lambda found: [Called(*row) for row in found.fetchall()])
