"""How many rows of each kind a world of a given scale has; scale 1 is the company's own size."""

from __future__ import annotations

from types import MappingProxyType

# Scale 1 as the company counted it: 1,434,611 migrated records of 22 kinds, and 2,039,588 system messages.
# Where its reports are silent (projects, jaws, tasks) the numbers are ours, so that the total is theirs.
FULL = MappingProxyType(
    {
        "technicians": 318,
        "doctors": 1_100,
        "patients": 8_421,
        "duplicate_emails": 7,
        "offices": 612,
        "role_permissions": 1_346,
        "orders": 25_012,
        "orders_without_patient": 20,
        "orders_of_unknown_status": 3,
        "jaws": 46_800,
        "projects": 96_000,
        "plans": 209_241,
        "plans_without_case": 21,
        "tasks": 638_880,
        "comments": 11_462,
        "comments_without_case": 63,
        "patient_records": 4_703,
        "user_records": 240,
        "states": 5_464,
        "states_without_case": 120,
        "states_of_lost_orders": 102,
        "case_files": 160_420,
        "homeless_files": 2,
        "attachments": 8_703,
        "payments": 17_229,
        "purchases": 3_701,
        "operations": 3_720,
        "refunds": 98,
        "offers": 300,
        "discounts": 120,
        "notifications": 2_039_588,
        "bad_contexts": 40_792,
    }
)

# Small worlds keep one of everything, every kind of defect included.
_AT_LEAST = MappingProxyType(
    {
        "technicians": 25,
        "doctors": 5,
        "patients": 30,
        "offices": 8,
        "role_permissions": 28,
        "orders": 80,
        "orders_without_patient": 2,
        "jaws": 100,
        "projects": 30,
        "plans": 120,
        "plans_without_case": 2,
        "tasks": 120,
        "comments": 60,
        "patient_records": 30,
        "user_records": 4,
        "states": 40,
        "states_without_case": 2,
        "states_of_lost_orders": 2,
        "case_files": 120,
        "attachments": 8,
        "payments": 140,
        "purchases": 30,
        "operations": 32,
        "refunds": 4,
        "notifications": 400,
        "bad_contexts": 14,
    }
)


def sizes(scale: float) -> dict[str, int]:
    """The number of rows of each kind at `scale`, by the names that the row files use."""
    found = {name: max(_AT_LEAST.get(name, 1), round(full * scale)) for name, full in FULL.items()}
    found["users"] = found["technicians"] + found["doctors"] + found["patients"]
    found["files"] = found["case_files"] + found["attachments"]
    found["usual_orders"] = found["orders"] - found["orders_without_patient"] - found["orders_of_unknown_status"]
    # Each of the first orders has an upper and a lower jaw.
    found["jaws"] = 2 * min(found["jaws"] // 2, found["usual_orders"])
    # A purchase has at most one payment operation.
    found["operations"] = min(found["operations"], found["purchases"] + found["refunds"])
    return found
