"""The databases of a deployment: by its secret, from a pool that a worker keeps, past the breaker of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

from hybrid_sync.aws import Client
from hybrid_sync.contracts import BatchTask, Message, SegmentTask
from hybrid_sync.entrypoint import logger
from hybrid_sync.errors import Side, SyncError, TargetUnavailable
from hybrid_sync.metering import METER
from hybrid_sync.secret import Connections, SecretFile, text
from hybrid_sync.settings import Settings

if TYPE_CHECKING:
    from hybrid_sync.breaker.breakers import Breakers
    from hybrid_sync.breaker.sparing import Sparing
    from hybrid_sync.breaker.throttles import Throttling
    from hybrid_sync.pool import Address, Pool
    from hybrid_sync.postgres import Connection
    from hybrid_sync.rest.project import Project

SECRET_SECONDS = 300
"""How long a worker uses what it read from Secrets Manager; a changed password is picked up after that, or as soon as
the one before opens nothing any more."""


class Connecting:
    """What of a deployment's world reaches its databases; a part is imported and made when it is first used."""

    def __init__(self, settings: Settings, client: Callable[[str], Client]) -> None:
        self._settings = settings
        self._client = client
        self._secrets: tuple[float, Connections] | None = None
        self._in_a_call = False

    def now(self) -> datetime:
        return datetime.now(UTC)

    @property
    def secret(self) -> SecretFile:
        return SecretFile(self._settings.need("secret"), self._client("secretsmanager"), self._filled)

    @property
    def deployment(self) -> str:
        return self._connections().deployment

    @cached_property
    def breakers(self) -> Breakers:
        from hybrid_sync.breaker.breakers import Breakers
        from hybrid_sync.breaker.store import BreakerStore

        held = self._settings
        store = BreakerStore(held.need("control_table"), self._client("dynamodb"))
        return Breakers(store, self.now, looks=held.looks_for_itself)

    @cached_property
    def load(self) -> Sparing:
        from hybrid_sync.breaker.lag import ReplicaLag
        from hybrid_sync.breaker.sparing import Sparing

        held = self._settings
        lag = ReplicaLag(self.connect_target, self.now)
        return Sparing(held.need("control_table"), self._client("dynamodb"), self.now, held.workers, lag)

    @cached_property
    def throttling(self) -> Throttling:
        from hybrid_sync.breaker.throttles import Throttling

        return Throttling(self._settings.need("control_table"), self._client("dynamodb"), self.now)

    def begin_call(self) -> None:
        """Until `end_call` connections are used again that no frozen worker may keep, such as for the call's record."""
        self._in_a_call = True
        if pool := self._made_pool:
            pool.begin_call()

    def end_call(self) -> None:
        """From here on the worker may be frozen."""
        self._in_a_call = False
        if pool := self._made_pool:
            pool.end_call()

    @property
    def _made_pool(self) -> Pool | None:
        """Nobody who needs no database loads its driver."""
        return vars(self).get("_pool")

    @contextmanager
    def working(self, given: Message) -> Iterator[None]:
        """Around one call of a step: LoadShed for one of many that are at work at once, where the databases have to be
        spared.  What finds somebody's capacity used up is said of its run."""
        why = ""
        try:
            with self._sparing(given):
                yield
        except SyncError as error:
            why = error.message if error.throttled else ""
            raise
        finally:
            run_id = getattr(given, "run_id", "")
            if run_id and (met := why or METER.slowed):
                self.throttling.note(run_id, met)

    def _sparing(self, given: Message) -> AbstractContextManager[None]:
        if not isinstance(given, BatchTask | SegmentTask):
            return nullcontext()
        name = f"{given.run_id} {given.entity} {given.source} {given.lo}..{given.hi}"
        return self.load.sparing(name, critical=isinstance(given, BatchTask) and given.critical)

    def connect_legacy(self) -> Connection:
        return self._connect("legacy")

    def connect_target(self) -> Connection:
        """By the function's way; nothing has been sent yet where a refused connection is followed by REST."""
        way = self._settings.target_way
        if way == "rest":
            return self._rest.connect()
        try:
            return self._connect("target")
        except TargetUnavailable as error:
            if way == "direct" or not self._connections().serves_rest:
                raise
            logger.warning("the target is reached by REST", extra={"error": f"{error.code}: {error}"})
            return self._rest.connect()

    def connect_both(self) -> tuple[Connection, Connection]:
        """Legacy and the target; sessions that have to be opened are opened at the same time."""
        self.breakers.both()  # with the secret and the pool, what both need: made once, before there are two
        addresses = self._address("legacy"), self._address("target")
        return self._pool.at_once(self.connect_legacy, self.connect_target, addresses)

    def probe(self, side: Side) -> None:
        """Open a new connection to the side and close it; raises why it cannot be opened."""
        self._pool.forget(side)
        self._connect(side).close()

    @property
    def _rest(self) -> Project:
        """With the secret's values as they are now; a client that the worker has made for them is used again."""
        from hybrid_sync.rest.project import project

        held = self._connections()
        return project(held.supabase_url, held.supabase_anon_key, held.need("supabase_jwt_secret"))

    @cached_property
    def _pool(self) -> Pool:
        from hybrid_sync.opening import limit_statements
        from hybrid_sync.pool import Pool

        limit_statements(self._settings.statement_seconds)
        made = Pool(
            keeps=self._settings.keeps_connections, guarding=self.breakers.guarding, renewed=self._renewed
        )  # fmt: skip
        if self._in_a_call:
            made.begin_call()
        return made

    def _connect(self, side: Side) -> Connection:
        dsn, ca = self._address(side)
        try:
            return self._pool.connect(dsn, side, ca)
        except SyncError:
            self._secrets = None  # it may be another one by now
            raise

    def _address(self, side: Side) -> Address:
        held = self._connections()
        return held.need(f"{side}_dsn"), text(held.legacy_ca if side == "legacy" else held.target_ca)

    def _renewed(self, side: Side) -> Address | None:
        """As the secret has it by now; None where it cannot be read."""
        self._secrets = None
        with suppress(SyncError):
            return self._address(side)
        return None

    def _connections(self) -> Connections:
        now = self.now().timestamp()
        if self._secrets is None or now - self._secrets[0] > SECRET_SECONDS:
            self._secrets = (now, Connections.model_validate(self.secret.held()))
        return self._secrets[1]

    def _filled(self) -> None:
        self._secrets = None
        self.breakers.try_again()
