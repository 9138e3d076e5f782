"""The count of an entity whose verification goes on in another call, stored as JSON between the two."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from hybrid_sync.compare import identity
from hybrid_sync.compare.amounts import Sums, Tally, add
from hybrid_sync.compare.entity_count import EntityCount
from hybrid_sync.postgres import Connection
from hybrid_sync.recorded.checks import ReferenceLine
from hybrid_sync.recorded.conservation import Conservation

Stored = Mapping[str, Any]
_SIDES = ("ours", "theirs")
_WAYS = ("by_server", "by_stream")


def store_progress(connection: Connection, run_id: str, entity: str, state: Stored) -> bool:
    """Store the state after one more part; False where another delivery has stored this part already."""
    done = connection.execute(
        "update hybrid_sync.run_entity set verification = %s where run_id = %s and entity = %s"
        " and coalesce((verification->>'done')::int, 0) = %s",
        (json.dumps(state), run_id, entity, state["done"] - 1),
    )
    return done.rowcount == 1


def as_json(count: EntityCount) -> dict[str, Any]:
    """The whole count; sums with every digit."""
    return {
        "total": count.total.as_json(),
        "references": [line.as_json() for line in count.references.values()],
        "keys": {
            source: [[[list(key), rows] for key, rows in found.doubled.items()], list(map(list, found.present)),
                     found.null_keys]
            for source, found in count.keys.items()
        },
        "money": [
            [side, column, way, group, [str(tally.amount), tally.rows, tally.empty, tally.odd]]
            for side in _SIDES for column, two_ways in getattr(count, side).items() for way in _WAYS
            for group, tally in getattr(two_ways, way).items()
        ],
    }  # fmt: skip


def add_earlier(count: EntityCount, kept: Stored) -> None:
    """Add the stored count of the parts before to a new one."""
    count.total = Conservation.model_validate(kept["total"])
    count.references |= {line.column: line for line in map(ReferenceLine.model_validate, kept["references"])}
    count.keys = {
        source: identity.KeyDefects(
            {tuple(key): rows for key, rows in doubled}, {tuple(key) for key in present}, without
        )
        for source, (doubled, present, without) in kept["keys"].items()
    }
    for side, column, way, (currency, status, place), (amount, *numbers) in kept["money"]:
        sums: Sums = getattr(getattr(count, side)[column], way)
        add(sums, {(currency, status, place): Tally(Decimal(amount), *numbers)})
