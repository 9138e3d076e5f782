"""One execution of the flow, played by itself: it says which deliveries are due, and goes on with the answers.

Nothing here has threads.  Whoever conducts an execution chooses which of its ready deliveries is answered next, so any
order, any number of executions at the same time and any pause can be played, and played again.  A retry's delay passes
once nothing else is left to do, by whatever clock: in tests nobody waits for it.
"""

from __future__ import annotations

import bisect
import heapq
import itertools
from collections import Counter, deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

from hybrid_sync_cli.flow.clock import Clock, VirtualClock
from hybrid_sync_cli.flow.data import StateError
from hybrid_sync_cli.flow.states import Catcher, Choice, Fail, Flow, Machine, Map, Pass, Retrier, Succeed, Task

StatePath = tuple[str | int, ...]
"""Where a state stands in an execution: the maps that it is in with the item's number each, then its own name."""
Items = Callable[[str, str], list[Any]]
"""(bucket, key) -> the lines of a manifest; LookupError when it is not there."""
Order = Callable[[StatePath, int], Sequence[int]]
"""(a map, how many items) -> in which order these start."""
UNCAUGHT = {"States.Runtime", "States.DataLimitExceeded"}
"""What neither Retry nor Catch handles, not even as States.ALL."""


@dataclass(eq=False)
class Delivery:
    """An invocation of a function that waits for its answer."""

    place: StatePath
    function: str
    payload: Any
    attempt: int
    """0 first, then one more for each retry."""

    @property
    def state(self) -> str:
        return str(self.place[-1])

    @property
    def items(self) -> tuple[int, ...]:
        """The number of the item in each map around it."""
        return tuple(part for part in self.place if isinstance(part, int))


@dataclass
class _Pause:
    seconds: float


@dataclass(eq=False)
class _Fork:
    """Items of a map under way; `waiting` have not begun."""

    waiting: deque[_Branch]
    results: list[Any]
    most: int
    tolerant: bool
    running: int = 0
    branch: _Branch | None = None
    """The machine that the map stands in."""


_Wish = Delivery | _Pause | _Fork
_Steps = Generator[_Wish, Any, Any]


@dataclass(eq=False)
class _Branch:
    """A machine on its way through its states; of a map's item, `fork` and the item's number."""

    place: StatePath
    steps: _Steps
    fork: _Fork | None = None
    number: int = 0


@dataclass
class _Result:
    """What a branch is told: an answer, or what has failed."""

    branch: _Branch
    value: Any = None
    error: StateError | None = None


@dataclass(eq=False)
class Execution:
    """`ready` deliveries are given in the order of the items; answer or fail any of them."""

    flow: Flow
    name: str
    given: Any
    items: Items
    order: Order = lambda place, count: range(count)
    status: str = "RUNNING"
    output: Any = None
    error: str = ""
    cause: str = ""
    clock: Clock = field(default_factory=VirtualClock)
    ready: list[Delivery] = field(default_factory=list)
    trace: list[StatePath] = field(default_factory=list)
    """Every state that was entered."""

    def __post_init__(self) -> None:
        self._branches: dict[Delivery, _Branch] = {}
        self._timers: list[tuple[float, int, _Branch]] = []
        self._numbers = itertools.count()
        self._go_on(_Result(_Branch((), self._machine(self.flow.machine, self.given, ()))))

    @property
    def now(self) -> float:
        """Seconds since it began."""
        return self.clock.now

    @property
    def states(self) -> list[str]:
        """The states outside of maps, in the order in which they were entered."""
        return [str(place[0]) for place in self.trace if len(place) == 1]

    def answer(self, delivery: Delivery, payload: Any) -> None:
        """The function has returned this JSON."""
        self._go_on(_Result(self._taken(delivery), payload))

    def fail(self, delivery: Delivery, error: StateError) -> None:
        """Answer a delivery with an error, as a function that raised it would; Retry and Catch follow."""
        self._go_on(_Result(self._taken(delivery), error=error))

    def abort(self) -> None:
        """Somebody has stopped the execution; what is delivered already goes on without it."""
        self._end("ABORTED")

    # --- states ------------------------------------------------------------------------------------------------

    def _machine(self, machine: Machine, data: Any, place: StatePath) -> _Steps:
        then: str | None = machine.start
        while then is not None:
            state, here = machine.states[then], (*place, then)
            self.trace.append(here)
            if isinstance(state, Succeed):
                return data
            if isinstance(state, Fail):
                raise StateError(state.error(data, self.name), state.cause(data, self.name))
            if isinstance(state, Choice):
                then = next((then for holds, then in state.rules if holds(data, self.name)), state.default)
            elif isinstance(state, Pass):
                data, then = state.output(data, self.name), state.then
            else:
                play = self._task(state, data, here) if isinstance(state, Task) else self._map(state, data, here)
                data, then = yield from self._caught(state, data, play)
        return data

    def _caught(self, state: Task | Map, data: Any, play: _Steps) -> Generator[_Wish, Any, tuple[Any, str | None]]:
        try:
            result = yield from play
        except StateError as failed:
            catcher = next((catcher for catcher in state.catch if _handles(catcher, failed)), None)
            if catcher is None:
                raise
            return catcher.put(data, {"Error": failed.error, "Cause": failed.cause}), catcher.then
        return state.output(data, result, self.name), state.then

    def _task(self, task: Task, data: Any, here: StatePath) -> _Steps:
        retries: Counter[int] = Counter()
        while True:
            payload = task.payload(data, self.name)
            failed = None
            try:
                answer = yield Delivery(here, task.function, payload, retries.total())
            except StateError as error:
                failed = error
            if failed is None:
                return {"ExecutedVersion": "$LATEST", "Payload": answer, "StatusCode": 200}
            n = next((n for n, retrier in enumerate(task.retry) if _handles(retrier, failed)), None)
            if n is None or retries[n] >= task.retry[n].attempts:
                raise failed
            yield _Pause(task.retry[n].delay(retries[n]))
            retries[n] += 1

    def _map(self, state: Map, data: Any, here: StatePath) -> _Steps:
        items = self._items(state, data)
        # Items that come one after the other keep their order.
        order = range(len(items)) if state.most == 1 else self.order(here, len(items))
        fork = _Fork(deque(), [None] * len(items), state.most or len(items), tolerant=state.items is None)
        for n in order:
            place = (*here, n)
            fork.waiting.append(_Branch(place, self._machine(state.machine, items[n], place), fork, n))
        return (yield fork)

    def _items(self, state: Map, data: Any) -> list[Any]:
        if state.items is not None:
            items = state.items(data, self.name)
        else:
            assert state.bucket is not None and state.key is not None
            bucket, key = state.bucket(data, self.name), state.key(data, self.name)
            try:
                items = self.items(bucket, key)
            except LookupError:
                missing = f"The specified key does not exist. (Bucket: {bucket}, Key: {key})"
                raise StateError("States.ItemReaderFailed", missing) from None
        if not isinstance(items, list):
            raise StateError("States.Runtime", "The items of a map are no list.")
        return items

    # --- what is due ---------------------------------------------------------------------------------------------

    def _go_on(self, result: _Result) -> None:
        """As far as it goes without another answer."""
        results = deque([result])
        while self.status == "RUNNING":
            while results:
                results += self._deliver(results.popleft())
            if self.ready or not self._timers:
                return
            at, _, branch = heapq.heappop(self._timers)
            self.clock.wait(at)
            if self.now > self.flow.seconds:
                self._end("TIMED_OUT")
            results.append(_Result(branch))

    def _deliver(self, result: _Result) -> list[_Result]:
        branch = result.branch
        try:
            wish = branch.steps.throw(result.error) if result.error else branch.steps.send(result.value)
        except StopIteration as done:
            return self._ended(branch, done.value, None)
        except StateError as failed:
            return self._ended(branch, None, failed)
        if isinstance(wish, Delivery):
            self._branches[wish] = branch
            bisect.insort(self.ready, wish, key=lambda delivery: delivery.items)
        elif isinstance(wish, _Pause):
            heapq.heappush(self._timers, (self.now + wish.seconds, next(self._numbers), branch))
        else:
            wish.branch = branch
            return self._begun(wish) or [_Result(branch, wish.results)]
        return []

    def _begun(self, fork: _Fork) -> list[_Result]:
        """As many items as may run at the same time."""
        begun = []
        while fork.waiting and fork.running < fork.most:
            fork.running += 1
            begun.append(_Result(fork.waiting.popleft()))
        return begun

    def _ended(self, branch: _Branch, value: Any, failed: StateError | None) -> list[_Result]:
        fork = branch.fork
        if fork is None:
            self.output, self.error, self.cause = value, failed.error if failed else "", failed.cause if failed else ""
            self._end("FAILED" if failed else "SUCCEEDED")
            return []
        assert fork.branch is not None
        if failed is not None and not fork.tolerant:
            self._abandon(branch.place[:-1])
            return [_Result(fork.branch, error=failed)]
        fork.results[branch.number] = value
        fork.running -= 1
        if fork.running or fork.waiting:
            return self._begun(fork)
        return [_Result(fork.branch, fork.results)]

    def _abandon(self, place: StatePath) -> None:
        """The other items of a map that has failed."""
        for delivery in [delivery for delivery in self.ready if delivery.place[: len(place)] == place]:
            self._taken(delivery)
        self._timers = [timer for timer in self._timers if timer[2].place[: len(place)] != place]
        heapq.heapify(self._timers)

    def _taken(self, delivery: Delivery) -> _Branch:
        self.ready.remove(delivery)
        return self._branches.pop(delivery)

    def _end(self, status: str) -> None:
        self.status = status
        self.ready.clear()
        self._branches.clear()
        self._timers.clear()


def _handles(handler: Catcher | Retrier, failed: StateError) -> bool:
    if failed.error in UNCAUGHT:
        return False
    return failed.error in handler.errors or "States.ALL" in handler.errors
