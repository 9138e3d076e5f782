"""Rows that are gone from legacy, and that the target itself did not let go: by why, the first of them by key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hybrid_sync.postgres import Question
from hybrid_sync.recorded.checks import IGNORED, MANAGED, NATIVE
from hybrid_sync.session import dicts

SHOWN_KEYS = 5
AS_WRITTEN = (IGNORED, MANAGED, NATIVE)
"""What the catalog says of rows that stay: its policy, and that nothing goes to which something refers."""


def ask_undeleted(run_id: str, with_money: Sequence[str]) -> Question[list[dict[str, Any]]]:
    """What a trigger, a constraint or a policy of the target stood in the way of.

    Of entities `with_money` also what another row did: there the target counts an amount that legacy no longer has,
    which nobody but the policy `ignore` has said may be.
    """
    given = {"as_written": list(AS_WRITTEN), "ignored": IGNORED, "with_money": list(with_money), "shown": SHOWN_KEYS}
    return dicts(_UNDELETED, {"run": run_id, **given})


_UNDELETED = """
select entity, reason, count(*) as rows,
       (array_agg(source || ':' || array_to_string(key, ',') order by source, key))[:%(shown)s] as keys
from hybrid_sync.delete_candidate
where run_id = %(run)s and outcome = 'kept'
  and (reason <> all (%(as_written)s) or (reason <> %(ignored)s and entity = any (%(with_money)s)))
group by entity, reason order by entity, reason
"""
