"""Something is gone, spoilt, or as it was last week; after each the target is as legacy has it, and ids are kept."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import psutil
import psycopg

from hybrid_sync.ids.cache import DynamoIdCache
from hybrid_sync.ids.guard import epoch_of
from hybrid_sync_cli.deployment.secrets import ConnectionSecret
from hybrid_sync_cli.stack import home
from hybrid_sync_cli.stack.processes import Processes, family
from tests.drills.aws_gone import control_table_deleted, region_lost
from tests.drills.bucket_and_queue import bucket_deleted, bucket_emptied, queue_deleted, queue_emptied
from tests.drills.ground import NotWell
from tests.drills.here import TABLE, carry_here, changed, told
from tests.drills.play import Drill, Night
from tests.drills.restores import legacy_restored, target_restored
from tests.drills.watch import Named
from tests.drills.workers import recycle

ENTITY = "offices"


# --- the id map ------------------------------------------------------------------------------------------------------


def id_map_flipped(night: Night) -> None:
    """Two ids have each other's key, on a page whose seal fits: an error of ours, or somebody who has the secret."""
    ground = night.ground
    stack = ground.stack
    with psycopg.connect(stack.target_dsn, autocommit=True) as target:
        epoch = epoch_of(target, ENTITY)
    secret = ConnectionSecret.of_stack().held()["id_secret"].encode()
    cache = DynamoIdCache(stack.outputs["IdMapTable"], stack.client("dynamodb"), secret)
    (one, its), (other, others) = ground.target(
        f"select legacy_id, id from {ENTITY} where legacy_id is not null order by legacy_id limit 2"
    )
    cache.put(ENTITY, TABLE, epoch, {(one,): others.bytes, (other,): its.bytes})
    if f"wrong: {ENTITY}/{TABLE}:{one}" not in (printed := told("idmap", "check", ENTITY)):
        raise NotWell(f"idmap check does not name it: {printed}")
    changed(ground)
    ground.carry()
    night.person()
    told("idmap", "rebuild", ENTITY)
    if "Every cached id is the target's own." not in (printed := told("idmap", "check", ENTITY)):
        raise NotWell(f"idmap rebuild leaves wrong ids: {printed}")


def id_map_swapped(night: Night) -> None:
    """Each page has the ids of another one, as a table that was brought back under a wrong name: no seal fits."""
    ground = night.ground
    client, table = ground.stack.client("dynamodb"), ground.stack.outputs["IdMapTable"]
    told("idmap", "rebuild")
    pages = client.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
    items = [item for page in pages for item in page["Items"]]
    for item, other in zip(items, [*items[1:], items[0]], strict=True):
        client.put_item(TableName=table, Item={**other, "pk": item["pk"]})
    changed(ground)
    ground.carry()


# --- the secret ------------------------------------------------------------------------------------------------------


def secret_lost(night: Night) -> None:
    """Somebody has written another id secret over it, and every worker is new."""
    ground = night.ground
    stack, copy = ground.stack, home.directory() / "offline.json"
    told("install", "--offline-secret", str(copy))
    client: Any = stack.client("secretsmanager")
    name = stack.outputs["ConnectionSecret"]
    held = json.loads(client.get_secret_value(SecretId=name)["SecretString"])
    client.put_secret_value(SecretId=name, SecretString=json.dumps({**held, "id_secret": "another one"}))
    client.put_secret_value(SecretId=stack.outputs["IdSecret"], SecretString="another one")
    recycle(stack)
    changed(ground)
    ground.clock_strikes()
    night.until_named()
    night.person()
    told("install", "--restore-secret", str(copy))
    ground.carry_at_last()


# --- AWS -------------------------------------------------------------------------------------------------------------


def aws_away(night: Night) -> None:
    """No service of AWS answers any more: a person carries the run out here; then AWS is back, and carries on."""
    ground = night.ground
    copy = home.directory() / "offline.json"
    told("install", "--offline-secret", str(copy))
    changed(ground)
    night.person()
    stopped = _emulator()
    for process in stopped:
        process.suspend()
    try:
        carry_here(ground, copy)
    finally:
        for process in stopped:
            with suppress(psutil.NoSuchProcess):
                process.resume()
    if left := ground.wrong():
        raise NotWell(f"run --here has left: {'; '.join(left[:5])}.")
    changed(ground)
    ground.carry_at_last()


def _emulator() -> list[psutil.Process]:
    """It and all that it has started."""
    server = Processes(home.directory()).recorded("aws")
    if server is None:
        raise NotWell("The emulator does not run.")
    return family(server)


DISASTERS = (
    Drill("id-map-flipped", id_map_flipped),
    Drill("id-map-swapped", id_map_swapped),
    Drill("bucket-emptied", bucket_emptied),
    Drill("queue-emptied", queue_emptied),
    Drill(
        "bucket-deleted", bucket_deleted,
        Named("Data bucket is gone", "hybrid-sync repair", "data bucket is missing", "hybrid-sync repair"),
    ),
    Drill(
        "queue-deleted", queue_deleted,
        Named(
            "Queue of failed records is gone", "hybrid-sync repair",
            "Done without: The queue of failed records is missing", "hybrid-sync repair",
        ),
    ),
    Drill(
        "secret-lost", secret_lost,
        Named("never began", "id secret is not the one", "id secret is not the one", "--restore-secret"),
    ),
    Drill("target-restored", target_restored),
    Drill("legacy-restored", legacy_restored),
    Drill("aws-away", aws_away),
    Drill(
        "control-table-deleted", control_table_deleted,
        Named("control table is missing", "hybrid-sync repair", "control table is gone", "hybrid-sync repair"),
    ),
    Drill("region-lost", region_lost, ends_aws=True),
)  # fmt: skip
