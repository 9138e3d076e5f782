-- Nobody but the worker adds times up: the roles of the API may call nothing of ours.
revoke all on function hybrid_sync.add_times(jsonb, jsonb) from public;
