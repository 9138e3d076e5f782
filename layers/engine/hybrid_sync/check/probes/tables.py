"""What the target's mapped tables do by themselves, and what a write or a delete would have to search for."""

from __future__ import annotations

from collections.abc import Iterator

from hybrid_sync.catalog.models import Entity
from hybrid_sync.catalog.place import split
from hybrid_sync.check.context import ProbeContext
from hybrid_sync.check.model import Finding, note, warning
from hybrid_sync.check.probe import probe

# The text of a function is code and no cell.  An internal trigger is a foreign key's.
_TRIGGERS = r"""
select quote_ident(t.tgname), quote_ident(p.proname), p.prosrc ~* '\mdelete\s+from\M' or p.prosrc ~* '\mtruncate\M'
from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
join pg_proc p on p.oid = t.tgfoid
where n.nspname = %s and c.relname = %s and not t.tgisinternal and t.tgenabled in ('O', 'A') order by 1
"""
_COUNTING = """
select a.attname::text from pg_attribute a join pg_class c on c.oid = a.attrelid
join pg_namespace n on n.oid = c.relnamespace
left join pg_attrdef f on f.adrelid = c.oid and f.adnum = a.attnum
where n.nspname = %s and c.relname = %s and a.attname = any(%s) and not a.attisdropped
  and (a.attidentity = 'd' or pg_get_expr(f.adbin, f.adrelid) like 'nextval(%%')
order by 1
"""
_GENERATED = """
select string_agg(quote_ident(a.attname), ', ' order by a.attnum) from pg_attribute a
join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
where n.nspname = %s and c.relname = %s and not a.attisdropped and (a.attgenerated <> '' or a.attidentity <> '')
"""
# A partial index on what is not null serves as well: a reference is looked for by a value.
_UNINDEXED = """
select a.attname::text, pg_table_size(c.oid) from pg_class c join pg_namespace n on n.oid = c.relnamespace
join pg_attribute a on a.attrelid = c.oid and a.attname = any(%s)
where n.nspname = %s and c.relname = %s and pg_table_size(c.oid) > %s and not exists (
  select from pg_index i where i.indrelid = c.oid and i.indisvalid and i.indkey[0] = a.attnum
  and (i.indpred is null or pg_get_expr(i.indpred, i.indrelid) ~* 'is not null'))
order by 1
"""


@probe("target")
def triggers(context: ProbeContext) -> Iterator[Finding]:
    """Triggers of mapped tables, which our writes fire, and those that delete."""
    for entity in context.catalog.entities.values():
        found = context.rows("target", _TRIGGERS, split(entity.target))
        for trigger, function, deletes in found:
            if deletes:
                yield warning(
                    "trigger_deletes",
                    f"The trigger {trigger} of the target's {entity.target} calls {function}(), which deletes rows.",
                    "Read it: what it deletes on our writes is brought back by no rollback. Disable it, or let it pass"
                    " over the role of hybrid-sync.",
                )
        if found:
            names = ", ".join(trigger for trigger, _, _ in found)
            yield note("triggers", f"Our writes fire the triggers of the target's {entity.target}: {names}.")


@probe("target")
def generated_columns(context: ProbeContext) -> Iterator[Finding]:
    """Columns that the target fills by itself; one that counts by itself and is mapped as well."""
    for entity in context.catalog.entities.values():
        place = split(entity.target)
        for (column,) in context.rows("target", _COUNTING, (*place, _mapped(entity))):
            yield warning(
                "counts_behind",
                f"The target column {entity.target}.{column} takes its default from a sequence and is mapped: our"
                " values do not move the sequence on, so a native row can meet one of them.",
                f"Let the sequence begin far above legacy's keys, or take {column} out of the catalog.",
            )
        [names] = context.row("target", _GENERATED, place)
        if names:
            yield note("generated_columns", f"The target's {entity.target} fills these by itself: {names}.")


@probe("target")
def references_indexed(context: ProbeContext) -> Iterator[Finding]:
    """References of large tables of the target that no index serves."""
    for entity in context.catalog.entities.values():
        references = list(next(iter(entity.sources.values())).references)
        large = context.rows("target", _UNINDEXED, (references, *split(entity.target), context.limits.scan_bytes))
        for column, octets in large:
            yield warning(
                "no_index",
                f"The target's {entity.target} ({octets / 1024**2:,.0f} MB) has no index on its reference {column}:"
                " each parent that is deleted or undone reads it whole.",
                f"create index concurrently on {entity.target} ({column});",
            )


def _mapped(entity: Entity) -> list[str]:
    source = next(iter(entity.sources.values()))
    return ["id", *source.key, *source.discriminator, *source.references, *source.columns]
