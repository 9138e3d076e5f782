"""What happens in the two databases while runs come and go: legacy is used, and people work in the target."""

from __future__ import annotations

import random
from typing import Any

import psycopg

Connection = psycopg.Connection[Any]
Touched = set[tuple[str, str]]
"""(entity, id) of rows that a person has changed or deleted."""

_LEGACY = (
    "update person set email = 'mail' || %(new)s || '@Example.org' where id = %(person)s",
    "update person set settings = jsonb_build_object('n', %(new)s)::text, kind = 1 + %(new)s %% 3"
    " where id = %(person)s",
    "update person set settings = 'null', born = born + 1 where id = %(person)s",
    "update person set manager_id = %(other)s where id = %(person)s",
    "update person set clinic_id = 1 + %(new)s %% 2 where id in (%(person)s, %(other)s)",
    "insert into person (id, clinic_id, email, manager_id) values (%(new)s, 1, 'New' || %(new)s, %(person)s)",
    "insert into person (id, clinic_id, email, manager_id) values (%(new)s, 2, 'A' || %(new)s, %(new)s + 1),"
    " (%(new)s + 1, 2, 'B' || %(new)s, %(new)s)",
    "update visit set note = 'note ' || %(new)s where id = %(visit)s",
    "update visit set person_id = %(person)s, best_invoice_id = %(invoice)s where id = %(visit)s",
    "insert into visit (id, person_id, note) values (%(new)s, %(person)s, 'new')",
    "insert into visit (id, person_id, best_invoice_id) values (%(new)s, %(person)s, %(new)s);"
    " insert into invoice (id, visit_id, total) values (%(new)s, %(new)s, 10.10)",
    "insert into invoice (id, visit_id, total) values (%(new)s, %(visit)s, 5);"
    " update visit set best_invoice_id = %(new)s where id = %(visit)s",
    "update invoice set total = total + 0.01 where id = %(invoice)s",
    "update invoice set paid = not paid where id = %(invoice)s",
    "insert into remark (id, person_id, body) values (%(new)s, %(person)s, 'new')",
    "insert into letter (id, person_id, body) values (%(new)s, %(person)s, 'new')",
    "update remark set body = 'remark ' || %(new)s where person_id = %(person)s",
    "update letter set body = null where person_id = %(other)s",
    "insert into grant_of (person_id, right_id) values (%(person)s, %(new)s)",
    "update grant_of set level = level + 1 where person_id = %(person)s",
    "update clinic set name = 'Clinic ' || %(new)s where id = 1 + %(new)s %% 2",
)

_EDITS = {
    "people": ("kind = 'clerk', born = '2001-01-01'", "internal_note = 'seen'"),
    "visits": ("note = 'native'",),
    "invoices": ("total = total + 1",),
    "messages": ("body = 'native'",),
    "grants": ("level = level + 100",),
    "clinics": ("name = name || '!'", "internal_note = 'seen'"),
}


def use_legacy(legacy: Connection, rng: random.Random) -> None:
    """One to five changes, each committed."""
    for _ in range(rng.randint(1, 5)):
        if rng.random() < 0.15:
            _swap_emails(legacy, rng)
            continue
        ids = {name: rng.choice(_ids(legacy, name)) for name in ("person", "visit", "invoice")}
        ids |= {"other": rng.choice(_ids(legacy, "person")), "new": 1_000 + 2 * rng.randrange(10**6)}
        for statement in rng.choice(_LEGACY).split(";"):
            legacy.execute(statement.encode(), ids)


def _ids(legacy: Connection, table: str) -> list[int]:
    query = psycopg.sql.SQL("select id from {} order by id").format(psycopg.sql.Identifier(table))
    return [row[0] for row in legacy.execute(query).fetchall()]


def _swap_emails(legacy: Connection, rng: random.Random) -> None:
    """Unique in the target: both must arrive, and both must come back."""
    one, other = rng.sample(_ids(legacy, "person"), 2)
    legacy.execute(
        "update person p set email = o.email from person o where p.id in (%(a)s, %(b)s) and o.id in (%(a)s, %(b)s)"
        " and o.id <> p.id",
        {"a": one, "b": other},
    )


def work_in_target(target: Connection, rng: random.Random, recent: Touched) -> Touched:
    """Up to four things that people do: edit a synced row, delete a leaf, hang native rows on synced ones.

    Mostly to rows in `recent`, which the last run wrote: those are what a rollback is about.
    """
    touched: Touched = set()
    for _ in range(rng.randint(0, 4)):
        kind = rng.random()
        if kind < 0.55:
            entity = rng.choice(sorted(_EDITS))
            touched |= _on_one(
                target, rng, recent, entity, f"update {entity} set {rng.choice(_EDITS[entity])} where id = %s"
            )
        elif kind < 0.7:
            entity = rng.choice(("messages", "grants"))
            touched |= _on_one(target, rng, recent, entity, f"delete from {entity} where id = %s")
        elif kind < 0.9:
            column, entity = rng.choice((("visit_id", "visits"), ("person_id", "people")))
            _on_one(target, rng, recent, entity, f"insert into attachments ({column}) values (%s)")
        else:
            _on_one(
                target, rng, recent, "people",
                "insert into people (id, kind, manager_id) values (gen_random_uuid(), 'nurse', %s)",
            )  # fmt: skip
    return touched


def _on_one(target: Connection, rng: random.Random, recent: Touched, entity: str, statement: str) -> Touched:
    key = "legacy_person_id" if entity == "grants" else "legacy_id"
    query = psycopg.sql.SQL("select id from {} where {} is not null order by id").format(
        psycopg.sql.Identifier(entity), psycopg.sql.Identifier(key)
    )
    rows = [row[0] for row in target.execute(query).fetchall()]
    if not rows:
        return set()
    fresh = [row for row in rows if (entity, str(row)) in recent]
    chosen = rng.choice(fresh if fresh and rng.random() < 0.7 else rows)
    target.execute(statement.encode(), (chosen,))
    return {(entity, str(chosen))}
