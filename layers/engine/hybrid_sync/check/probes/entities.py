"""The catalog against both schemas, as planning sees it; of an entity that does not fit, every mistake."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hybrid_sync.catalog.place import split
from hybrid_sync.check.context import ProbeContext
from hybrid_sync.check.misfits import Misfit, in_legacy, in_target
from hybrid_sync.check.model import Finding, error, note, warning
from hybrid_sync.check.probe import probe
from hybrid_sync.errors import MissingPrivilege, StructureMismatch
from hybrid_sync.schema.plans import compile_together, plan_for

_EXTENSIONS = """
select distinct x.extname::text
from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
join pg_type t on t.oid = a.atttypid
join pg_depend d on d.classid = 'pg_type'::regclass and d.deptype = 'e' and d.refclassid = 'pg_extension'::regclass
  and d.objid = case when t.typcategory = 'A' then t.typelem else t.oid end
join pg_extension x on x.oid = d.refobjid
where n.nspname = %s and c.relname = %s and a.attname = any(%s) and not a.attisdropped order by 1
"""
_INSTALLED = "select extname::text from pg_extension"
_TELLING = {"citext"}
"""Extensions whose types are texts, which legacy need not know."""


@probe("legacy", "target")
def entities_fit(context: ProbeContext) -> Iterator[Finding]:
    """Whether each entity fits both databases, column by column; what of it may be hidden, or mean something else."""
    legacy, target = context.connections["legacy"], context.connections["target"]
    names = list(context.catalog.entities)
    compile_together(context.check_id, names, context.catalog, legacy, target)
    fitting = 0
    for name in names:
        try:
            plan = plan_for(context.check_id, name, context.catalog, legacy, target)
        except (StructureMismatch, MissingPrivilege) as refused:
            yield from _refused_entity(context, name, refused)
            continue
        fitting += 1
        for sentence in plan.warnings:
            yield warning("open_search_path", sentence, "Revoke CREATE on that schema from them.")
        for sentence in plan.hidden_rows:
            yield warning("hidden_rows", sentence, "alter role … bypassrls; or a policy that shows it every row.")
    yield note("entities", f"{fitting} of {len(names)} entities of the catalog fit both databases.")


def _refused_entity(
    context: ProbeContext, name: str, refused: StructureMismatch | MissingPrivilege
) -> Iterator[Finding]:
    """Each mistake by itself; what only planning sees, as planning says it."""
    entity, file = context.catalog[name], context.catalog.file_of(name)
    misfits: Sequence[Misfit] = [
        *in_legacy(entity, context.connections["legacy"]), *in_target(entity, context.connections["target"])
    ]  # fmt: skip
    remedy = refused.remedy if isinstance(refused, MissingPrivilege) else "Correct the catalog, or the table."
    for misfit in misfits:
        place = ".".join(map(str, misfit.path))
        code = "not_judged" if misfit.doubtful else refused.code
        finding = note if misfit.doubtful else error
        yield finding(code, f"{file}{f', {place}' if place else ''}: {misfit.text}", remedy)
    if all(misfit.doubtful for misfit in misfits):
        yield error(refused.code, refused.message, refused.remedy)


@probe("legacy", "target")
def extensions(context: ProbeContext) -> Iterator[Finding]:
    """Extensions whose types mapped columns of the target have, and that legacy does not know."""
    known = {name for (name,) in context.rows("legacy", _INSTALLED)}
    for entity in context.catalog.entities.values():
        columns = list(next(iter(entity.sources.values())).columns)
        for (name,) in context.rows("target", _EXTENSIONS, (*split(entity.target), columns)):
            if name not in known | _TELLING:
                yield error(
                    "extension_missing",
                    f"The target's {entity.target} has columns of the extension {name}, which legacy does not have.",
                    f"create extension {name} in legacy; or map such a column's text to a column of type text.",
                )
