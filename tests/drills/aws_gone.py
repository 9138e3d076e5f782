"""Parts of AWS are gone for good, with all that was in them: the control table, or a whole region."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import psycopg

from hybrid_sync_cli.deployment.location import Location
from hybrid_sync_cli.deployment.outputs import api_url
from hybrid_sync_cli.stack import ACCESS, STACK_NAME, Stack, home
from hybrid_sync_cli.stack.aws import Aws
from hybrid_sync_cli.stack.deploy import Deployment, Host, outputs
from hybrid_sync_cli.stack.processes import Processes
from tests.drills.ground import Ground, NotWell
from tests.drills.here import carry_here, changed, told
from tests.drills.mailbox import ADDRESSES
from tests.drills.play import Night
from tests.drills.restores import added, ids
from tests.drills.sides import Row

ELSEWHERE = "eu-central-1"
"""The stack of the drills stands in another one."""


def control_table_deleted(night: Night) -> None:
    """Jobs, slots, breakers and tokens are gone; a scheduled run comes, and cannot start."""
    ground = night.ground
    client, table = ground.stack.client("dynamodb"), ground.stack.outputs["ControlTable"]
    client.delete_table(TableName=table)
    changed(ground)
    ground.clock_strikes()
    night.until_named()
    night.person()
    if "Made anew, and empty: the control table." not in (printed := told("repair")):
        raise NotWell(f"repair does not make it anew: {printed}")
    ground.look_anew()
    ground.carry()


def region_lost(night: Night) -> None:
    """A region with everything in it is gone: a person carries a run out here, then another region takes over."""
    ground, copy = night.ground, home.directory() / "offline.json"
    told("install", "--offline-secret", str(copy))
    chain = _chain(ground)
    changed(ground)
    added(ground, 1, "here")
    night.person()
    Aws(Processes(home.directory())).stop()
    carry_here(ground, copy)
    if left := ground.wrong():
        raise NotWell(f"run --here has left: {'; '.join(left[:5])}.")
    known = ids(ground)
    changed(ground)
    added(ground, 1, "anew")
    before = ground.stack.worker_target_dsn
    ground.move(_taken_over(ground.stack, copy))
    ground.carry_at_last()
    if {key: one for key, one in ids(ground).items() if key in known} != known:
        raise NotWell("Rows have other ids than run --here has given them.")
    _require_chain(ground, chain)
    _require_closed(before)


# --- another region --------------------------------------------------------------------------------------------------


def _taken_over(lost: Stack, copy: Path) -> Stack:
    """The stack in another region, once it has the id secret, the databases, and has passed its check."""
    stack = _deployed(lost)
    with _as_on_aws(stack):
        told("--stack", STACK_NAME, "install", "--restore-secret", str(copy))
        told("--stack", STACK_NAME, "install", "--new-password")
        if "has passed" not in (printed := told("--stack", STACK_NAME, "check")):
            raise NotWell(f"The new region does not pass its check: {printed}")
    return stack


def _deployed(lost: Stack) -> Stack:
    """A first deployment, of which nobody has told the databases, nor whose ids it is to go on with."""
    processes, project = Processes(home.directory()), home.project_root()
    aws = Aws(processes, strict=True, region=ELSEWHERE)
    aws.start(project / ".venv-stack" / "bin" / "python", None)
    Deployment(project, processes.home / "sam", Host.this(), True, ADDRESSES, ELSEWHERE).deploy(aws.endpoint)
    stack = replace(lost, aws_endpoint_url=aws.endpoint, region=ELSEWHERE, outputs=outputs(aws.endpoint, ELSEWHERE))
    stack = replace(stack, api_url=api_url(Location.here(stack), stack.outputs))
    stack.save()
    return stack


@contextmanager
def _as_on_aws(stack: Stack) -> Iterator[None]:
    """Commands find the deployment by its name, and both databases as their owners know them."""
    given = {
        **ACCESS, "AWS_REGION": stack.region, "AWS_ENDPOINT_URL": stack.aws_endpoint_url,
        "HYBRID_SYNC_TARGET_DSN": stack.target_dsn, "HYBRID_SYNC_LEGACY_DSN": stack.worker_legacy_dsn,
    }  # fmt: skip
    with patch.dict("os.environ", given):
        yield


def _chain(ground: Ground) -> list[Row]:
    """The audit trail's lines, each by its hash."""
    return ground.target("select audit_id, chained from hybrid_sync.audit order by audit_id")


def _require_chain(ground: Ground, before: list[Row]) -> None:
    """NotWell unless the trail goes on where it was, and names the run that went without a slot."""
    if _chain(ground)[: len(before)] != before:
        raise NotWell("Lines of the audit trail are not what they were.")
    if not ground.target("select 1 from hybrid_sync.audit where command = 'run-here' and what->>'override_lease' > ''"):
        raise NotWell("The audit trail does not name run --here.")
    if "lines are as they were written" not in (printed := told("audit", "verify")):
        raise NotWell(f"audit verify: {printed}")


def _require_closed(worker: str) -> None:
    """NotWell where the lost region would still be let in, should it come back."""
    try:
        psycopg.connect(worker, connect_timeout=10).close()
    except psycopg.OperationalError:
        return
    raise NotWell("The target still lets the lost region in.")
