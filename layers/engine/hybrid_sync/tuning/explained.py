"""The plans of the entities whose statements are to be explained; one that does not fit costs itself."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.errors import MissingPrivilege, StructureMismatch
from hybrid_sync.postgres import Connection
from hybrid_sync.schema.plans import EntityPlan, compile_together, plan_for


def plans_of(
    catalog: Catalog, names: Sequence[str], legacy: Connection, target: Connection
) -> tuple[dict[str, EntityPlan], list[str]]:
    """As the two databases are now; and why an entity has none."""
    now = f"advice-{uuid.uuid4()}"  # what a worker remembers of an earlier question may be outdated
    compile_together(now, names, catalog, legacy, target)
    plans: dict[str, EntityPlan] = {}
    skipped: list[str] = []
    for name in names:
        try:
            plans[name] = plan_for(now, name, catalog, legacy, target)
        except (StructureMismatch, MissingPrivilege) as error:
            skipped.append(str(error))
    return plans, skipped
