"""What erasing and auditing depend on: policies for rows about people, and records that no role of ours can rewrite."""

from __future__ import annotations

import re
from collections.abc import Iterator

from psycopg import sql

from hybrid_sync.catalog.place import split
from hybrid_sync.check.context import ProbeContext, pasted
from hybrid_sync.check.model import Finding, error, note, warning
from hybrid_sync.check.probe import probe
from hybrid_sync.erase.hashes import Hashes
from hybrid_sync.erase.records import require_secret
from hybrid_sync.errors import ConfigurationMissing

_PERSONAL = re.compile(
    r"(^|_)(e?mails?|phone|mobile|fax|username|(first|last|full|maiden)_?name|birth\w*|born|dob|sex|gender|ssn|passport"
    r"|street|address|zip|postal_?code|iban|avatar\w*)(_|$)"
)
_COLUMNS = """
select a.attname::text from pg_attribute a
join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
where n.nspname = %s and c.relname = %s and a.attnum > 0 and not a.attisdropped order by a.attnum
"""
# By name: what casts to regclass may look only where the schema is open to us, which another probe tells.
_CHANGEABLE = """
select c.relname::text,
       array(select r from unnest(array['update', 'delete', 'truncate', 'trigger']) r
             where has_table_privilege(c.oid, r)),
       pg_has_role(c.relowner, 'usage')
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'hybrid_sync' and c.relname in ('audit', 'erasure', 'id_secret', 'suppressed')
order by 1
"""
_GUARDS = """
select g::text
from unnest(array['chain', 'stays']) g, pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'hybrid_sync' and c.relname = 'audit'
  and not exists (select from pg_trigger t where t.tgrelid = c.oid and t.tgname = g and t.tgenabled in ('O', 'A'))
order by 1
"""


@probe("target")
def people_have_a_policy(context: ProbeContext) -> Iterator[Finding]:
    """Whether the catalog has an erasure policy for each column that looks personal."""
    for name, entity in sorted(context.catalog.entities.items()):
        found = [c for (c,) in context.rows("target", _COLUMNS, split(entity.target)) if _PERSONAL.search(c)]
        erasure, file = entity.erasure, context.catalog.file_of(name)
        if erasure is None and found:
            yield note(
                "no_erasure", f"Nobody says how rows of {name} are erased, and these columns look personal:"
                f" {', '.join(found)}.",
                f"Where they are about people, write `erasure:` into {file}.",
            )  # fmt: skip
        if erasure is None or erasure.policy == "delete":
            continue
        if left := [column for column in found if column not in erasure.set]:
            yield warning(
                "personal_columns", f"Erasing a row of {name} leaves columns that look personal: {', '.join(left)}.",
                f"Name them in `erasure: set` of {file}, unless they are about nobody.",
            )  # fmt: skip


@probe("target")
def records_stay(context: ProbeContext) -> Iterator[Finding]:
    """Whether the audit trail and the list of the erased can only be added to, and the trail is chained."""
    role = sql.Identifier(context.role("target"))
    for name, rights, owns in context.rows("target", _CHANGEABLE):
        if owns:
            yield error(
                "records_changeable", f"Our role owns hybrid_sync.{name}, and so may rewrite it.",
                "Install as another role than the functions' own, and give that the table.",
            )  # fmt: skip
        elif rights:
            what = sql.SQL(", ").join(map(sql.SQL, rights))
            revoke = sql.SQL("revoke {} on {} from {}").format(what, sql.Identifier("hybrid_sync", name), role)
            yield error("records_changeable", f"Our role may {', '.join(rights)} hybrid_sync.{name}.", pasted([revoke]))
    if missing := [name for (name,) in context.rows("target", _GUARDS)]:
        yield error(
            "audit_unguarded", f"The audit trail has lost what guards it: {', '.join(missing)}.",
            "Enable these triggers of hybrid_sync.audit again, then look what was done: hybrid-sync audit verify.",
        )  # fmt: skip


@probe("target", "aws")
def erased_under_this_secret(context: ProbeContext) -> Iterator[Finding]:
    """Whether the id secret is the one under which the erased are listed: nothing runs under another one."""
    try:
        with context.reading("target") as target:
            require_secret(target, Hashes(context.aws.id_secret()).fingerprint)
    except ConfigurationMissing as refused:
        yield error("other_secret", refused.message, refused.remedy)
