"""`make access`: who can read or change what, made of the template, the catalog, the commands and the endpoints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from hybrid_sync.catalog.load import load
from hybrid_sync.check.probes.rights import ADDED_TO, OF_THE_OWNER
from hybrid_sync.http.endpoints import ENDPOINTS
from hybrid_sync.http.scopes import OF_ROLE, SCOPES
from hybrid_sync.schema.install import WORKER
from hybrid_sync.services.commands import COMMANDS
from hybrid_sync.services.roles import Role
from tests.checks import templates

CATALOG = Path("layers/catalog")


def lines() -> Iterator[str]:
    """The tables in Markdown."""
    yield from _table("Functions on AWS", ("function", "may", "of"), _functions())
    yield from _table("Roles in the databases", ("role", "may", "of"), _databases())
    yield from _table("People, by IAM policy or Supabase Auth", ("role", "commands", "scopes over HTTP"), _people())
    yield from _table("Tokens of the HTTP API", ("scope", "endpoints"), _scopes())


def _table(title: str, head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    names = list(head)
    yield f"## {title}\n"
    yield f"| {' | '.join(names)} |"
    yield f"|{'---|' * len(names)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)
    yield ""


def _functions() -> Iterator[tuple[str, str, str]]:
    for name, function in templates.functions(templates.load()).items():
        for statement in templates.statements(function):
            actions = ", ".join(sorted(map(str, templates.listed(statement["Action"]))))
            places = ", ".join(_place(one) for one in templates.listed(statement["Resource"]))
            only = statement.get("Condition", {}).get("StringLike", {}).get("s3:prefix")
            yield name, actions, places + (f" under {', '.join(templates.listed(only))}" if only else "")


def _place(resource: Any) -> str:
    """A resource by its name in the template."""
    if isinstance(resource, dict):
        [(kind, of)] = resource.items()
        text = of if isinstance(of, str) else ".".join(map(str, templates.listed(of)))
        return text.removesuffix(".Arn") if kind != "Fn::Sub" else text.replace("${", "").replace("}", "")
    return str(resource)


def _databases() -> Iterator[tuple[str, str, str]]:
    catalog = load(CATALOG).entities.values()
    sources = [source for entity in catalog for source in entity.sources.values()]
    read = {part.table for s in sources for part in (s.table, *s.joins, *s.watch)}
    yield "legacy reader", "SELECT, in read-only transactions", ", ".join(sorted(read))
    mapped = ", ".join(sorted(entity.target for entity in catalog))
    yield WORKER, "SELECT, INSERT, UPDATE, DELETE", mapped
    for rights, tables in (("SELECT, INSERT", ADDED_TO), ("SELECT", OF_THE_OWNER)):
        yield WORKER, rights, ", ".join(sorted(f"{schema}.{name}" for schema, name in tables))
    yield WORKER, "SELECT, INSERT, UPDATE, DELETE", "every other table of hybrid_sync"
    yield "anon, authenticated, public", "nothing", "hybrid_sync"


def _people() -> Iterator[tuple[str, str, str]]:
    for role in Role:
        commands = ", ".join(name for name, one in COMMANDS.items() if one.role <= role)
        yield role.name, commands, ", ".join(OF_ROLE[role])


def _scopes() -> Iterator[tuple[str, str]]:
    for scope in (None, *SCOPES):
        paths = [f"{one.method} {one.path}" for one in ENDPOINTS if one.scope == scope]
        yield scope or "none: anybody", ", ".join(paths) or "what a request may ask beside its rows"


if __name__ == "__main__":
    print("\n".join(lines()))
