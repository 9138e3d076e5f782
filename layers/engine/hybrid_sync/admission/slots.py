"""The slots: one item of the control table, and the proof that no more than MaxRuns runs are at work.

Who starts a run has first written its job into the item `slots`.  Each write of that item demands that its version is
the one that was read, and makes the next; a claim demands besides that fewer than MaxRuns jobs are in it.  DynamoDB
applies the writes of one item one after the other, so the item never holds more than MaxRuns jobs, whoever writes at
once, late or twice.  That is the first half.  The second: the job of every run that is RUNNING is in the item.

1. An execution is started only under the name of a job that is in the item, and that was marked as admitted since.
   One that was started by hand runs past this, and so does no work: its first state returns only once its job is in the
   item and marked (`entry`), and stands there for as long as it runs, like every other.
2. A job leaves the item only when DescribeExecution has said that its execution is no longer RUNNING, never by a clock;
   or when none will ever begin.  That is so if it was cancelled before it was marked as admitted (one conditional write
   of the job's own item decides which came first); if no such execution can be started by anybody; or if its only
   starter was refused.  That one takes the job off under its own name, and so not where another has taken it over; it
   first puts the job back to wait, and then sees that no execution of this name runs, started by hand.  Whoever is
   let in has seen the job marked: before it was put back, and then the execution is seen, or after it was marked anew.
3. A name is used once: an execution that exists or has ended is not started again.  (A person can redrive one that
   failed, for as long as its run has not been ended in the target, which every step asks: seconds, or until a target
   that was away is back.  Whoever ends that run stops such an execution first.)  So what was claimed twice, started
   twice or started late is one run; and what shall not begin any more is begun and stopped, which uses up the name.
4. A job whose run has ended is marked as ended before it leaves the item.  Who claims has read the item, then that the
   job waits, and writes under the version that was read: a job that was claimed in between has changed it.

Retries of failed records and rollbacks take no slot: neither is an execution, whose end alone could give it back.  The
retries' number is bounded by the queue's event source (template.yaml, MaximumConcurrency), and the runs' own bounds
leave their connections free.  A rollback by a run's policy works within that run, in its slot.  One by a person is a
call of theirs, and the next one when it has answered; it ends the run that it undoes, for which it must not wait, and
holds its entities for itself alone.

A pause is a word in the same item: whoever claims after it has read it.  Retries, which claim nothing, read it before
they do anything (functions/retry_failure), and send their message anew.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from botocore.exceptions import ClientError

from hybrid_sync.admission.job import Line, Waiting
from hybrid_sync.admission.order import Holder, Slots
from hybrid_sync.aws import Client, refusals

KEY = {"pk": {"S": "slots"}}


class SlotStore:
    """The item in the control table (string key `pk`)."""

    def __init__(self, table: str, client: Client) -> None:
        self._table = table
        self._client = client

    def read(self) -> Slots:
        """As the item is now."""
        with refusals("the control table"):
            found = self._client.get_item(TableName=self._table, Key=KEY, ConsistentRead=True)
        item = found.get("Item")
        return Slots() if item is None else _slots(item)

    def claim(self, seen: Slots, job: Waiting, most: int, starter: str) -> bool:
        """Take a slot; False when the item was changed since it was read."""
        holders = {**seen.holders, job.job_id: Holder(job.line, starter)}
        return self._write(seen, replace(seen, holders=holders), most)

    def take_over(self, seen: Slots, job_id: str, starter: str) -> bool:
        """Become the one who starts its job; False when it has left, or somebody has changed the item meanwhile."""
        held = seen.holders.get(job_id)
        if held is None:
            return False
        holders = {**seen.holders, job_id: replace(held, starter=starter)}
        return self._write(seen, replace(seen, holders=holders))

    def free(self, job_id: str, starter: str | None = None) -> None:
        """Give the slot back; with `starter`, only if that one still holds it."""
        while True:
            seen = self.read()
            held = seen.holders.get(job_id)
            if held is None or (starter is not None and held.starter != starter):
                return
            holders = {other: holder for other, holder in seen.holders.items() if other != job_id}
            if self._write(seen, replace(seen, holders=holders)):
                return

    def pause(self, words: str) -> None:
        """From now on nothing is claimed; empty words end that."""
        while not self._write(seen := self.read(), replace(seen, paused=words)):
            pass

    def _write(self, seen: Slots, wanted: Slots, most: int | None = None) -> bool:
        """The conditional write that the proof is about."""
        condition = "version = :seen" if seen.version else "attribute_not_exists(pk)"
        values: dict[str, Any] = {":seen": {"N": str(seen.version)}} if seen.version else {}
        if most is not None and seen.version:
            condition += " and size(holders) < :most"
            values[":most"] = {"N": str(most)}
        given = {"ExpressionAttributeValues": values} if values else {}
        item = _item(replace(wanted, version=seen.version + 1))
        with refusals("the control table"):
            try:
                self._client.put_item(TableName=self._table, Item=item, ConditionExpression=condition, **given)
            except ClientError as error:
                if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                    raise
                return False
        return True


def _item(slots: Slots) -> dict[str, Any]:
    holders = {
        job_id: {"M": {"line": {"S": held.line}, "starter": {"S": held.starter}}}
        for job_id, held in slots.holders.items()
    }
    return {
        **KEY, "version": {"N": str(slots.version)}, "holders": {"M": holders}, "paused": {"S": slots.paused},
    }  # fmt: skip


def _slots(item: dict[str, Any]) -> Slots:
    holders = {
        job_id: Holder(Line(held["M"]["line"]["S"]), held["M"]["starter"]["S"])
        for job_id, held in item["holders"]["M"].items()
    }
    return Slots(int(item["version"]["N"]), holders, item["paused"]["S"])
