"""The ground that drills are played on: a deployed stack with a small world, synced, and somebody who looks at it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from hybrid_sync.admission.job import Job, JobState, written
from hybrid_sync.admission.jobs import stored_job
from hybrid_sync.admission.scheduled import Scheduled
from hybrid_sync.check.model import Severity
from hybrid_sync.contracts import Profile
from hybrid_sync.http.scopes import READ
from hybrid_sync.services.messages.runs import Progress, ProgressAsked
from hybrid_sync.services.messages.tokens import CreateAsked, CreatedToken
from hybrid_sync.services.views.model import Overview
from hybrid_sync_cli.checking import checked
from hybrid_sync_cli.deployment import Deployment
from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.execution import catalog_of_project, outcome
from hybrid_sync_cli.queue_counts import settle
from hybrid_sync_cli.stack import Stack
from hybrid_sync_cli.untouched import Seen, look, touched
from tests.drills.mailbox import Mailbox
from tests.drills.sides import MAPPED, Mapped, Row, lost
from tests.drills.watch import Operator, troubles

PATIENCE = 600.0
SETTLED = 60.0
PAUSE = 0.3
SHORT_MINUTE = 3.0
"""Steps of the local stack are tried again after a twentieth of the time that a cloud needs."""
ADMIT = "hybrid-sync-admit-runs"


class NotWell(Exception):
    """Something is not as it has to be; the sentence says what."""


@dataclass
class Ground:
    """A stack in good order; `entities` are those that its runs carry, all of them where it is empty."""

    stack: Stack
    operator: Operator
    mailbox: Mailbox
    entities: Sequence[str] = ()
    profile: Profile = Profile.weekly
    known: set[str] = field(default_factory=set)
    """What is the matter with the sample world, and is no drill's."""
    quiet: Overview | None = None
    """The overview before any trouble."""
    before: Seen = field(default_factory=Seen)
    real_minutes: bool = False
    known_wrong: frozenset[str] = frozenset()
    """What others have left wrong before any drill."""
    sunday: datetime = datetime(2026, 11, 29, 1, tzinfo=UTC)
    """For which the next scheduled run is due."""

    @property
    def deployment(self) -> Deployment:
        return Deployment.here(self.stack)

    def legacy(self, statement: str) -> list[Row]:
        return asked(self.stack.legacy_dsn, statement)

    def target(self, statement: str) -> list[Row]:
        return asked(self.stack.target_dsn, statement)

    # --- runs -------------------------------------------------------------------------------------------------

    def clock_strikes(self, **more: Any) -> str:
        """It is Sunday 01:00: EventBridge Scheduler delivers the weekly run, which asks for `more`; its id."""
        due, self.sunday = self.sunday, self.sunday + timedelta(weeks=1)
        request = {"profile": self.profile, "trigger": "schedule", "entities": list(self.entities), **more}
        self._admit({"scheduled_at": f"{due:%Y-%m-%dT%H:%M:%SZ}", "request": request})
        return f"{self.profile}-{due:%Y%m%dT%H%M%S}-000000"

    def minute_passes(self) -> None:
        """The clock that looks after jobs."""
        self._admit({})

    def _admit(self, event: dict[str, Any]) -> None:
        self.stack.client("lambda").invoke(FunctionName=ADMIT, InvocationType="Event", Payload=json.dumps(event))

    def ended(self, run_id: str, patience: float = PATIENCE) -> str:
        """How the run ended, once it has."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            try:
                now = self.deployment.ask("progress", ProgressAsked(run_id=run_id), Progress, patient=True)
            except CliError:
                time.sleep(PAUSE)
                continue
            if now.status not in ("waiting", "running"):
                return now.status
            time.sleep(PAUSE)
        raise NotWell(f"Run {run_id} does not end.")

    def until_at_work(self, run_id: str) -> None:
        """The run has written its first batch."""
        end = time.monotonic() + PATIENCE
        while not self.target(f"select 1 from hybrid_sync.batch_done where run_id = '{run_id}'"):
            if time.monotonic() > end:
                raise NotWell(f"Run {run_id} writes nothing.")
            time.sleep(PAUSE / 3)

    def minutes_pass(self, minutes: int) -> None:
        """So many minutes of an outage.  Where they are short, the clock that looks after jobs strikes as often all the
        same: by its own it would miss an outage that is over before it comes."""
        for _ in range(minutes):
            time.sleep(60.0 if self.real_minutes else SHORT_MINUTE)
            if not self.real_minutes:
                self.minute_passes()

    def next_attempt(self, run_id: str) -> str | None:
        """The attempt that follows by itself, whose hour has come; None where there is none."""
        coming = self.name_after(run_id)
        item = self._item(coming)
        if item is None:
            return None
        if not self.real_minutes and item["state"]["S"] == JobState.later:  # the clock is put forward
            client, place = self.stack.client("dynamodb"), item["place"]["S"].partition("/")[0]
            moved = {**item, "place": {"S": f"{place}/{written(datetime.now(UTC))}"}}
            client.put_item(TableName=self.stack.outputs["ControlTable"], Item=moved)
            self.minute_passes()
        return coming

    def name_after(self, run_id: str) -> str:
        """What the next attempt of a scheduled run is called."""
        named = Scheduled.named(run_id)
        assert named is not None, "it was no scheduled run"
        return named.next.job_id

    def job(self, job_id: str) -> Job | None:
        """As it is stored."""
        item = self._item(job_id)
        return None if item is None else stored_job(item)

    def _item(self, job_id: str) -> dict[str, Any] | None:
        key = {"pk": {"S": f"job/{job_id}"}}
        asked = {"TableName": self.stack.outputs["ControlTable"], "Key": key, "ConsistentRead": True}
        found: dict[str, Any] = self.stack.client("dynamodb").get_item(**asked)
        return found.get("Item")

    def carry(self) -> str:
        """A scheduled run from its start to its end; NotWell unless it has verified everything."""
        run_id = self.clock_strikes()
        if (status := self.ended(run_id)) not in ("succeeded", "degraded"):
            raise NotWell(f"Run {run_id} ended {status}. {self._why(run_id)}")
        return run_id

    def _why(self, run_id: str) -> str:
        """What stood in its way."""
        try:
            summary = outcome(self.deployment, run_id)
        except CliError as error:
            return str(error)
        said = [f"{one.state} {one.entity}: {one.error}: {one.cause}" for one in summary.failures]
        said += [f"{one.entity}: {one.failure.text}" for one in summary.entities if one.failure is not None]
        return "; ".join(said[:5])

    def carry_at_last(self) -> str:
        """The same, again and again until it does: somebody has healed what it fails by."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                return self.carry()
            except NotWell:
                if time.monotonic() > end:
                    raise

    @contextmanager
    def nobody_consumes(self) -> Iterator[None]:
        """Messages about failed records stay where they are."""
        client, queue = self.stack.client("lambda"), self.stack.outputs["FailedQueueUrl"].rpartition("/")[2]
        listed = client.list_event_source_mappings()["EventSourceMappings"]
        [mapping] = [one["UUID"] for one in listed if one["EventSourceArn"].endswith(f":{queue}")]
        client.update_event_source_mapping(UUID=mapping, Enabled=False)
        try:
            yield
        finally:
            client.update_event_source_mapping(UUID=mapping, Enabled=True)

    def look_anew(self) -> None:
        """The deployment knows no token any more: somebody makes another one."""
        self.operator.look_at(self.stack, token_for(self.deployment))

    def move(self, stack: Stack) -> None:
        """Go on with another deployment."""
        self.stack = stack
        self.mailbox.open(stack)
        self.look_anew()

    # --- how it is judged -------------------------------------------------------------------------------------

    def wrong(self) -> list[str]:
        """Where the target is not as legacy has it, in words; what was there before included."""
        found = [text for one in self._mapped for text in lost(self.legacy, self.target, one)]
        harmed = touched(self.before, self.seen())
        found += [f"{entity} has other ids than before" for entity in harmed.ids]
        found += [f"rows of {entity} that were born in the target have changed" for entity in harmed.natives]
        return [text for text in found if text not in self.known_wrong]

    @property
    def _mapped(self) -> list[Mapped]:
        return [one for one in MAPPED if not self.entities or one.name in self.entities]

    def seen(self) -> Seen:
        with psycopg.connect(self.stack.target_dsn, autocommit=True) as target:
            return look(target, catalog_of_project())

    def calm(self) -> set[str]:
        """What the overview says beyond the sample world's own troubles; what is at work included."""
        now = self.operator.overview()
        return (troubles(now) - self.known) | {f"at work: {run.run_id}" for run in now.running}


def asked(dsn: str, statement: str) -> list[Row]:
    with psycopg.connect(dsn, autocommit=True, connect_timeout=10) as connection:
        done = connection.execute(statement.encode())
        return done.fetchall() if done.description else []


def token_for(deployment: Deployment) -> str:
    """One that may only look."""
    return deployment.ask("create-token", CreateAsked(name="drills", scopes=(READ,), days=1), CreatedToken).token


@contextmanager
def ground(
    stack: Stack, entities: Sequence[str] = (), profile: Profile = Profile.weekly, *, real_minutes: bool = False
) -> Iterator[Ground]:
    """The stack, whose databases hold a sample, once it is synced and everything that had to be retried was."""
    deployment = Deployment.here(stack)
    token = token_for(deployment)
    mailbox = Mailbox(stack)
    try:
        played = Ground(stack, Operator(stack, token), mailbox, entities, profile, real_minutes=real_minutes)
        found = checked(deployment)
        if not found.passed:
            errors = [f"{one.evidence} {one.remedy}" for one in found.findings if one.severity is Severity.error]
            raise NotWell(f"The check does not pass: {'; '.join(errors)}")
        played.carry()
        settle(stack, SETTLED)
        played.quiet = played.operator.overview()
        played.known = troubles(played.quiet)
        played.before = played.seen()
        played.known_wrong = frozenset(played.wrong())
        yield played
    finally:
        mailbox.close()
