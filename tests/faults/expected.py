"""What the target must hold, asked from legacy in SQL written by hand; nothing of the engine's is used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, LiteralString

import psycopg

Key = tuple[int, ...]
Values = Mapping[str, Any]


@dataclass(frozen=True)
class Parent:
    """Where a reference column points."""

    entity: str
    deferred: bool = False
    required: bool = False


@dataclass(frozen=True)
class Source:
    """One legacy SELECT of (key, excluded, refused, values, parents' keys) and the target's side of it."""

    entity: str
    name: str
    legacy: LiteralString
    target: LiteralString
    """(key, id, values, references, marked), with the same names in values."""
    parents: Mapping[str, Parent] = field(default_factory=dict)
    unique: str | None = None
    joined: LiteralString | None = None
    """The keys of the base table alone, where the SELECT joins another that may lack a row."""
    policy: Literal["ignore", "soft", "hard"] = "ignore"
    """What becomes of a target row whose legacy row has gone, or has left its rule."""


_PAYMENT = "from payment p join office o on o.id = p.office_id"

SOURCES = (
    Source(
        "teams", "team",
        "select array[t.id], false, false, jsonb_build_object('name', t.name, 'rev', t.rev, 'size',"
        " (select count(*) from membership m where m.team_id = t.id)), jsonb_build_object('lead_id', t.lead_id)"
        " from team t",
        "select array[legacy_team_id], id, jsonb_build_object('name', name, 'rev', rev, 'size', size),"
        " jsonb_build_object('lead_id', lead_id) from teams where legacy_team_id is not null",
        {"lead_id": Parent("people", deferred=True)},
    ),
    Source(
        "people", "person",
        "select array[id], false, false, jsonb_build_object('email', email, 'name', name, 'updated_at', updated_at,"
        " 'rev', rev), jsonb_build_object('team_id', team_id, 'boss_id', boss_id) from person",
        "select array[legacy_person_id], id, jsonb_build_object('email', email, 'name', name, 'updated_at', updated_at,"
        " 'rev', rev), jsonb_build_object('team_id', team_id, 'boss_id', boss_id)"
        " from people where legacy_person_id is not null",
        {"team_id": Parent("teams"), "boss_id": Parent("people", deferred=True)},
        unique="email",
    ),
    Source(
        "memberships", "membership",
        "select array[person_id, team_id], false, team_id % 7 = 0, jsonb_build_object('role', case role"
        " when 1 then 'member' when 2 then 'lead' else 'guest' end, 'rev', rev),"
        " jsonb_build_object('person_id', person_id, 'team_id', team_id) from membership",
        "select array[legacy_person_id, legacy_team_id], id, jsonb_build_object('role', role, 'rev', rev),"
        " jsonb_build_object('person_id', person_id, 'team_id', team_id)"
        " from memberships where legacy_person_id is not null",
        {"person_id": Parent("people", required=True), "team_id": Parent("teams", required=True)},
    ),
    Source(
        "invoices", "payment",
        "select array[p.id], p.canceled, p.total >= 4500, jsonb_build_object('currency', o.currency, 'total',"
        " p.total::text, 'status', case when p.paid then 'paid' else 'open' end, 'rev', p.rev, 'office_rev', o.rev),"
        " jsonb_build_object('payer_id', p.person_id) " + _PAYMENT,
        "select array[legacy_payment_id], id, jsonb_build_object('currency', currency, 'total', total::text,"
        " 'status', status, 'rev', rev, 'office_rev', office_rev), jsonb_build_object('payer_id', payer_id)"
        " from invoices where legacy_payment_id is not null",
        {"payer_id": Parent("people", required=True)},
        joined="select array[id] from payment",
    ),
    Source(
        "receipts", "payment",
        "select array[p.id], not p.paid or o.closed, false, jsonb_build_object('total', p.total::text, 'rev', p.rev,"
        " 'office_rev', o.rev), jsonb_build_object('invoice_id', p.id) " + _PAYMENT,
        "select array[legacy_payment_id], id, jsonb_build_object('total', total::text, 'rev', rev, 'office_rev',"
        " office_rev), jsonb_build_object('invoice_id', invoice_id), deleted_at is not null"
        " from receipts where legacy_payment_id is not null",
        {"invoice_id": Parent("invoices", required=True)},
        joined="select array[id] from payment",
        policy="soft",
    ),
    *(
        Source(
            "messages", name,
            "select array[id], false, coalesce(meta in ('{bad', '\"\\u0000\"'), false), jsonb_build_object('rev', rev,"
            " 'meta', case when meta not in ('{bad', '\"\\u0000\"') then meta::jsonb::text end),"
            " jsonb_build_object('author_id', author_id) from " + name,
            "select array[legacy_message_id], id, jsonb_build_object('rev', rev, 'meta', meta::text),"
            " jsonb_build_object('author_id', author_id) from messages where kind = '" + name + "'",
            {"author_id": Parent("people")},
            policy="hard",
        )
        for name in ("comment", "record")
    ),
)  # fmt: skip


@dataclass(frozen=True)
class LegacyRow:
    excluded: bool
    refused: bool
    values: Values
    parents: Mapping[str, int | None]


@dataclass(frozen=True)
class TargetRow:
    id: str
    values: Values
    references: Mapping[str, str | None]
    marked: bool = False
    """As gone, where the policy is soft."""


def legacy_rows(connection: psycopg.Connection[Any], source: Source) -> dict[Key, LegacyRow]:
    """Every legacy row of the source, by key."""
    return {tuple(row[0]): LegacyRow(*row[1:]) for row in connection.execute(source.legacy).fetchall()}


def base_keys(connection: psycopg.Connection[Any], source: Source) -> set[Key]:
    """Keys of the base table where a join can lose rows, else none."""
    return {tuple(row[0]) for row in connection.execute(source.joined).fetchall()} if source.joined else set()


def target_rows(connection: psycopg.Connection[Any], source: Source) -> list[tuple[Key, TargetRow]]:
    """Every target row that carries a legacy key of the source; a list, so that doubles show."""
    rows = connection.execute(source.target).fetchall()
    return [(tuple(row[0]), TargetRow(str(row[1]), *row[2:])) for row in rows]
