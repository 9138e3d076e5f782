-- Runs of what the catalog calls critical, every hour.
alter table hybrid_sync.run drop constraint run_profile_check;
alter table hybrid_sync.run add constraint run_profile_check
  check (profile in ('weekly', 'daily', 'hourly', 'on_demand', 'verify', 'rollback'));
