"""What every legacy row has to look like in the target: SQL of each side, written independently of the catalog."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Row = tuple[Any, ...]
Read = Callable[[str], list[Row]]
"""Runs a query on one side."""
CURRENCY = "case o.country when 'US' then 'USD' when 'JP' then 'JPY' when 'IN' then 'INR' when 'TH' then 'THB' end"


@dataclass(frozen=True)
class Mapped:
    """Both queries give the legacy key in the first `width` columns, then the same values."""

    entity: str
    legacy: str
    """Rows that ought to arrive."""
    target: str
    width: int = 1

    @property
    def name(self) -> str:
        return self.entity.partition("/")[0]

    @property
    def source(self) -> str:
        return self.entity.partition("/")[2]


MAPPED = (
    Mapped(
        "offices", "select id, name, address, city, zip, country, tax_rate, lower(emails) from dispatch_office",
        "select legacy_id, name, address, city, postal_code, country, tax_rate, emails from offices",
    ),
    Mapped(
        "profiles", "select id, username, lower(email), first_name, last_name, is_staff, date_joined from auth_user",
        "select legacy_id, username, email, first_name, last_name, is_staff, joined_at from profiles",
    ),
    Mapped(
        "patients", "select id, user_id, doctor_id, office_id, birthdate, suffix from dispatch_patient",
        "select t.legacy_id, u.legacy_id, d.legacy_id, o.legacy_id, t.birthdate, t.suffix from patients t"
        " join profiles u on u.id = t.profile_id left join profiles d on d.id = t.doctor_id"
        " left join offices o on o.id = t.office_id",
    ),
    Mapped(
        "orders", "select id, patient_id, upper_jaw_id, price, notes, complaint from dispatch_instruction",
        "select t.legacy_id, p.legacy_id, j.legacy_id, t.price, t.notes, t.complaint from orders t"
        " left join patients p on p.id = t.patient_id left join jaws j on j.id = t.upper_jaw_id",
    ),
    Mapped(
        "treatment_plans", "select id, instruction_id, name, notes from dispatch_plan",
        "select t.legacy_id, o.legacy_id, t.name, t.notes from treatment_plans t"
        " left join orders o on o.id = t.order_id",
    ),
    Mapped(
        "payments",
        f"select p.id, p.instruction_id, p.total_price, p.paid_price, p.tax_value, p.made_at, {CURRENCY}"
        " from dispatch_payment p join dispatch_office o on o.id = p.office_id",
        "select t.legacy_id, r.legacy_id, t.total, t.paid_amount, t.tax, t.made_at, t.currency from payments t"
        " left join orders r on r.id = t.order_id",
    ),
    Mapped(
        "purchases",
        f"select p.id, p.paid_price, {CURRENCY} from dispatch_payment p join dispatch_office o on o.id = p.office_id"
        " where p.paid and not p.canceled and p.paid_price > 0",
        "select legacy_id, amount, currency from purchases",
    ),
    Mapped(
        "operations",
        "select id, payment_id, case type when 2 then -price else price end, card_brand from dispatch_operation",
        "select t.legacy_id, p.legacy_id, t.amount, t.card_brand from operations t"
        " left join payments p on p.id = t.payment_id",
    ),
    Mapped(
        "role_permissions", "select role_id, permission_id from dispatch_role_permissions",
        "select legacy_role_id, legacy_permission_id from role_permissions", width=2,
    ),
    Mapped(
        "case_messages/comment", "select id, text, created_at from dispatch_comment",
        "select legacy_id, body, created_at from case_messages where legacy_source = 'comment'",
    ),
    Mapped(
        "case_messages/record", "select id, text, created_at from dispatch_record where target_type_id <> 58",
        "select legacy_id, body, created_at from case_messages where legacy_source = 'record'",
    ),
    Mapped(
        "order_states", "select id, instruction_id, changed_at from dispatch_state",
        "select t.legacy_id, o.legacy_id, t.created_at from order_states t left join orders o on o.id = t.order_id",
    ),
    Mapped(
        "system_messages", "select id, sender, template_name, read, created_at from dispatch_notification",
        "select legacy_id, sender, template, is_read, created_at from system_messages",
    ),
)  # fmt: skip


def lost(legacy: Read, target: Read, mapped: Mapped) -> list[str]:
    """Legacy rows that are in the target neither as legacy has them nor among the failed records, in words; and failed
    records of rows that are there."""
    failed = {
        (tuple(key), present)
        for name, of, key, present in target(
            "select entity, source, key, present from hybrid_sync.failed_record where status <> 'resolved'"
        )
        if name == mapped.name and mapped.source in ("", of)
    }
    absent, known = {key for key, present in failed if not present}, {key for key, _ in failed}
    due = {row[: mapped.width]: row for row in legacy(mapped.legacy)}
    there = {row[: mapped.width]: row for row in target(mapped.target) if row[0] is not None}
    found = [f"{mapped.entity} {key} is not in the target" for key in due.keys() - there.keys() - absent]
    found += [f"{mapped.entity} {key} is in the target, and a failed record says that it is not" for key in
              absent & there.keys()]  # fmt: skip
    return found + [
        f"{mapped.entity} {key} differs" for key, row in due.items() if key not in known and there.get(key, row) != row
    ]
