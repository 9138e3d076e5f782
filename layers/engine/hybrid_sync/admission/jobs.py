"""The jobs in the control table: one item each, and an index by state and place.

They are in DynamoDB because the target may be away when one is accepted.  The index is a moment late on AWS, so it only
proposes: whatever a decision rests on is read from, and written to, the job's own item under a condition.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from hybrid_sync.admission.job import Job, JobState, Waiting, read, written
from hybrid_sync.admission.startable import read_stored, stored
from hybrid_sync.aws import Client, refusals

INDEX = "state-place"
_PREFIX = "job/"
KEPT = timedelta(days=90)
"""How long an ended job is kept; Step Functions knows an execution's name as long."""
MOST_MERGED = 500
"""Jobs that one answers for; an item has its limits."""
_OTHER_VERSION = (
    "Another version accepted it and asks for what this one does not know: deploy that version again, or cancel it."
)
Values = Mapping[str, str | Sequence[str]]
NOTHING: Values = {}


class JobStore:
    """Items `job/<id>` of a table with the string key `pk` and the index INDEX (`state`, `place`)."""

    def __init__(self, table: str, client: Client) -> None:
        self._table = table
        self._client = client

    def get(self, job_id: str) -> Job | None:
        """The job as it is now."""
        with refusals("the control table"):
            found = self._client.get_item(TableName=self._table, Key=_key(job_id), ConsistentRead=True)
        return stored_job(found["Item"]) if "Item" in found else None

    def put(self, job: Job) -> bool:
        """Store a new job; False where its id is known."""
        with refusals("the control table"):
            try:
                self._client.put_item(
                    TableName=self._table, Item=_item(job), ConditionExpression="attribute_not_exists(pk)"
                )
            except ClientError as error:
                _require_condition(error)
                return False
        return True

    def waiting(self) -> list[Waiting]:
        """Who waits, in the order of their places, as far as the index knows."""
        return [_waiting(item) for item in self._listed(JobState.waiting)]

    def ids(self, state: JobState) -> list[str]:
        """The jobs in a state, as far as the index knows."""
        return [_id(item) for item in self._listed(state)]

    def later(self) -> list[Waiting]:
        """Jobs whose time has not come, the next first, as far as the index knows."""
        return [_waiting(item) for item in self._listed(JobState.later)]

    def newest(self, state: JobState, line: str) -> str | None:
        """The job of a line that has the latest place of those in a state, as far as the index knows."""
        with refusals("the control table"):
            found = self._client.query(
                TableName=self._table, IndexName=INDEX, ScanIndexForward=False, Limit=1,
                KeyConditionExpression="#state = :state and begins_with(place, :line)",
                ExpressionAttributeNames={"#state": "state"},
                ExpressionAttributeValues={":state": {"S": str(state)}, ":line": {"S": line}},
            )  # fmt: skip
        return next((_id(item) for item in found["Items"]), None)

    def wake(self, job_id: str) -> bool:
        """Let a job whose time has come wait for its turn; False where it was woken or dropped already."""
        return self._set(job_id, {"state": JobState.waiting, "why": ""}, (JobState.later,))

    def drop(self, job_id: str, now: datetime, why: str) -> bool:
        """Nobody needs it any more, or it is too late; False where it has begun or ended, or answers for others."""
        ended: Values = {
            "state": JobState.cancelled, "outcome": JobState.cancelled, "ended_at": written(now), "why": why
        }  # fmt: skip
        return self._set(job_id, ended, (JobState.later, JobState.waiting), {"merged": ()}, now + KEPT)

    def mark_admitted(self, job_id: str, starter: str) -> bool:
        """The last word before an execution is started; False where the job has been cancelled or has ended."""
        return self._set(
            job_id, {"state": JobState.admitted, "starter": starter, "why": ""}, (JobState.waiting, JobState.admitted)
        )

    def wait_again(self, job_id: str, starter: str, why: str) -> bool:
        """Put a job whose start was refused back into the queue; False where another starter has it."""
        return self._set(job_id, {"state": JobState.waiting, "why": why}, (JobState.admitted,), {"starter": starter})

    def ask_cancel(self, job_id: str, who: str) -> bool:
        """Mark an admitted job as cancelled: the next one who looks at its execution stops it."""
        return self._set(job_id, {"cancelled_by": who}, (JobState.admitted,))

    def end(self, job_id: str, outcome: str, now: datetime, why: str = "", *, settled: bool) -> None:
        """Its execution has ended, or will never begin; once `settled` there is nothing left to look after."""
        state = JobState(outcome) if settled else JobState.ending
        ended: Values = {"state": state, "outcome": outcome, "ended_at": written(now), **({"why": why} if why else {})}
        self._set(job_id, ended, (JobState.waiting, JobState.admitted, JobState.ending), forget=now + KEPT)

    def end_merged(self, job_id: str, outcome: str, now: datetime) -> None:
        """The job that answers for this one has ended."""
        ended: Values = {"state": JobState(outcome), "outcome": outcome, "ended_at": written(now)}
        self._set(job_id, ended, (JobState.merged,), forget=now + KEPT)

    def merge(self, into: Waiting, job: Job) -> bool:
        """Let a job that still waits answer for a new one, too, and give it the better place; False if it does not.

        Who is admitted reads legacy later than this write, and so later than whatever the new one was sent for.
        """
        current = self.get(into.job_id)
        if current is None or current.state is not JobState.waiting or len(current.merged) >= MOST_MERGED:
            return False
        merged = tuple(dict.fromkeys((*current.merged, job.job_id)))
        values: Values = {"merged": merged, "place": min(current.place, job.place)}
        if not self._set(into.job_id, values, (JobState.waiting,), {"merged": current.merged}):
            return False
        self.put(replace(job, state=JobState.merged, into=into.job_id))
        return True

    def part(self, job_id: str) -> None:
        """A merged job waits for itself again."""
        self._set(job_id, {"state": JobState.waiting, "into": ""}, (JobState.merged,))

    def cancel(self, job: Job, who: str, now: datetime) -> bool:
        """End a job that nobody may start any more; False where it has changed since it was read."""
        values: Values = {
            "state": JobState.cancelled, "outcome": JobState.cancelled, "cancelled_by": who, "ended_at": written(now)
        }  # fmt: skip
        states = (JobState.later, JobState.waiting, JobState.merged)
        return self._set(job.job_id, values, states, {"merged": job.merged}, now + KEPT)

    def _set(
        self, job_id: str, values: Values, states: Sequence[JobState], same: Values = NOTHING,
        forget: datetime | None = None,
    ) -> bool:  # fmt: skip
        """Set these if the job is in one of the states and has `same` as it was."""
        given = {f":{name}": _value(value) for name, value in values.items()}
        given |= {f":was_{name}": _value(value) for name, value in same.items()}
        given |= {f":state{n}": {"S": str(state)} for n, state in enumerate(states)}
        conditions = [f"#state in ({', '.join(f':state{n}' for n, _ in enumerate(states))})"]
        conditions += [f"#{name} = :was_{name}" for name in same]
        sets = [f"#{name} = :{name}" for name in values]
        if forget is not None:
            sets.append("forget_at = :forget_at")
            given[":forget_at"] = {"N": str(int(forget.timestamp()))}
        with refusals("the control table"):
            try:
                self._client.update_item(
                    TableName=self._table, Key=_key(job_id), UpdateExpression=f"set {', '.join(sets)}",
                    ConditionExpression=" and ".join(conditions), ExpressionAttributeValues=given,
                    ExpressionAttributeNames={f"#{name}": name for name in {"state", *values, *same}},
                )  # fmt: skip
            except ClientError as error:
                _require_condition(error)
                return False
        return True

    def _listed(self, state: JobState) -> list[dict[str, Any]]:
        with refusals("the control table"):
            pages = self._client.get_paginator("query").paginate(
                TableName=self._table, IndexName=INDEX, KeyConditionExpression="#state = :state",
                ExpressionAttributeNames={"#state": "state"}, ExpressionAttributeValues={":state": {"S": str(state)}},
            )  # fmt: skip
            return [item for page in pages for item in page["Items"]]


def _require_condition(error: ClientError) -> None:
    """What is not a failed condition is a failure."""
    if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
        raise error


def _key(job_id: str) -> dict[str, Any]:
    return {"pk": {"S": _PREFIX + job_id}}


def _id(item: Mapping[str, Any]) -> str:
    return str(item["pk"]["S"]).removeprefix(_PREFIX)


def _value(value: str | Sequence[str]) -> dict[str, Any]:
    return {"S": str(value)} if isinstance(value, str) else {"L": [{"S": one} for one in value]}


def _item(job: Job) -> dict[str, Any]:
    texts: Values = {
        "state": job.state, "place": job.place, "accepted_at": written(job.accepted_at), "work": job.work,
        "caller": job.caller, "request": stored(job.request), "merged": job.merged, "into": job.into,
        "why": job.why, **({"until": written(job.until)} if job.until else {}),
    }  # fmt: skip
    return _key(job.job_id) | {name: _value(value) for name, value in texts.items()}


def _waiting(item: Mapping[str, Any]) -> Waiting:
    text = {name: str(value["S"]) for name, value in item.items() if "S" in value}
    return Waiting(_id(item), text["place"], read(text["accepted_at"]), text["work"], text["caller"])


def stored_job(item: Mapping[str, Any]) -> Job:
    """What `put` and its changes have made of an item."""
    text = {name: str(value["S"]) for name, value in item.items() if "S" in value}
    request, understood = read_stored(text["request"])
    return Job(
        **vars(_waiting(item)),
        request=request,
        understood=understood,
        state=JobState(text["state"]),
        merged=tuple(str(one["S"]) for one in item["merged"]["L"]),
        ended_at=read(text["ended_at"]) if "ended_at" in text else None,
        starter=text.get("starter", ""),
        into=text["into"],
        outcome=text.get("outcome", ""),
        cancelled_by=text.get("cancelled_by", ""),
        why=text.get("why", "") if understood else _OTHER_VERSION,
        until=read(text["until"]) if "until" in text else None,
    )
