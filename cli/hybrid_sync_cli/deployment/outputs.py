"""Where a deployment's parts are: the stack's outputs, kept in a private file for an hour."""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import suppress
from typing import Any

from hybrid_sync_cli.deployment.place import Place, sentences
from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.stack import home

KEPT_SECONDS = 3_600
_FILE = "deployments.json"


def outputs(place: Place, *, fresh: bool = False) -> dict[str, str]:
    """By name; `fresh` asks again, whatever is kept.  CliError for a stack that is none of ours, or not there."""
    if place.known is not None:
        return place.known
    name = _name(place)
    kept: dict[str, Any] = {}
    with suppress(OSError):  # a folder that may not be written, or a full disk: it is asked again the next time
        kept = home.read_json(home.directory() / _FILE)
    if not fresh and name in kept and time.time() - kept[name]["at"] < KEPT_SECONDS:
        return dict(kept[name]["outputs"])
    found = {item["OutputKey"]: item["OutputValue"] for item in described(place).get("Outputs", [])}
    if "ApiUrl" not in found:
        raise CliError(f"The stack {place.stack} in {place.region} is no deployment of hybrid-sync: check --stack.")
    living = {other: one for other, one in kept.items() if time.time() - one["at"] < KEPT_SECONDS}
    with suppress(OSError):
        home.write_private(
            home.directory() / _FILE, json.dumps({**living, name: {"at": time.time(), "outputs": found}})
        )
    return found


def api_url(place: Place, found: dict[str, str]) -> str:
    """The deployed API; an emulator serves it under its own address, as its AWS host name exists on AWS only."""
    if not place.endpoint:
        return found["ApiUrl"]
    return f"{place.endpoint}/_aws/execute-api/{found['ApiId']}/{found.get('ApiStage', 'live')}"


def _name(place: Place) -> str:
    """Stacks of one name in several accounts are told apart by the profile, or by the environment's access key."""
    key = "" if place.profile else place.credentials().access_key
    parts = json.dumps([place.stack, place.region, place.endpoint, place.profile, key])
    return hashlib.sha256(parts.encode()).hexdigest()[:16]


def described(place: Place) -> dict[str, Any]:
    """The stack as CloudFormation describes it now."""
    from botocore.config import Config
    from botocore.parsers import ResponseParserError

    with sentences(place.stack, place.region, place.profile):
        client = place.session.create_client(
            "cloudformation", region_name=place.region, endpoint_url=place.endpoint or None,
            config=Config(connect_timeout=5, read_timeout=20, retries={"mode": "standard", "total_max_attempts": 4}),
        )  # fmt: skip
        try:
            [stack] = client.describe_stacks(StackName=place.stack)["Stacks"]
        except (KeyError, ResponseParserError):  # the page of a network's sign-in, say, with a status of success
            raise CliError(
                "Something that is not AWS answered in its place: look for a proxy, or a network that wants you to"
                " sign in."
            ) from None
    return dict(stack)
