"""`hybrid-sync idmap` on the deployed stack: wrong ids are found, the cache is filled anew, lost rows get their ids."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable

import psycopg
import pytest

from hybrid_sync.ids.cache import DynamoIdCache
from hybrid_sync.ids.guard import epoch_of
from hybrid_sync_cli.stack import Stack
from tests.cli.conftest import Said, say
from tests.stack.world import fill

ENTITY, SOURCE = "operations", "dispatch_operation"
Ask = Callable[[str], Said]


@pytest.fixture(scope="module")
def synced(deployed: Stack) -> list[int]:
    """A stack that has synced; filled by the first test that asks."""
    fill(deployed)
    return []


@pytest.fixture
def ask(synced: list[int], capsys: pytest.CaptureFixture[str]) -> Ask:
    def said(line: str) -> Said:
        found = say(capsys, *line.split())
        assert "Traceback" not in found.err
        return found

    if not synced:
        synced.append(said("sync --profile weekly").status)
        assert synced in ([0], [3])  # some of the sample's rows cannot be carried
    return said


def ids(stack: Stack) -> dict[int, uuid.UUID]:
    with psycopg.connect(stack.target_dsn) as target:
        return dict(target.execute("select legacy_id, id from operations where legacy_id is not null").fetchall())


def counted(ask: Ask) -> dict[str, int]:
    [found] = json.loads(ask(f"idmap check {ENTITY} --json").out)
    return {name: found[name] for name in ("rows", "cached", "wrong", "unsealed")}


def cache(stack: Stack) -> tuple[DynamoIdCache, int]:
    """The deployment's own cache, as whoever has its secret could write it; and the epoch."""
    held = stack.client("secretsmanager").get_secret_value(SecretId=stack.outputs["ConnectionSecret"])["SecretString"]
    secret = json.loads(held)["id_secret"].encode()
    with psycopg.connect(stack.target_dsn) as target:
        epoch = epoch_of(target, ENTITY)
    return DynamoIdCache(stack.outputs["IdMapTable"], stack.client("dynamodb"), secret), epoch


def test_a_wrong_id_is_named_and_rebuilt_from_the_target(deployed: Stack, ask: Ask) -> None:
    rows, (writer, epoch) = ids(deployed), cache(deployed)
    key, other = list(rows)[:2]
    writer.put(ENTITY, SOURCE, epoch, {(key,): rows[other].bytes})

    said = ask(f"idmap check {ENTITY}")

    assert said.status == 1
    assert f"wrong: {ENTITY}/{SOURCE}:{key}\n" in said.out
    assert said.out.endswith(f"Fill it anew with: hybrid-sync idmap rebuild {ENTITY}\n")
    assert ask(f"idmap rebuild {ENTITY}").out == f"{len(rows):,} ids are cached.\n"
    assert counted(ask) == {"rows": len(rows), "cached": len(rows), "wrong": 0, "unsealed": 0}


def test_a_page_that_somebody_else_has_written_is_counted_and_not_believed(deployed: Stack, ask: Ask) -> None:
    ask(f"idmap rebuild {ENTITY}")
    rows, (_, epoch) = ids(deployed), cache(deployed)
    page = f"{ENTITY}/{SOURCE}/{epoch}/{next(iter(rows)) // 500}"
    deployed.client("dynamodb").update_item(
        TableName=deployed.outputs["IdMapTable"], Key={"pk": {"S": page}},
        UpdateExpression="set ids = :ids", ExpressionAttributeValues={":ids": {"B": bytes(8000)}},
    )  # fmt: skip

    found = counted(ask)

    assert (found["wrong"], found["unsealed"]) == (0, 1)
    assert found["cached"] < found["rows"] == len(rows)


def test_rows_that_the_target_has_lost_return_with_the_ids_of_the_backup(deployed: Stack, ask: Ask) -> None:
    lost, kept = list(ids(deployed))[:2]
    own = uuid.uuid4()
    with psycopg.connect(deployed.target_dsn) as owner:  # an id that nothing could derive, as an adopted row has it
        owner.execute("update operations set id = %s where legacy_id = %s", (own, lost))
    before = ids(deployed)
    made = re.fullmatch(r"Backup (\S+) has [\d,]+ ids\.\n", ask("idmap backup").out)
    assert made and made[1] == ask("idmap backups").out.split()[0]
    moved = uuid.uuid4()
    with psycopg.connect(deployed.target_dsn) as owner:
        owner.execute("delete from operations where legacy_id = %s", (lost,))
        owner.execute("update operations set id = %s where legacy_id = %s", (moved, kept))

    said = ask(f"idmap restore {made[1]} {ENTITY}")

    assert said.status == 0
    row = re.search(rf"{ENTITY} +([\d,]+) +([\d,]+) +(\d+) +(\d+)", said.out)
    assert row and row.groups() == (f"{len(before):,}", f"{len(before) - 2:,}", "1", "1")
    assert ask(f"sync --entity {ENTITY} --profile weekly").status in (0, 3)
    assert ids(deployed) == {**before, kept: moved}


def test_a_backup_that_was_not_completed_is_none(deployed: Stack, ask: Ask) -> None:
    name = "20261129T010000-4fc1d2"
    key = f"idmap/{name}/{ENTITY}/{SOURCE}/000000.gz"
    deployed.client("s3").put_object(Bucket=deployed.outputs["DataBucket"], Key=key, Body=b"")

    said = ask(f"idmap restore {name}")

    assert (said.status, said.out) == (1, "")
    assert f"There is no complete backup {name} of the id map." in said.err
    assert name not in ask("idmap backups").out


def test_a_table_that_somebody_has_deleted_is_named_and_made_anew_and_filled(deployed: Stack, ask: Ask) -> None:
    table, dynamodb = deployed.outputs["IdMapTable"], deployed.client("dynamodb")
    made = dynamodb.describe_table(TableName=table)["Table"]
    assert ask("repair").out == "Nothing is missing: both tables, both queues and the bucket are there.\n"
    dynamodb.delete_table(TableName=table)
    try:
        said = ask(f"idmap check {ENTITY}")
        assert said.status != 0
        assert "is missing (ResourceNotFoundException)." in said.err
        assert "hybrid-sync repair" in said.err
        seen = json.loads(ask("watch --once --json").out)
        [need] = [one for one in seen["needs"] if one["subject"] == "Id map"]
        assert (need["title"], need["command"]) == ("Id map is gone", "hybrid-sync repair")
    finally:
        said = ask("repair")
    assert said.out.startswith("Made anew, and empty: the id map's table. ")
    again = dynamodb.describe_table(TableName=table)["Table"]
    assert [again[part] for part in ("KeySchema", "AttributeDefinitions")] == [
        made[part] for part in ("KeySchema", "AttributeDefinitions")
    ]
    assert ask(f"idmap rebuild {ENTITY}").status == 0
    assert counted(ask)["cached"] == len(ids(deployed))
