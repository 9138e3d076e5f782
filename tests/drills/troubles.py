"""The troubles: how each begins, what page and mail have to say of it, and what a person then does."""

from __future__ import annotations

import json
from secrets import token_urlsafe

import psycopg
from psycopg.conninfo import make_conninfo

from hybrid_sync.schema.install import WORKER
from tests.drills.again import tries_again
from tests.drills.many_failed import many_failed
from tests.drills.outages import connections_used_up, id_map_deleted, legacy_down, target_down
from tests.drills.play import Drill, Night, Play
from tests.drills.undoing import mass_update_undone
from tests.drills.watch import Named

REFUSED = 300
JUNK = 200
LOCKED = "public.payments"
MIGRATION = "a migration by hand"


# --- credentials rotated --------------------------------------------------------------------------------------------


def credentials_rotated(night: Night) -> None:
    """The worker's password in the target is another one, and nobody has told the deployment."""
    ground, new = night.ground, token_urlsafe()
    ground.target(
        f"alter role {WORKER} password '{new}';"
        f" select pg_terminate_backend(pid) from pg_stat_activity where usename = '{WORKER}'"
    )
    ground.clock_strikes()
    night.until_named()
    night.person()
    client, name = ground.stack.client("secretsmanager"), ground.stack.outputs["ConnectionSecret"]
    held = json.loads(client.get_secret_value(SecretId=name)["SecretString"])
    held["target_dsn"] = make_conninfo(held["target_dsn"], password=new)
    client.put_secret_value(SecretId=name, SecretString=json.dumps(held))
    ground.carry_at_last()


# --- a column renamed ------------------------------------------------------------------------------------------------


def column_renamed(table: str, column: str) -> Play:
    """Legacy moves on: a mapped column has another name."""

    def play(night: Night) -> None:
        ground, other = night.ground, f"{column}_of_old"
        ground.legacy(f"alter table {table} rename column {column} to {other}")
        try:
            ground.clock_strikes()
            night.until_named()
        finally:
            ground.legacy(f"alter table {table} rename column {other} to {column}")
        night.person().carry()

    return play


# --- 300 rows refused ------------------------------------------------------------------------------------------------


def rows_refused(night: Night) -> None:
    """Half of them are no JSON any more, the other half a trigger of the target refuses, quoting what it was given."""
    ground = night.ground
    good = "template_context like '%\"urgent\": false%'"
    some = f"(select id from dispatch_notification where {good} order by id limit {REFUSED})"
    ground.legacy(
        "create table if not exists put_aside as select id, template_context, sender from dispatch_notification"
    )
    ground.legacy(
        "update dispatch_notification set template_context ="
        f" case id % 2 when 0 then 'not ' || template_context else template_context end,"
        f" sender = case id % 2 when 1 then 'refused-' || sender else sender end where id in {some}"
    )
    ground.target(_REFUSES)
    try:
        ground.clock_strikes()
        night.until_named()
    finally:
        ground.target("drop function refuse_sender() cascade")
        ground.legacy(
            "update dispatch_notification n set template_context = p.template_context, sender = p.sender"
            " from put_aside p where p.id = n.id and (n.template_context, n.sender) is distinct from"
            " (p.template_context, p.sender)"
        )
        ground.legacy("drop table put_aside")
    night.person().carry()


_REFUSES = """
create function refuse_sender() returns trigger language plpgsql as $$
begin
  if new.sender like 'refused-%' then
    raise exception 'no: %', new.sender using detail = to_jsonb(new)::text, hint = new.sender;
  end if;
  return new;
end $$;
create trigger refuse before insert or update on system_messages for each row execute function refuse_sender();
"""


# --- a run killed ----------------------------------------------------------------------------------------------------


def run_killed(night: Night) -> None:
    """Its execution is stopped in mid-run, past every state that would have told."""
    ground = night.ground
    ground.legacy("update dispatch_payment set custom_price = coalesce(custom_price, 0) + 1")
    run_id = ground.clock_strikes()
    ground.until_at_work(run_id)
    machine: str = ground.stack.outputs["StateMachineArn"]
    arn = f"{machine.replace(':stateMachine:', ':execution:')}:{run_id}"
    ground.stack.client("stepfunctions").stop_execution(executionArn=arn)
    night.until_named()
    night.person().carry()


# --- a table locked --------------------------------------------------------------------------------------------------


def table_locked(night: Night) -> None:
    """Somebody's session holds a lock for longer than all attempts of a page last."""
    ground = night.ground
    ground.legacy("update dispatch_payment set custom_price = coalesce(custom_price, 0) + 1")
    with psycopg.connect(ground.stack.target_dsn, application_name=MIGRATION) as holder:
        holder.execute(f"lock table {LOCKED} in share row exclusive mode".encode())
        run_id = ground.clock_strikes()
        night.until_named()
    night.go_on(run_id)


# --- the queue full of junk ------------------------------------------------------------------------------------------


def queue_full_of_junk(messages: int) -> Play:
    """Somebody has sent what is no message of ours, and messages about what does not exist."""

    def play(night: Night) -> None:
        stack = night.ground.stack
        unknown = {"run_id": "nobody", "entity": "nothing", "source": "none", "reason": "bad_json", "keys": [[1]]}
        bodies = ["junk", "{}", "[1, 2]", json.dumps(unknown)]
        for first in range(0, messages, 10):
            entries = [{"Id": str(n), "MessageBody": bodies[(first + n) % len(bodies)]} for n in range(10)]
            stack.client("sqs").send_message_batch(QueueUrl=stack.outputs["FailedQueueUrl"], Entries=entries)
        night.until_named()

    return play


def is_renamed(name: str, table: str, column: str) -> Drill:
    cause, remedy = column, r"Settle the cause \(structure_mismatch\)"
    return Drill(name, column_renamed(table, column), Named(cause, remedy, cause, "then run again"))


def is_junk(messages: int) -> Drill:
    named = Named("messages are none of ours", "Nothing is lost", "no messages of ours", "may be purged")
    return Drill("queue-full-of-junk", queue_full_of_junk(messages), named)


DRILLS = (
    Drill("target-down", target_down, Named("target database does not let us in", "host and port|look at the server")),
    Drill("legacy-down", legacy_down, Named("legacy database does not let us in", "host and port|look at the server")),
    Drill(
        "connections-used-up", connections_used_up,
        Named("target database, or its pooler, has no connection left", "TargetConnections|look at the server"),
    ),
    is_renamed("column-renamed", "dispatch_payment", "paid_price"),
    Drill(
        "rows-refused", rows_refused,
        Named(
            "must hold JSON.*trigger of the target refuses|trigger of the target refuses.*must hold JSON",
            "Correct the text in legacy", "bad_json", "What to do: .*in legacy",
        ),
    ),
    Drill(
        "mass-update-undone", mass_update_undone,
        Named("is rolled back", "until somebody releases it", "was rolled back", "Release what is held"),
    ),
    Drill(
        "run-killed", run_killed,
        Named("weekly sync was stopped", "nothing is lost in between", "did not end by itself", "Start it again"),
    ),
    Drill(
        "table-locked", table_locked,
        Named(
            f"held by .*{MIGRATION}", "to end that session",
            "another session holds a lock", "tries again by itself|then run again",
        ),
    ),
    Drill(
        "tries-again", tries_again,
        Named("deadline|holds a lock", "Starts again at", "deadline|holds a lock", "tries again by itself"),
    ),
    Drill("id-map-deleted", id_map_deleted, Named("Id map is gone", "made anew", "Done without", "hybrid-sync repair")),
    is_junk(JUNK),
    Drill(
        "10000-failed", many_failed,
        Named("10,000 records, .*trigger of the target refuses", "Read the trigger's rule", "trigger_exception"),
    ),
    Drill(
        "credentials-rotated", credentials_rotated,
        Named("target database does not let us in", "Check the user and the password in its DSN"),
    ),
)  # fmt: skip
