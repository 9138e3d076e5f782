"""Failed records on their way to a retry: the queue carries keys, the records are listed in the target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from hybrid_sync.aws import Client, refusals
from hybrid_sync.contracts import FailureMessage
from hybrid_sync.errors import AwsUnavailable
from hybrid_sync.retries import RECORD

_ENTRIES = 10
_REQUEST_BYTES = 256 * 1024
_LONGEST_DELAY = 900
"""Of a message that is sent, by SQS."""
_HELD_BACK = 120
"""Seconds until a message is looked at again that nobody may work on: so long retries wait after `resume`."""


class SqsFailureQueue:
    """The queue of failed records; each retry waits twice as long, beginning with `retry_delay_seconds`."""

    def __init__(self, url: str, client: Client, *, retry_delay_seconds: float = RECORD.first_delay) -> None:
        self._url = url
        self._client = client
        self._retry = replace(RECORD, first_delay=retry_delay_seconds)

    def send(self, messages: Sequence[FailureMessage]) -> None:
        """Send all or raise AwsUnavailable; sending some twice is harmless, since a retry re-reads legacy."""
        for at_once in (False, True):
            delay = {"DelaySeconds": 0} if at_once else {}
            self._send([message.model_dump_json() for message in messages if message.at_once is at_once], delay)

    def put_off(self, message: FailureMessage) -> None:
        """Send a message that met an outage anew, each time twice as far off: its deliveries are counted from one."""
        again = message.model_copy(update={"at_once": False, "outages": message.outages + 1})
        seconds = int(min(self._retry.delay(again.outages), _LONGEST_DELAY))
        self._send([again.model_dump_json()], {"DelaySeconds": seconds})

    def hold_back(self, message: FailureMessage) -> None:
        """Send a message anew that may not be worked on now: neither its deliveries nor its delays count on."""
        self._send([message.model_dump_json()], {"DelaySeconds": _HELD_BACK})

    def _send(self, bodies: Sequence[str], delay: Mapping[str, int]) -> None:
        with refusals("the queue of failed records"):
            for chunk in _requests(bodies):
                entries = [{"Id": str(i), "MessageBody": body, **delay} for i, body in enumerate(chunk)]
                answer = self._client.send_message_batch(QueueUrl=self._url, Entries=entries)
                rejected = {entry["Id"] for entry in answer.get("Failed", ())}
                again = [entry for entry in entries if entry["Id"] in rejected]
                if again:
                    answer = self._client.send_message_batch(QueueUrl=self._url, Entries=again)
                    if answer.get("Failed"):
                        raise AwsUnavailable("SQS did not take all messages about failed records.")

    def length(self) -> int:
        """Messages in it: ready, delayed and at work; SQS counts them roughly."""
        names = [f"ApproximateNumberOfMessages{part}" for part in ("", "Delayed", "NotVisible")]
        with refusals("the queue of failed records"):
            counts = self._client.get_queue_attributes(QueueUrl=self._url, AttributeNames=names)["Attributes"]
        return sum(int(counts[name]) for name in names)

    def postpone(self, receipt_handle: str, receive_count: int) -> None:
        """Hide a message that failed for the `receive_count`-th time, each time twice as long as before."""
        with refusals("the queue of failed records"):
            self._client.change_message_visibility(
                QueueUrl=self._url,
                ReceiptHandle=receipt_handle,
                VisibilityTimeout=int(self._retry.delay(receive_count)),
            )


def _requests(bodies: Sequence[str]) -> list[list[str]]:
    """Cut into requests of at most ten messages and 256 KiB, SQS's limits."""
    requests: list[list[str]] = [[]]
    size = 0
    for body in bodies:
        length = len(body.encode())
        if len(requests[-1]) == _ENTRIES or size + length > _REQUEST_BYTES:
            requests.append([])
            size = 0
        requests[-1].append(body)
        size += length
    return [request for request in requests if request]
