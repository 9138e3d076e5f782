"""What the sample world's defects must lead to: failed records by reason, exclusions by rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Expected:
    """Rows per entity and reason; an entity without any is absent."""

    failed: dict[str, dict[str, int]]
    excluded: dict[str, dict[str, int]]
    gone: dict[str, int]


def expected(counts: Mapping[str, int]) -> Expected:
    """What a faithful sync of a world of these sizes finds; the row files' arithmetic, not the engine's."""
    lost = counts["states_of_lost_orders"]
    return Expected(
        failed={
            "orders": {"unknown_enum": counts["orders_of_unknown_status"]},
            "case_messages": {"missing_parent": counts["comments_without_case"]},
            "case_states": {"missing_parent": counts["states_without_case"] + lost},
            "order_states": {"missing_parent": lost},
            "case_files": {"missing_parent": counts["homeless_files"]},
            "system_messages": {"bad_json": counts["bad_contexts"]},
        },
        excluded={
            "case_messages": {"about_a_user": counts["user_records"]},
            "case_files": {"is_an_attachment": counts["attachments"]},
            "message_attachments": {"not_an_attachment": counts["files"] - counts["attachments"]},
            "purchases": {"not_a_purchase": counts["payments"] - counts["purchases"]},
        },
        gone={"case_messages": 2, "system_messages": 3},
    )
