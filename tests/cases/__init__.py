"""Cases: small worlds on which the engine must not pass in silence; each is one YAML file, judged by SQL of its own.

A file `tests/cases/<kind>/<name>.yaml` has:

    why:      one sentence: what must hold
    legacy:   SQL, run by legacy's owner (a superuser)          legacy_role: engine's login role (default: the owner)
              (a role that the case alters has a name of its own: cases share their servers)
    target:   SQL, run by the target's owner (`postgres`, as on Supabase: no superuser, but BYPASSRLS)
    superuser_target: SQL, run by the target's superuser before that
    legacy_options: of CREATE DATABASE, such as  encoding 'SQL_ASCII' locale 'C' template template0
    catalog:  entity file by name, as text                      refused: texts, when the catalog itself must be refused
    steps:    a list, in order, each one of
      - run: weekly | daily | on_demand | verify                (more of the request: `request: {batch_size: 500}`)
        outcome: succeeded | degraded | failed | refused        (refused: planning raised, nothing was recorded)
        entities: {a: verified, b: failed}                      (only those named are looked at)
        says: [text]     never: [text]                          (in what the run tells people; case is ignored)
      - legacy: SQL      - target: SQL
      - retry: true                                             (every queued message is delivered once)
      - rollback: last                                          (the last run is undone; outcome as of run)
      - expect:
          target: {"select …": [[…], …]}     legacy: {…}        (rows in the query's order; values compared as text)
          failed: [[entity, key, reason, rows]]                 (all open failed records; `rows` may be left out)

`{legacy_dsn}` and `{target_dsn}` in SQL stand for the owners' connection URLs, `{legacy_database}` for the name.
After every run the judge asks both databases whether a row is silently missing (`judge.py`).
"""
