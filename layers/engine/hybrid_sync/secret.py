"""The deployment's connection secret: what it holds, and how a person's values are put into it."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable

from pydantic import BaseModel, ConfigDict, SecretStr, TypeAdapter, ValidationError

from hybrid_sync.aws import Client, refusals
from hybrid_sync.errors import ConfigurationMissing

_TEXTS = TypeAdapter(dict[str, str], config=ConfigDict(defer_build=True))


class Connections(BaseModel):
    """The secret's content; text fields are SecretStr so that no log or error can print them."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    legacy_dsn: SecretStr | None = None
    target_dsn: SecretStr | None = None
    legacy_ca: SecretStr | None = None
    target_ca: SecretStr | None = None
    id_secret: SecretStr | None = None
    supabase_url: str = ""
    supabase_anon_key: str = ""
    supabase_jwt_secret: SecretStr | None = None
    supabase_providers: str = ""
    supabase_second_factor: str = ""
    alert_webhook_url: SecretStr | None = None
    alert_webhook_secret: SecretStr | None = None
    alert_chat_url: SecretStr | None = None
    dashboard_url: str = ""
    deployment: str = ""

    @property
    def serves_rest(self) -> bool:
        """It holds what the REST API is asked with."""
        return bool(self.supabase_url and self.supabase_anon_key and text(self.supabase_jwt_secret))

    def need(self, field: str) -> str:
        """ConfigurationMissing when the secret does not hold the field."""
        value: SecretStr | None = getattr(self, field)
        if value is None or not value.get_secret_value():
            raise ConfigurationMissing(
                f"The secret ConnectionSecret holds no {field}.",
                "Fill it in with: aws secretsmanager put-secret-value (keep the other fields).",
            )
        return value.get_secret_value()


class SecretFile:
    """The connection secret as a person fills it in: an object of texts."""

    def __init__(self, name: str, client: Client, on_fill: Callable[[], None]) -> None:
        self.name = name
        self._client = client
        self._on_fill = on_fill

    def held(self) -> dict[str, str]:
        """ConfigurationMissing where it is no such object."""
        with refusals("the connection secret"):
            answer = self._client.get_secret_value(SecretId=self.name)
        try:
            return _TEXTS.validate_json(answer["SecretString"])
        except ValidationError:
            raise ConfigurationMissing(
                "The secret ConnectionSecret does not hold a JSON object of texts.",
                'Write it as {"legacy_dsn": "…", "target_dsn": "…", "id_secret": "…"}.',
            ) from None

    def fill(self, values: dict[str, str]) -> None:
        with refusals("the connection secret"):
            self._client.put_secret_value(SecretId=self.name, SecretString=json.dumps(values))
        self._on_fill()


ORDERED = "ordered:"
"""What an id secret begins with whose ids follow the order of legacy's keys; see `ids.mint`."""


def ordered(made: str) -> str:
    """What a deployment keeps apart as its id secret, from what CloudFormation made: the same, for ids in order.

    One that was kept apart before ids had an order has no such beginning, and mints what it has always minted.
    """
    return ORDERED + made.removeprefix(ORDERED)


class IdSecret:
    """The secret of its own that new ids are derived from; filled once, and never changed."""

    def __init__(self, name: str, client: Client) -> None:
        self._name = name
        self._client = client

    def held(self) -> str | None:
        """None while it is empty."""
        with refusals("the id secret"):
            try:
                answer = self._client.get_secret_value(SecretId=self._name)
            except self._client.exceptions.ResourceNotFoundException:  # it has no value yet
                return None
        return str(answer["SecretString"]) or None  # an emulator's empty secret has an empty value

    def fill(self, made: str) -> None:
        """Safe to repeat: the token is the same for the same value, so that two workers at once are one."""
        token = str(uuid.UUID(bytes=hashlib.sha256(made.encode()).digest()[:16]))
        with refusals("the id secret"):
            self._client.put_secret_value(SecretId=self._name, SecretString=made, ClientRequestToken=token)


def text(held: SecretStr | None) -> str | None:
    """The text of a secret field; None where it is missing or empty."""
    return held.get_secret_value() or None if held else None
