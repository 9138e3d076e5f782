"""A deployment's secrets, as the person here may read and write them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session

from hybrid_sync.secret import IdSecret, ordered
from hybrid_sync_cli.deployment.location import Location
from hybrid_sync_cli.deployment.outputs import outputs
from hybrid_sync_cli.errors import CliError


class ConnectionSecret:
    """The one with both ways to the databases."""

    def __init__(self, name: str, session: Session | None = None, **location: Any) -> None:
        self.name = name
        with _readable():
            self.client = (session or Session()).create_client("secretsmanager", **location)

    @classmethod
    def of_stack(cls) -> ConnectionSecret:
        """The one that the chosen stack names."""
        location = Location.chosen()
        # What is kept may be of a stack that was deleted since, whose secret outlives it.
        name = outputs(location, fresh=True)["ConnectionSecret"]
        return cls(name, location.session, region_name=location.region, endpoint_url=location.endpoint or None)

    def held(self) -> dict[str, str]:
        with _readable():
            held: dict[str, str] = json.loads(self.client.get_secret_value(SecretId=self.name)["SecretString"])
        return held

    def held_if_any(self) -> dict[str, str]:
        """`held`, also where somebody has emptied the secret or written something else into it."""
        try:
            return self.held()
        except (ValueError, CliError):
            return {}

    def fill(self, values: dict[str, str]) -> None:
        with _readable():
            self.client.put_secret_value(SecretId=self.name, SecretString=json.dumps(values))


class Secrets:
    """Both secrets of the chosen stack: its connections, and the id secret that is kept apart once it has a value."""

    def __init__(self) -> None:
        self._connections = ConnectionSecret.of_stack()
        self._ids = outputs(Location.chosen())["IdSecret"]

    def held(self) -> dict[str, str]:
        """The values that the functions read: the connection secret, and the id secret from the secret of its own."""
        held = self._connections.held()
        apart = IdSecret(self._ids, self._connections.client).held()
        return held | ({"id_secret": apart or ordered(held["id_secret"])} if apart or held.get("id_secret") else {})

    def bring_back(self, copy: Mapping[str, str]) -> None:
        """The copy's id secret, and what else is missing; CliError for the copy of another deployment."""
        known = self._connections.held_if_any()
        ours = known.get("deployment")
        if ours and ours != copy.get("deployment", ours):
            raise CliError("The copy is another deployment's: name the file that was written for this one.")
        kept = {name: value for name, value in known.items() if value}
        # Whose target it is, `install` says: a stack that takes another one's place has a name of its own.
        lacking = {name: value for name, value in copy.items() if name != "deployment"}
        self._connections.fill({**lacking, **kept, "id_secret": copy["id_secret"]})
        with _readable():
            # Without a token of its own: the same value may have been the current one before.
            self._connections.client.put_secret_value(SecretId=self._ids, SecretString=copy["id_secret"])


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        raise _unreadable(error.response["Error"]["Code"]) from None
    except BotoCoreError as error:
        raise _unreadable(type(error).__name__) from None


def _unreadable(why: str) -> CliError:
    return CliError(f"The secret cannot be read ({why}): check --secret, AWS_REGION and your credentials.")
