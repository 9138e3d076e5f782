"""The one place that builds things: a deployment's settings in, a world of parts out, a step made a handler."""

from __future__ import annotations

import functools
import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel

from hybrid_sync.alerts import Channel, Channels, channels
from hybrid_sync.aws import Client, client
from hybrid_sync.connecting import Connecting
from hybrid_sync.contracts import Message, Profile
from hybrid_sync.entrypoint import Handler, kept_warm, logger, step
from hybrid_sync.errors import ConfigurationMissing
from hybrid_sync.metering import METER, MeasuredCall
from hybrid_sync.secret import IdSecret, ordered
from hybrid_sync.settings import Settings
from hybrid_sync.world import ProfileLimits, World

if TYPE_CHECKING:
    from hybrid_sync.admission.entry import Entry
    from hybrid_sync.admission.gate import Gate
    from hybrid_sync.admission.parts import Parts as AdmissionParts
    from hybrid_sync.catalog.catalog import Catalog
    from hybrid_sync.catalog.webhooks import Webhooks
    from hybrid_sync.check.context import Parts
    from hybrid_sync.erase.outside import S3Erasures
    from hybrid_sync.failures.queue import SqsFailureQueue
    from hybrid_sync.http.people import People, Project
    from hybrid_sync.http.tokens import Tokens
    from hybrid_sync.ids.backups import S3IdBackups
    from hybrid_sync.ids.cache import DynamoIdCache
    from hybrid_sync.runs.manifest import S3Manifests, S3Reports
    from hybrid_sync.runs.starter import RunStarter
    from hybrid_sync.runs.undo_function import UndoFunction
    from hybrid_sync.runs.usage import Recorder
    from hybrid_sync.services.audit_copy import S3Copies
    from hybrid_sync.services.views.outlook import Outlook
    from hybrid_sync.webhooks.keyring import Keyring

M = TypeVar("M", bound=Message)


class DeployedWorld(Connecting):
    """`hybrid_sync.world.World` over a deployment; a part is imported and made when it is first used."""

    def __init__(self, settings: Settings, client: Callable[[str], Client] = client) -> None:
        super().__init__(settings, client)
        self._keeps_ids = False

    @cached_property
    def catalog(self) -> Catalog:
        from hybrid_sync.catalog.load import load

        return load()

    @cached_property
    def webhooks(self) -> Webhooks:
        from hybrid_sync.catalog.webhooks import load_webhooks

        return load_webhooks(self.catalog)

    @cached_property
    def keyring(self) -> Keyring:
        from hybrid_sync.webhooks.keyring import Keyring

        return Keyring(self._settings.need("webhook_secrets"), self._client("secretsmanager"), self.now)

    @property
    def build(self) -> str:
        return self._settings.build

    @cached_property
    def id_secret(self) -> bytes:
        """From the secret of its own; where that is still empty, from where the deployment made it."""
        return (self._ids.held() or ordered(self._connections().need("id_secret"))).encode()

    @contextmanager
    def seeing_corrections(self) -> Iterator[None]:
        """What a person has to correct is read anew by the next call."""
        try:
            yield
        except ConfigurationMissing:
            self._secrets = None
            for kept in ("id_secret", "id_cache"):
                vars(self).pop(kept, None)
            raise

    @cached_property
    def _ids(self) -> IdSecret:
        return IdSecret(self._settings.need("id_secret"), self._client("secretsmanager"))

    def keep_id_secret(self) -> None:
        """Put the id secret into the secret of its own, once: whoever replaces the connections cannot lose it then."""
        if not self._keeps_ids and self._ids.held() is None:
            self._ids.fill(ordered(self._connections().need("id_secret")))
        self._keeps_ids = True

    @cached_property
    def id_cache(self) -> DynamoIdCache:
        return self.new_id_cache()

    def new_id_cache(self) -> DynamoIdCache:
        """One that remembers nothing yet, for whoever looks at what is stored."""
        from hybrid_sync.ids.cache import DynamoIdCache

        return DynamoIdCache(self._settings.need("id_map_table"), self._client("dynamodb"), self.id_secret)

    @cached_property
    def manifests(self) -> S3Manifests:
        from hybrid_sync.runs.manifest import S3Manifests

        return S3Manifests(self._settings.need("data_bucket"), self._client("s3"))

    @cached_property
    def reports(self) -> S3Reports:
        from hybrid_sync.runs.manifest import S3Reports

        return S3Reports(self._settings.need("data_bucket"), self._client("s3"))

    @cached_property
    def audit_copies(self) -> S3Copies:
        from hybrid_sync.services.audit_copy import S3Copies

        return S3Copies(self._settings.need("data_bucket"), self._client("s3"), self._settings.audit_lock)

    @cached_property
    def id_backups(self) -> S3IdBackups:
        from hybrid_sync.ids.backups import S3IdBackups

        return S3IdBackups(self._settings.need("data_bucket"), self._client("s3"))

    @cached_property
    def erasures(self) -> S3Erasures:
        from hybrid_sync.erase.outside import S3Erasures

        return S3Erasures(self._settings.need("data_bucket"), self._client("s3"))

    def copy_audit(self) -> int:
        """Copy what the audit trail has got since the last time; returns how many lines."""
        from hybrid_sync.services.audit_copy import copy_new_lines

        with self.connect_target() as target:
            return copy_new_lines(target, self.audit_copies, self.now())

    def measured_today(self) -> dict[str, float]:
        """What is written once a day."""
        from hybrid_sync.services.measured import today

        return today(self)

    @cached_property
    def failure_queue(self) -> SqsFailureQueue:
        from hybrid_sync.failures.queue import SqsFailureQueue

        url, delay = self._settings.need("failed_queue_url"), self._settings.retry_delay_seconds
        return SqsFailureQueue(url, self._client("sqs"), retry_delay_seconds=delay)

    @cached_property
    def outlook(self) -> Outlook:
        from hybrid_sync.services.views.outlook import Outlook

        ways = (self.connect_legacy, self.connect_target, lambda: client("cloudwatch", seconds=2, attempts=1))
        return Outlook(self._settings, self._client, *ways)

    @property
    def alerts(self) -> Channels:
        return channels(self._usual_channels, self._connections, self.now)  # as the secret is by now, not hours ago

    @cached_property
    def _usual_channels(self) -> Sequence[Channel]:
        from hybrid_sync.mail import usual_channels

        return usual_channels(self._settings, self._client, logger.info)

    @cached_property
    def executions(self) -> RunStarter:
        from hybrid_sync.runs.starter import RunStarter

        return RunStarter(self._settings.need("state_machine"), self._client("stepfunctions"))

    @cached_property
    def tokens(self) -> Tokens:
        from hybrid_sync.http.tokens import Tokens

        return Tokens(self._settings.need("control_table"), self._client("dynamodb"))

    @cached_property
    def people(self) -> People:
        from hybrid_sync.http.jwks import Jwks
        from hybrid_sync.http.people import People

        return People(self.project, Jwks(time.monotonic), time.time)

    def project(self) -> Project | None:
        """The Supabase project whose people may sign in."""
        from hybrid_sync.http.people import Project

        return Project.from_secret(self._connections())

    @cached_property
    def parts(self) -> Parts:
        from hybrid_sync.check.context import Parts

        need = self._settings.need
        return Parts(
            client=self._client, id_map_table=need("id_map_table"), data_bucket=need("data_bucket"),
            failed_queue_url=need("failed_queue_url"), alert_topic=need("alert_topic"),
            state_machine=need("state_machine"), id_secret=lambda: self.id_secret,
        )  # fmt: skip

    @property
    def workers(self) -> int:
        return min(self._settings.target_connections, self._settings.legacy_connections)

    @cached_property
    def gate(self) -> Gate:
        from hybrid_sync.admission.gate import Gate

        return Gate(*self._admission(), away=self._away)

    def starts_paused(self) -> str:
        """Since when, by whom and why nothing is started; empty while it is.  For what works without a slot."""
        from hybrid_sync.admission.slots import SlotStore

        return SlotStore(self._settings.need("control_table"), self._client("dynamodb")).read().paused

    def _away(self, few: bool) -> str:
        """A few keys reach a target that refuses direct connections by REST, where the deployment has that way."""
        other_way = few and self._settings.few_keys_way != "direct"
        return self.breakers.waiting_for({"legacy"} if other_way else {"legacy", "target"})

    @cached_property
    def entry(self) -> Entry:
        from hybrid_sync.admission.entry import Entry

        return Entry(*self._admission())

    def _admission(self) -> AdmissionParts:
        from hybrid_sync.admission.parts import parts

        held = self._settings
        bounds = (held.max_runs, held.max_waiting, held.max_waiting_of_one)
        return parts(held.need("control_table"), self._client("dynamodb"), self.executions, bounds, self.now)

    @cached_property
    def undo(self) -> UndoFunction:
        from hybrid_sync.runs.undo_function import UndoFunction

        return UndoFunction(self._settings.need("rollback_function"), client("lambda", seconds=20, attempts=1))

    def limits(self, profile: Profile) -> ProfileLimits:
        return self._settings.limits(profile)

    @cached_property
    def usage(self) -> Recorder:
        from hybrid_sync.runs.usage import Recorder

        return Recorder(self.connect_target, METER.take)


@functools.cache
def world() -> DeployedWorld:
    """The world of this worker; ConfigurationMissing when the environment is wrong."""
    return DeployedWorld(Settings.from_environment())


def keep_id_secret() -> None:
    """As `DeployedWorld.keep_id_secret`."""
    world().keep_id_secret()


def record_call(call: MeasuredCall, *, now: bool) -> None:
    """For the borders, which are made before there is a world."""
    world().usage.record(call, now=now)


def end_call() -> None:
    """As `Connecting.end_call`; there is no world where the environment is wrong."""
    with suppress(ConfigurationMissing):
        world().end_call()


def function(message: type[M], call: Callable[[World, M], BaseModel | None]) -> Handler:
    """A step as the Lambda function that takes one message.

    One that is given an execution's `request` may be its first: it works only once the execution holds a slot.
    """
    first = "request" in message.model_fields

    def bound(given: M) -> BaseModel | None:
        own = world()
        own.begin_call()
        if first:
            started: Any = given
            own.entry.require_slot(getattr(started, "run_id", "") or started.check_id, started.request)
        with own.seeing_corrections(), own.working(given):
            return call(own, given)

    bordered = step(message, name=getattr(call, "__name__", ""), record_call=record_call, end_call=end_call)
    handler = kept_warm(_get_ready)(bordered(bound))
    vars(handler).update(message=message, call=call)  # for whoever plays the flow over another world
    return handler


def _get_ready() -> None:
    """All that a few keys need but the databases, which may be asleep and are woken for rows alone."""
    own = world()
    _ = own.catalog, own.entry, own.id_secret, own.reports, own.alerts


# A function imports this last: what is loaded by now stays as long as its worker, so no collection looks at it again.
gc.freeze()
gc.enable()
