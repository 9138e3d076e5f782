"""10,000 failed records: page, table, queue and report say the same of them, and all are tried again at once."""

from __future__ import annotations

import json
import secrets
import time
from datetime import UTC, datetime
from typing import Any

from hybrid_sync.report.model import RunSummary
from hybrid_sync.services.messages.records import RedriveAsked, Redriven
from hybrid_sync.services.views.model import Overview
from hybrid_sync_cli.execution import outcome
from hybrid_sync_cli.queue_counts import settle
from tests.drills.ground import PATIENCE, PAUSE, Ground, NotWell
from tests.drills.places import messages
from tests.drills.play import Night

MANY = 10_000
ENTITY, REASON = "system_messages", "trigger_exception"
WORD = "one of very many"
LONGEST = 1.0
"""Seconds that the overview may take."""
LOOKS = 5


def many_failed(night: Night) -> None:
    """A trigger of the target refuses as many new rows; somebody mends it, and has all of them tried again."""
    night.ground.target(_REFUSES)
    try:
        _given_up(night)
    finally:
        night.ground.target("drop function refuse_many() cascade")
    ground = night.person()
    _redrive(ground)
    settle(ground.stack, PATIENCE)
    _agree(ground, outcome(ground.deployment, ground.carry()))


def _given_up(night: Night) -> None:
    """All of them fail, wait, and are given up after three attempts."""
    ground = night.ground
    ground.legacy(
        "insert into dispatch_notification (sender, template_name, template_context, read, sent, send, recipient_id,"
        f" created_at) select '{WORD}', 'x', '{{}}', false, false, false, (select min(id) from auth_user), now()"
        f" from generate_series(1, {MANY})"
    )
    with ground.nobody_consumes():
        run_id = ground.clock_strikes()
        ground.ended(run_id)
        _agree(ground, outcome(ground.deployment, run_id), queued=MANY)
    night.until_named()
    settle(ground.stack, PATIENCE)
    _agree(ground, None, given_up=MANY)


_REFUSES = f"""
create function refuse_many() returns trigger language plpgsql as $$
begin
  if new.sender = '{WORD}' then raise exception 'no'; end if;
  return new;
end $$;
create trigger refuse_many before insert or update on system_messages for each row execute function refuse_many();
"""


def _redrive(ground: Ground) -> None:
    """All failed records of that cause, as `hybrid-sync failures redrive --reason` does it."""
    asked, handed = (
        RedriveAsked(redrive_id=f"redrive-{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}", reason=REASON),
        0,
    )
    while True:
        done = ground.deployment.ask("redrive", asked, Redriven, patient=True)
        handed += done.records
        if not done.more:
            break
        asked = asked.model_copy(update={"again": True})
    if handed != MANY:
        raise NotWell(f"{handed:,} of {MANY:,} records were handed to the queue.")


def _agree(ground: Ground, report: RunSummary | None, *, queued: int = 0, given_up: int = 0) -> None:
    """Of these records: what the table, the page, the queue and the report of the run that has just ended say."""
    where = f"from hybrid_sync.failed_record where entity = '{ENTITY}' and reason = '{REASON}' and status"
    [(table,)] = ground.target(f"select count(*) {where} in ('open', 'escalated')")
    [(waiting,)] = ground.target(f"select count(*) {where} = 'open' and queued_at is not null")
    seen = _looked(ground)
    shown = {queue.name: queue.records for queue in seen.queues}
    others = {queue.name: queue.records for queue in ground.quiet.queues} if ground.quiet else {}
    keys = _keys_in_the_queue(ground) if queued else 0
    told = queued + given_up if report is None else sum(
        line.records for line in report.missed if (line.entity, line.reason) == (ENTITY, REASON)
    )  # fmt: skip
    expected = (queued + given_up, queued, queued, given_up, queued, queued + given_up)
    found = (
        table, waiting, shown["failed"] - others["failed"], shown["given up"] - others["given up"], keys, told,
    )  # fmt: skip
    if found != expected:
        raise NotWell(f"table, queued, page, page given up, queue, report: {found}, expected {expected}.")


def _looked(ground: Ground) -> Overview:
    """The overview, which is there within a second; of some looks the fastest, since others use this machine, too."""
    taken = []
    for _ in range(LOOKS):
        time.sleep(PAUSE)
        began = time.monotonic()
        seen = ground.operator.overview()
        taken.append(time.monotonic() - began)
    print(f"  overview: {min(taken):.2f} s", flush=True)
    if min(taken) > LONGEST:
        raise NotWell(f"The overview took {min(taken):.2f} s at least.")
    return seen


def _keys_in_the_queue(ground: Ground) -> int:
    """Keys that messages about these records name; what is none of ours may wait there, too."""
    found = [_told(json.loads(content)["Body"]) for _, content in messages(ground.stack)]
    return sum(len(told["keys"]) for told in found if told.get("reason") == REASON)


def _told(body: str) -> dict[str, Any]:
    try:
        told = json.loads(body)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}
