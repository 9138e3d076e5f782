"""What became of each row that a request names; a row that nobody has is named, too."""

from __future__ import annotations

from hybrid_sync.postgres import Question
from hybrid_sync.report.part import Recorded

WORDS = {
    "current": "in the target as legacy has it",
    "in_flight": "changed again while the run was at work; the next run reads it",
    "stale": "in the target in an older version",
    "absent": "not in the target",
    "excluded": "left out by a rule of the catalog",
    "deleted": "deleted in legacy, and in the target by its policy",
    "kept": "deleted in legacy; the target keeps it",
    "missing": "in legacy, and nobody knows why not in the target",
    "not_found": "not found: neither legacy nor the target has such a row",
    "unverified": "not verified",
}


class AskedRow(Recorded):
    """One row by its legacy key."""

    entity: str
    source: str
    key: tuple[int, ...]
    state: str
    """One of WORDS."""
    reason: str | None = None
    """Of its failed record."""
    ok: bool
    """Current, or not there by a rule or policy."""

    @property
    def ref(self) -> str:
        """`payments/dispatch_payment:17229`, as `hybrid-sync sync --ref` takes it."""
        return f"{self.entity}/{self.source}:{','.join(map(str, self.key))}"

    @property
    def in_words(self) -> str:
        """`not in the target (check_violation)`."""
        word = WORDS.get(self.state, self.state)
        return f"{word} ({self.reason})" if self.reason else word


def asked_rows(run_id: str) -> Question[tuple[AskedRow, ...]]:
    """Those of the request, in its order; what no verification has looked at is `unverified`."""
    return Question(
        _ASKED, {"run": run_id}, lambda found: tuple(AskedRow.model_validate(row[0]) for row in found.fetchall())
    )


# A reference without a source means the only one of its entity, under which its keys were planned. By name in JSON,
# so that a report can be made of a target that lacks the column.
_ASKED = """
select coalesce(found.row || jsonb_build_object('entity', e.entity), jsonb_build_object(
         'entity', ref->>'entity', 'source', coalesce(ref->>'source', ''),
         'key', case when jsonb_typeof(ref->'legacy_id') = 'array' then ref->'legacy_id'
                     else jsonb_build_array(ref->'legacy_id') end,
         'state', 'unverified', 'ok', false)) as asked
from hybrid_sync.run r
cross join lateral jsonb_array_elements(
  case when jsonb_typeof(r.request->'refs') = 'array' then r.request->'refs' else '[]' end) with ordinality a(ref, n)
left join hybrid_sync.run_entity e on e.run_id = r.run_id and e.entity = ref->>'entity'
left join lateral (
  select row from jsonb_array_elements(
    case when jsonb_typeof(to_jsonb(e)->'asked') = 'array' then to_jsonb(e)->'asked' else '[]' end) row
  where row->>'source' = coalesce(ref->>'source', row->>'source')
    and row->'key' = case when jsonb_typeof(ref->'legacy_id') = 'array' then ref->'legacy_id'
                          else jsonb_build_array(ref->'legacy_id') end
  limit 1
) found on true
where r.run_id = %(run)s
order by a.n
"""
