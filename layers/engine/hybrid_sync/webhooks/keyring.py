"""The secrets of webhook senders, in one secret of Secrets Manager: several of a source while one is exchanged."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from hybrid_sync.aws import Client, refusals
from hybrid_sync.errors import ConfigurationMissing
from hybrid_sync.webhooks.signatures import Secret

KEPT_FOR = timedelta(seconds=60)
"""How long a worker uses what it has read."""
AGAIN_AFTER = timedelta(seconds=5)
"""When a worker that was shown an unknown secret may read them again: a new one counts at once, and whoever guesses
cannot make us ask more often."""


class Held(BaseModel):
    """One secret of a source; `until` its last moment, once another has taken its place."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    secret: str = Field(repr=False)
    url: str = ""
    made_at: datetime
    until: datetime | None = None


_ALL = TypeAdapter(dict[str, tuple[Held, ...]])


class Keyring:
    """The secrets by source."""

    def __init__(self, name: str, client: Client, now: Callable[[], datetime]) -> None:
        self._name = name
        self._client = client
        self._now = now
        self._known: dict[str, tuple[Held, ...]] = {}
        self._read_at: datetime | None = None

    def open(self, source: str) -> list[Held]:
        """The secrets of a source that are valid now, the newest first."""
        if self._is_older_than(KEPT_FOR):
            self._look()
        now = self._now()
        return [held for held in self._known.get(source, ()) if held.until is None or now < held.until]

    def secrets(self, source: str) -> list[Secret]:
        """The source's secrets, ready to check signatures."""
        return [Secret(held.secret, held.url) for held in self.open(source)]

    def look_again(self) -> bool:
        """Read them anew; False where that was done a moment ago."""
        if not self._is_older_than(AGAIN_AFTER):
            return False
        self._look()
        return True

    def replace(self, source: str, secret: str, url: str, overlap: timedelta) -> Held:
        """Let a new secret count at once, and those before it for `overlap` longer."""
        self._look()
        now = self._now()
        made = Held(secret=secret, url=url, made_at=now)
        before = [self._ending(held, now + overlap) for held in self.open(source)]
        self._known = {**self._known, source: (made, *(held for held in before if held.until and held.until > now))}
        with refusals("the webhook secrets"):
            self._client.put_secret_value(SecretId=self._name, SecretString=_ALL.dump_json(self._known).decode())
        return made

    @staticmethod
    def _ending(held: Held, end: datetime) -> Held:
        return held.model_copy(update={"until": min(held.until or end, end)})

    def _is_older_than(self, age: timedelta) -> bool:
        return self._read_at is None or self._now() - self._read_at > age

    def _look(self) -> None:
        with refusals("the webhook secrets"):
            try:
                text = self._client.get_secret_value(SecretId=self._name)["SecretString"]
            except self._client.exceptions.ResourceNotFoundException:  # it has no value yet
                text = ""
        try:
            self._known = _ALL.validate_json(text) if text else {}
        except ValidationError:
            raise ConfigurationMissing(
                "The secret WebhookSecrets is not as hybrid-sync writes it.",
                "Empty it with aws secretsmanager put-secret-value --secret-string '{}', and make new secrets.",
            ) from None
        self._read_at = self._now()
