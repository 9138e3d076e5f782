"""Where a deployment's parts are: the stack's outputs, kept in a private file for an hour."""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import suppress
from typing import Any

from hybrid_sync_cli.deployment.location import Location, sentences
from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.stack import home

KEPT_SECONDS = 3_600
_FILE = "deployments.json"


def outputs(location: Location, *, fresh: bool = False) -> dict[str, str]:
    """By name; `fresh` asks again, whatever is kept.  CliError for a stack that is none of ours, or not there."""
    if location.known is not None:
        return location.known
    name = _name(location)
    kept: dict[str, Any] = {}
    with suppress(OSError):  # a folder that may not be written, or a full disk: it is asked again the next time
        kept = home.read_json(home.directory() / _FILE)
    if not fresh and name in kept and time.time() - kept[name]["at"] < KEPT_SECONDS:
        return dict(kept[name]["outputs"])
    found = {item["OutputKey"]: item["OutputValue"] for item in described(location).get("Outputs", [])}
    if "ApiUrl" not in found:
        raise CliError(
            f"The stack {location.stack} in {location.region} is no deployment of hybrid-sync: check --stack."
        )
    living = {other: one for other, one in kept.items() if time.time() - one["at"] < KEPT_SECONDS}
    with suppress(OSError):
        home.write_private(
            home.directory() / _FILE, json.dumps({**living, name: {"at": time.time(), "outputs": found}})
        )
    return found


def api_url(location: Location, found: dict[str, str]) -> str:
    """The deployed API; an emulator serves it under its own address, as its AWS host name exists on AWS only."""
    if not location.endpoint:
        return found["ApiUrl"]
    return f"{location.endpoint}/_aws/execute-api/{found['ApiId']}/{found.get('ApiStage', 'live')}"


def _name(location: Location) -> str:
    """Stacks of one name in several accounts are told apart by the profile, or by the environment's access key."""
    key = "" if location.profile else location.credentials().access_key
    parts = json.dumps([location.stack, location.region, location.endpoint, location.profile, key])
    return hashlib.sha256(parts.encode()).hexdigest()[:16]


def described(location: Location) -> dict[str, Any]:
    """The stack as CloudFormation describes it now."""
    from botocore.config import Config
    from botocore.parsers import ResponseParserError

    with sentences(location.stack, location.region, location.profile):
        client = location.session.create_client(
            "cloudformation", region_name=location.region, endpoint_url=location.endpoint or None,
            config=Config(connect_timeout=5, read_timeout=20, retries={"mode": "standard", "total_max_attempts": 4}),
        )  # fmt: skip
        try:
            [stack] = client.describe_stacks(StackName=location.stack)["Stacks"]
        except (KeyError, ResponseParserError):  # the page of a network's sign-in, say, with a status of success
            raise CliError(
                "Something that is not AWS answered in its place: look for a proxy, or a network that wants you to"
                " sign in."
            ) from None
    return dict(stack)
