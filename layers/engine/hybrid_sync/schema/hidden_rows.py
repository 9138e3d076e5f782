"""Rows of the target that row security hides from us: neither compared nor deleted, so a warning says it."""

from __future__ import annotations

from hybrid_sync.catalog.models import Entity
from hybrid_sync.catalog.place import table
from hybrid_sync.catalog.shape import TargetTable
from hybrid_sync.postgres import Connection

# Policies that decide what our role may see; a policy of `true` hides nothing.
_POLICIES = """
select current_user::text,
       array(select quote_ident(polname) from mine where not polpermissive and not sees_all order by 1),
       exists (select from mine where polpermissive and sees_all)
from (select 1) one
"""
_MINE = """
with mine as (
  select polname, polpermissive, coalesce(pg_get_expr(polqual, polrelid), 'true') = 'true' as sees_all
  from pg_policy where polrelid = %s::regclass and polcmd in ('r', '*')
  and (0 = any(polroles) or exists (select from unnest(polroles) r where r <> 0 and pg_has_role(r, 'usage')))
)
"""


def hidden_rows(connection: Connection, entity: Entity, found: TargetTable) -> tuple[str, ...]:
    """A sentence where a policy of the target's table may hide rows from our role."""
    if not found.row_security:
        return ()
    row = connection.execute(_MINE + _POLICIES, (table(entity.target).as_string(connection),)).fetchone()
    assert row is not None, "a select from one row is one row"
    role, restrictive, sees_all = row
    if sees_all and not restrictive:
        return ()
    why = f"the policy {', '.join(restrictive)} hides some" if restrictive else "no policy shows it all of them"
    return (
        f"Row security of the target's {entity.target} may hide rows from the role {role}: {why}. What is hidden is"
        " neither compared nor deleted. Give the role BYPASSRLS, or a policy that shows it every row.",
    )
