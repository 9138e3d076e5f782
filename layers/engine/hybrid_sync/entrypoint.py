"""The border of every function: parse, call, return; log facts, measure, and let four error names out.

Nothing that a database or AWS says in an error text passes: it may quote a cell.  A SyncError passes with its
code, sentence and remedy; any other exception with its class, and the log adds where it was raised.
"""

from __future__ import annotations

import functools
import resource
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

from aws_lambda_powertools import Logger, Metrics
from pydantic import BaseModel, ValidationError

from hybrid_sync.errors import (
    AwayError,
    PermanentError,
    RequestRejected,
    SyncError,
    TargetUnavailable,
    ThrottledError,
    TransientError,
)
from hybrid_sync.metering import METER, MeasuredCall, Stopwatch
from hybrid_sync.timing import CLOCK

M = TypeVar("M", bound=BaseModel)
Event = dict[str, Any]
Handler = Callable[[Event, "Context"], Any]

TICK: Event = {"keep_warm": True}
_TYPES = {"int", "str", "bool", "float"}

logger = Logger(service="hybrid-sync")
metrics = Metrics(namespace="HybridSync", service="hybrid-sync")


class Context(Protocol):
    """What we use of Lambda's context object."""

    @property
    def function_name(self) -> str: ...

    @property
    def memory_limit_in_mb(self) -> int | str: ...

    @property
    def log_stream_name(self) -> str: ...


class CallRecorder(Protocol):
    """Called after a call for a run with what it has used; `now`, or when it suits."""

    def __call__(self, call: MeasuredCall, *, now: bool) -> None: ...


def _nothing() -> None: ...


def step(
    message: type[M], *, name: str = "", record_call: CallRecorder | None = None,
    end_call: Callable[[], None] = _nothing,
) -> Callable[[Callable[[M], BaseModel | None]], Handler]:  # fmt: skip
    """Make a function of one message a Lambda handler whose result is plain JSON.

    `record_call` keeps what each call has used; its failure is logged and fails nothing.  `name` is the step's.
    `end_call` comes last, whatever became of the call.
    """

    from hybrid_sync.transitions import is_state, led_to  # what only steps need

    message.model_rebuild()  # the first message would else wait for it

    def decorate(call: Callable[[M], BaseModel | None]) -> Handler:
        @functools.wraps(call)
        def handler(event: Event, context: Context) -> Any:
            watch = Stopwatch()
            given: M | None = None
            states = 0
            reachable = True
            try:
                with measured(context):
                    given = parsed(message, event)
                    correlate(given)
                    states = is_state(given)
                    try:
                        result = call(given)
                    except SyncError as error:
                        # Whatever is away or has to be spared, another connection is one too many.
                        reachable = not (error.away or error.throttled or isinstance(error, TargetUnavailable))
                        raise
                    states += led_to(name, given, result)
            finally:
                report_call(record_call, [given] if given else [], context, watch, states, now=reachable)
                end_call()
            logger.info("step done", extra=_counts(result))
            return None if result is None else result.model_dump(mode="json")

        return handler

    return decorate


def kept_warm(get_ready: Callable[[], object]) -> Callable[[Handler], Handler]:
    """Let a handler answer the tick of the schedule that keeps its worker alive, by getting ready for a request.

    A tick leaves no metric, which would be paid for in every hour, and never fails: a request will say what is wrong.
    """

    def decorate(handler: Handler) -> Handler:
        @functools.wraps(handler)
        def answering(event: Event, context: Context) -> Any:
            if event != TICK:
                return handler(event, context)
            with suppress(SyncError):
                get_ready()
            return None

        return answering

    return decorate


@contextmanager
def measured(context: Context) -> Iterator[None]:
    """Count and name what happens within: every failure leaves under one of four names."""
    correlate(None)
    logger.append_keys(function=context.function_name)
    try:
        yield
    except Exception as error:  # noqa: BLE001 - the border: every failure leaves under one of four names
        sentence, transient = error_sentence(error)
        logger.error("step failed", extra={"error": sentence, "transient": transient, "raised_at": raised_at(error)})
        measure({"TransientFailures" if transient else "PermanentFailures": 1})
        raise name_of(error)(sentence) from None
    finally:
        if metrics.metric_set:
            metrics.add_dimension("service", _deployment(context.function_name))
            metrics.flush_metrics()


def measure(values: Mapping[str, float]) -> None:
    """Write numbers of the table `measures` with this call; nobody pays for what is not written."""
    from hybrid_sync.measures import BY_NAME  # what few calls need

    for name, value in values.items():
        metrics.add_metric(name, BY_NAME[name].unit, value)


def _deployment(function_name: str) -> str:
    """The stack's name, behind which a function is called by two words."""
    return function_name.rsplit("-", 2)[0]


def correlate(given: BaseModel | None) -> None:
    """From here on each line of the log says of which run, entity and batch it is; None forgets them."""
    logger.remove_keys(["run_id", "entity", "batch"])
    keys = {name: str(value) for name in ("run_id", "entity") if (value := getattr(given, name, None))}
    if (lo := getattr(given, "lo", None)) is not None:
        keys["batch"] = f"{getattr(given, 'source', '')} {lo}..{getattr(given, 'hi', None)}"
    logger.append_keys(**keys)


def parsed(message: type[M], event: object) -> M:
    """The event as a message; RequestRejected names the fields that do not fit, never their values."""
    try:
        return message.model_validate(event)
    except ValidationError as error:
        raise RequestRejected(problems_of(error), "Correct it and send it again.") from None


def problems_of(error: ValidationError) -> str:
    """One sentence: each wrong field and what is wrong with it."""
    first: dict[str, str] = {}
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        # A union reports each of its members, named by type; one complaint about the field is enough.
        path = ".".join(str(part) for part in problem["loc"] if str(part) not in _TYPES and "[" not in str(part))
        if problem["type"] == "too_short" and any(known.startswith(f"{path}.") for known in first):
            continue  # it is too short only without those parts of it that do not fit
        # JSON knows lists and no tuples.
        text = problem["msg"].removeprefix("Value error, ").replace("valid tuple", "valid list")
        first.setdefault(path, text.replace("Tuple should", "List should"))
    return "; ".join(f"{path}: {text}" if path else text for path, text in first.items()) + "."


def error_sentence(error: Exception) -> tuple[str, bool]:
    """`code: sentence remedy` of an error, and whether trying again can help."""
    if isinstance(error, SyncError):
        return f"{error.code}: {error}", error.transient
    return f"unexpected: {_in_a_function(error) or type(error).__name__}", _connection_lost(error)


def name_of(error: Exception) -> type[Exception]:
    """The name under which an error leaves."""
    if not isinstance(error, SyncError):
        return TransientError if _connection_lost(error) else PermanentError
    if not error.transient:
        return PermanentError
    if error.away:
        return AwayError
    return ThrottledError if error.throttled else TransientError


def _connection_lost(error: Exception) -> bool:
    """A server's own failure that no transaction has named, such as one between its end and the connection's."""
    psycopg = sys.modules.get("psycopg")  # whoever has not loaded it has no such error
    return psycopg is not None and isinstance(error, psycopg.OperationalError)


def _in_a_function(error: Exception) -> str | None:
    """A database's error in a sentence, where it names a function; None of any other."""
    psycopg = sys.modules.get("psycopg")
    if psycopg is None or not isinstance(error, psycopg.Error):
        return None
    from hybrid_sync.blame import in_a_function  # seldom, and it loads psycopg

    return in_a_function(error)


def raised_at(error: BaseException) -> str:
    """`module:line` of the innermost frame of ours, or of any when there is none of ours."""
    frames: list[str] = []
    ours: list[str] = []
    trace = error.__traceback__
    while trace is not None:
        name = str(trace.tb_frame.f_globals.get("__name__", ""))
        frames.append(f"{name}:{trace.tb_lineno}")
        if name.startswith("hybrid_sync") and name != __name__:
            ours.append(frames[-1])
        trace = trace.tb_next
    return (ours or frames or ["unknown"])[-1]


def peak_rss_kib() -> int:
    """The largest resident set of this process so far, in KiB; the worker's own, not its children's."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // 1024 if sys.platform == "darwin" else peak


def _counts(result: BaseModel | None) -> dict[str, Any]:
    """Numbers and flags of the result for the log; texts and lists stay out."""
    if result is None:
        return {}
    return {k: v for k, v in result.model_dump(mode="json").items() if isinstance(v, int | float | bool)}


def report_call(
    record_call: CallRecorder | None, given: Sequence[BaseModel], context: Context, watch: Stopwatch, states: int = 0,
    *, now: bool = True,
) -> None:  # fmt: skip
    """Keep what a call for the runs of these messages has used, with the first of them; never fails."""
    runs = {run_id: one for one in given if (run_id := str(getattr(one, "run_id", "")))}
    if record_call is None or not runs:
        return
    first, used, times, spent = min(runs), METER.take(), CLOCK.take(), watch.milliseconds()
    try:
        for run_id in sorted(runs):
            about = MeasuredCall(
                run_id, str(getattr(runs[run_id], "entity", None) or ""), context.function_name,
                context.log_stream_name, int(context.memory_limit_in_mb), peak_rss_kib(), calls=0,
            )  # fmt: skip
            whole = replace(about, calls=1, milliseconds=spent, transitions=states, used=used, times=times)
            record_call(whole if run_id == first else about, now=now)
    except Exception as error:  # noqa: BLE001 - a measurement never fails the work that it measures
        logger.warning("usage not recorded", extra={"error": error_sentence(error)[0], "raised_at": raised_at(error)})
