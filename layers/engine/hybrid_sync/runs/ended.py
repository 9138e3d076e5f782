"""What a run came to, as its record in the target has it: SQL about the run `r`."""

from __future__ import annotations

from psycopg import sql

# A run that was undone, or is being undone, has that status and no other. Asked by name in JSON, so that a
# report can be made of a target that lacks the column.
UNDONE_BY = sql.SQL("""
coalesce(to_jsonb(r)->>'undone_by', (select u.run_id from hybrid_sync.run u
  where to_jsonb(u)->>'undoes' = r.run_id and u.status = 'running' limit 1))
""")
# The same as a set, which a query makes once: runs are kept for ever, and asked of each by itself a list of them costs
# the square of its length.
STATUS = sql.SQL("""
case when to_jsonb(r)->>'undone_by' is not null
       or r.run_id in (select to_jsonb(u)->>'undoes' from hybrid_sync.run u where u.status = 'running'
                       and to_jsonb(u)->>'undoes' is not null)
     then 'rolled_back' else r.status end
""")
WHOLE = sql.SQL("""
r.undoes is null and r.trigger <> 'retry' and coalesce(jsonb_array_length(r.request->'entities'), 0) = 0
and coalesce(jsonb_array_length(r.request->'refs'), 0) = 0
and r.request->>'since' is null and r.request->>'until' is null
""")
"""The run `r` was of everything: a run of a part says nothing of the rest, however well it ended."""
VERIFIED_WEEKLY = sql.SQL("""
(select max(r.finished_at) from hybrid_sync.run r
 where r.profile = 'weekly' and {whole} and {status} in ('succeeded', 'degraded'))
""").format(whole=WHOLE, status=STATUS)
"""When a weekly run last had verified everything; what was undone since has not."""
