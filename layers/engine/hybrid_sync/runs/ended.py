"""What a run came to, as its record in the target has it: SQL about the run `r`."""

from __future__ import annotations

from psycopg import sql

# A run that was undone, or is being undone, has that status and no other. A report can be made of a target that lacks
# the columns: their names then mean those of `absent`, which a scope further in would hide. The whole row as JSON would
# have them, too, and with it each run's report.
_DONE = sql.SQL("""
(select of_it.undone_by from (select null::text as undone_by) absent
 cross join lateral (select undone_by from hybrid_sync.run x where x.run_id = r.run_id) of_it)
""")
_AT_WORK = sql.SQL("""
(select null::text as undoes) absent
cross join lateral (select u.run_id, undoes from hybrid_sync.run u where u.status = 'running') w
""")
UNDONE_BY = sql.SQL("""
coalesce({}, (select w.run_id from {} where w.undoes = r.run_id limit 1))
""").format(_DONE, _AT_WORK)
# The same as a set, which a query makes once: runs are kept for ever, and asked of each by itself a list of them costs
# the square of its length.
STATUS = sql.SQL("""
case when {} is not null or r.run_id in (select w.undoes from {} where w.undoes is not null)
     then 'rolled_back' else r.status end
""").format(_DONE, _AT_WORK)
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
