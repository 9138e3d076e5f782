"""What the target should hold, written by hand per entity: no code of the engine takes part."""

from __future__ import annotations

from typing import Any

import psycopg

Connection = psycopg.Connection[Any]

# Key columns first (counted), then values; a reference shows as the legacy key that it leads to.
SHOULD = {
    "clinics": (1, "select id, name::text, case country when 'US' then 'USD' else 'JPY' end from clinic"),
    "people": (
        1,
        "select id, clinic_id, lower(email), (array['doctor', 'nurse', 'clerk'])[kind], manager_id, born::text,"
        " settings::jsonb::text from person",
    ),
    "visits": (
        1,
        "select v.id, v.person_id, v.note, case when i.paid then i.id end from visit v"
        " left join invoice i on i.id = v.best_invoice_id",
    ),
    "invoices": (
        1,
        "select i.id, i.visit_id, i.total::text, case c.country when 'US' then 'USD' when 'JP' then 'JPY' end"
        " from invoice i left join visit v on v.id = i.visit_id left join person p on p.id = v.person_id"
        " left join clinic c on c.id = p.clinic_id where i.paid",
    ),
    "messages": (
        2,
        "select 'remark', id, person_id, body from remark union all select 'letter', id, person_id, body from letter",
    ),
    "grants": (2, "select person_id, right_id, person_id, level from grant_of"),
}
IS = {
    "clinics": "select id, legacy_id, name, currency from clinics where legacy_id is not null",
    "people": (
        "select p.id, p.legacy_id, c.legacy_id, p.email, p.kind::text, m.legacy_id, p.born::text, p.settings::text"
        " from people p left join clinics c on c.id = p.clinic_id left join people m on m.id = p.manager_id"
        " where p.legacy_id is not null"
    ),
    "visits": (
        "select v.id, v.legacy_id, p.legacy_id, v.note, i.legacy_id from visits v"
        " left join people p on p.id = v.person_id left join invoices i on i.id = v.best_invoice_id"
        " where v.legacy_id is not null"
    ),
    "invoices": (
        "select i.id, i.legacy_id, v.legacy_id, i.total::text, i.currency from invoices i"
        " left join visits v on v.id = i.visit_id where i.legacy_id is not null"
    ),
    "messages": (
        "select m.id, m.legacy_source, m.legacy_id, p.legacy_id, m.body from messages m"
        " left join people p on p.id = m.person_id where m.legacy_id is not null"
    ),
    "grants": (
        "select g.id, g.legacy_person_id, g.legacy_right_id, p.legacy_id, g.level from grants g"
        " left join people p on p.id = g.person_id where g.legacy_person_id is not null"
    ),
}

Row = tuple[Any, ...]
Place = tuple[str, Row]
"""(entity, legacy key); a source that completes the key stands before it."""


def expected(legacy: Connection) -> dict[Place, Row]:
    """(entity, key) -> values, of every legacy row that belongs into the target."""
    return {
        (entity, row[:width]): row[width:]
        for entity, (width, query) in SHOULD.items()
        for row in legacy.execute(query).fetchall()
    }


def actual(target: Connection) -> dict[Place, tuple[str, Row]]:
    """(entity, key) -> (id, values), of every synced row."""
    return {
        (entity, row[1 : 1 + width]): (str(row[0]), row[1 + width :])
        for entity, (width, _) in SHOULD.items()
        for row in target.execute(IS[entity]).fetchall()
    }


def wrong(should: dict[Place, Row], is_now: dict[Place, tuple[str, Row]]) -> set[Place]:
    """Keys whose row is missing or differs; a link to an invoice that is not paid may stay as it was."""
    found = set()
    for place, values in should.items():
        present = is_now.get(place)
        if present is None:
            found.add(place)
            continue
        seen = present[1]
        if place[0] == "visits" and values[-1] is None:
            values, seen = values[:-1], seen[:-1]
        if values != seen:
            found.add(place)
    return found
