"""What runs leave on their way is gone: what was in the bucket and in the queue, or bucket and queue themselves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.drills.ground import Ground, NotWell
from tests.drills.here import changed, told
from tests.drills.play import Night


def bucket_emptied(night: Night) -> None:
    """Plans, reports, copies: somebody has deleted every object, with all their versions."""
    ground = night.ground
    _empty(ground)
    changed(ground)
    ground.carry()


def bucket_deleted(night: Night) -> None:
    """The bucket itself went with them: a run that comes has no place for its plans."""
    ground = night.ground
    _empty(ground)
    ground.stack.client("s3").delete_bucket(Bucket=ground.stack.outputs["DataBucket"])
    changed(ground)
    ground.clock_strikes()
    night.until_named()
    _made_anew(night, "the data bucket")
    ground.carry_at_last()


def queue_emptied(night: Night) -> None:
    """Somebody has purged the messages about records that had failed."""
    ground = night.ground
    with _refused(ground), ground.nobody_consumes():
        changed(ground)
        ground.ended(ground.clock_strikes())
        ground.stack.client("sqs").purge_queue(QueueUrl=ground.stack.outputs["FailedQueueUrl"])
    ground.carry()


def queue_deleted(night: Night) -> None:
    """The queue itself, and that of what was given up, when records fail."""
    ground = night.ground
    client, outputs = ground.stack.client("sqs"), ground.stack.outputs
    with _refused(ground):
        for queue in ("FailedQueueUrl", "DeadLetterQueueUrl"):
            client.delete_queue(QueueUrl=outputs[queue])
        changed(ground)
        ground.clock_strikes()
        night.until_named()
    _made_anew(night, "the queue of failed records")
    ground.carry()  # not a redrive of all: that would give up what the sample world has failed for good


def _empty(ground: Ground) -> None:
    client, bucket = ground.stack.client("s3"), ground.stack.outputs["DataBucket"]
    for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket):
        for one in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
            client.delete_object(Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"])


def _made_anew(night: Night, part: str) -> None:
    """A person does what page and mail have said."""
    night.person()
    if f"Made anew, and empty: {part}." not in (printed := told("repair")):
        raise NotWell(f"repair does not make {part} anew: {printed}")


@contextmanager
def _refused(ground: Ground) -> Iterator[None]:
    """The target refuses each change of an office."""
    ground.target(_REFUSES)
    try:
        yield
    finally:
        ground.target("drop function refuse_zip() cascade")


_REFUSES = """
create function refuse_zip() returns trigger language plpgsql as $$ begin raise exception 'not today'; end $$;
create trigger refuse before update on offices for each row execute function refuse_zip();
"""
