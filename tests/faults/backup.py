"""A copy of the target's data, and its return: what an operator restores is as old as its copy, all of it."""

from __future__ import annotations

import psycopg
from psycopg import sql

_TABLES = """
select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname in ('public', 'hybrid_sync') and c.relkind in ('r', 'p') and not c.relispartition
  and (n.nspname, c.relname) <> ('hybrid_sync', 'migration')
order by 1, 2
"""


def back_up(superuser: str) -> None:
    """Keep every table's rows, ours too, in place of an earlier copy."""
    with psycopg.connect(superuser) as target:
        target.execute("drop schema if exists yesterday cascade")
        target.execute("create schema yesterday")
        for schema, name in target.execute(_TABLES).fetchall():
            target.execute(
                sql.SQL("create table {} as table {}").format(_copy(schema, name), sql.Identifier(schema, name))
            )


def restore(superuser: str) -> None:
    """All tables have the rows again that they had; nobody is at work, and no trigger sees it."""
    with psycopg.connect(superuser) as target:
        target.execute("set local session_replication_role = replica")
        tables = target.execute(_TABLES).fetchall()
        target.execute(
            sql.SQL("truncate {}").format(sql.SQL(", ").join(sql.Identifier(schema, name) for schema, name in tables))
        )
        for schema, name in tables:
            target.execute(
                sql.SQL("insert into {} overriding system value table {}").format(
                    sql.Identifier(schema, name), _copy(schema, name)
                )
            )


def _copy(schema: str, name: str) -> sql.Identifier:
    return sql.Identifier("yesterday", f"{schema}.{name}")
