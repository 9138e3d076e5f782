"""The rows that a request names, and what verification recorded of each."""

from __future__ import annotations

from hybrid_sync.postgres import Question
from hybrid_sync.recorded.asked import AskedRow


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
