-- Whoever writes a line of the audit trail chooses its session's path, and must not choose what these functions mean.
alter function hybrid_sync.audit_hash(bytea, hybrid_sync.audit) set search_path = pg_catalog, pg_temp;
alter function hybrid_sync.chain_audit() set search_path = pg_catalog, pg_temp;
alter function hybrid_sync.audit_stays() set search_path = pg_catalog, pg_temp;
