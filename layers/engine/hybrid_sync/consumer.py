"""The border of the queue functions: one message that fails comes back alone, later each time."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from pydantic import BaseModel

from hybrid_sync.entrypoint import (
    CallRecorder,
    Context,
    Event,
    Handler,
    correlate,
    error_sentence,
    logger,
    measured,
    parsed,
    raised_at,
    report_call,
)
from hybrid_sync.errors import RequestRejected, spares_rows
from hybrid_sync.metering import Stopwatch

M = TypeVar("M", bound=BaseModel)


def each_message(
    message: type[M], *, postpone: Callable[[str, int], None], put_off: Callable[[M], None] | None = None,
    hold_back: Callable[[M], str] | None = None, record_call: CallRecorder | None = None,
) -> Callable[[Callable[[M], Any]], Handler]:  # fmt: skip
    """Make a function of one message the consumer of a queue.

    A message whose call raises stays in the queue; `postpone(receipt_handle, receive_count)` delays it.  One that met
    an outage, or a deployment that has to be mended, is not to blame: `put_off` sends it anew, so that it costs none of
    its deliveries, and this one is done.
    `hold_back` is asked before anything is done: where it says why not, it has sent the message anew.
    `record_call` is as in `entrypoint.step`.
    """

    def decorate(call: Callable[[M], Any]) -> Handler:
        def handler(event: Event, context: Context) -> Any:
            watch = Stopwatch()
            heard: list[M] = []

            def one(record: SQSRecord) -> None:  # powertools passes it by this name
                given = None
                try:
                    given = _message(message, record.body)
                    correlate(given)
                    if hold_back is not None and (why := hold_back(given)):
                        logger.info("message held back", extra={"message_id": record.message_id, "why": why})
                        return
                    heard.append(given)
                    call(given)
                except Exception as error:
                    _log(error, record.message_id)
                    if put_off is not None and given is not None and spares_rows(error):
                        put_off(given)
                        return
                    postpone(record.receipt_handle, int(record.attributes.approximate_receive_count))
                    raise

            processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
            with measured(context):
                answer = process_partial_response(
                    event=event,
                    record_handler=one,
                    processor=processor,
                    context=context,  # type: ignore[arg-type]
                )
            report_call(record_call, heard, context, watch)
            return answer

        return handler

    return decorate


def all_messages(
    message: type[M], *, record_call: CallRecorder | None = None
) -> Callable[[Callable[[Sequence[M], int], None]], Handler]:
    """Make a function of several messages the consumer of a queue, called once for all that came together.

    It also gets the number of bodies that were no such messages: they go when it returns, as the others do.
    """

    def decorate(call: Callable[[Sequence[M], int], None]) -> Handler:
        def handler(event: Event, context: Context) -> Any:
            watch = Stopwatch()
            good: list[M] = []
            junk = 0
            with measured(context):
                for record in event["Records"]:
                    try:
                        good.append(_message(message, record["body"]))
                    except RequestRejected as error:
                        _log(error, record["messageId"])
                        junk += 1
                call(good, junk)
            report_call(record_call, good, context, watch)
            return {"batchItemFailures": []}

        return handler

    return decorate


def _message(message: type[M], body: str) -> M:
    try:
        content = json.loads(body)
    except ValueError:
        raise RequestRejected("The message is not JSON.", "Send what FailureMessage describes.") from None
    return parsed(message, content)


def _log(error: Exception, message_id: str) -> None:
    logger.warning(
        "message failed",
        extra={"message_id": message_id, "error": error_sentence(error)[0], "raised_at": raised_at(error)},
    )
