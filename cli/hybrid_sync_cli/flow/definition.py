"""The state machine file as typed states: what it says is understood in full, or refused.

After the Amazon States Language (https://states-language.net), and no more of it than the file uses: whoever adds a
state type, a field or a function to the file teaches it to the interpreter first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hybrid_sync_cli.flow.data import Read, Unknown, is_there, optional, path, result_path, template
from hybrid_sync_cli.flow.states import Catcher, Choice, Fail, Flow, Machine, Map, Pass, Retrier, State, Succeed, Task

_REQUIRED = object()
_STATES_ERRORS = {"States.ALL", "States.Timeout"}


class _Fields:
    """An object of the definition, field by field; `end` refuses what nobody has taken."""

    def __init__(self, place: str, given: object) -> None:
        if not isinstance(given, dict):
            raise Unknown(f"{place}: {given!r} is no object.")
        self.place = place
        self._left = dict(given)

    def take(self, name: str, kind: type | tuple[type, ...], default: Any = _REQUIRED) -> Any:
        if name not in self._left and default is not _REQUIRED:
            return default
        value = self._left.pop(name, _REQUIRED)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise Unknown(f"{self.place}: {name} is not what is known here.")
        return value

    def constant(self, name: str, *known: object) -> Any:
        value = self._left.pop(name, _REQUIRED)
        if not any(value == one and type(value) is type(one) for one in known):
            raise Unknown(f"{self.place}: {name} is not {' or '.join(map(repr, known))}.")
        return value

    def part(self, name: str) -> _Fields:
        return _Fields(f"{self.place}.{name}", self.take(name, dict))

    def has(self, name: str) -> bool:
        return name in self._left

    def says(self, text: str) -> bool:
        """Whether the text stands anywhere in what is left."""
        return text in str(self._left)

    def path(self, name: str) -> Read:
        return path(self.take(name, str), f"{self.place}.{name}")

    def end(self) -> None:
        if self._left:
            raise Unknown(f"{self.place}: {', '.join(sorted(self._left))} is not known here.")


def parse(definition: object) -> Flow:
    """Unknown unless every part of the definition is known."""
    fields = _Fields("the state machine", definition)
    fields.take("Comment", str, "")
    seconds = fields.take("TimeoutSeconds", int)
    machine = _machine(fields)
    return Flow(machine, seconds)


def _machine(fields: _Fields) -> Machine:
    states = fields.take("States", dict)
    machine = Machine(fields.take("StartAt", str), {name: _state(name, given) for name, given in states.items()})
    fields.end()
    for name in [machine.start, *(name for state in machine.states.values() for name in _followers(state))]:
        if name not in machine.states:
            raise Unknown(f"{fields.place}: there is no state {name}.")
    return machine


def _followers(state: State) -> Sequence[str]:
    if isinstance(state, Choice):
        return [*(then for _, then in state.rules), state.default]
    if isinstance(state, Succeed | Fail):
        return []
    caught = [] if isinstance(state, Pass) else [catcher.then for catcher in state.catch]
    return caught if state.then is None else [*caught, state.then]


def _state(name: str, given: object) -> State:
    fields = _Fields(name, given)
    kind = fields.take("Type", str)
    if kind not in _KINDS:
        raise Unknown(f"{name}: {kind} is no type of state that is known here.")
    fields.take("Comment", str, "")
    state = _KINDS[kind](fields)
    fields.end()
    return state


def _task(fields: _Fields) -> Task:
    fields.constant("Resource", "arn:aws:states:::lambda:invoke")
    given = fields.part("Parameters")
    function = given.take("FunctionName", str)
    name = "Payload.$" if given.has("Payload.$") else "Payload"
    wrapped = template({name: given.take(name, (dict, str))}, given.place)
    given.end()

    def payload(data: Any, execution: str) -> Any:
        return wrapped(data, execution)["Payload"]

    # When an answer is too late is for those to say who deliver: the error is States.Timeout.
    fields.take("TimeoutSeconds", int)
    return Task(function, payload, _output(fields), _retry(fields), _catch(fields), _then(fields))


def _map(fields: _Fields) -> Map:
    items = bucket = key = None
    processor = fields.part("ItemProcessor")
    config = processor.part("ProcessorConfig")
    if config.constant("Mode", "INLINE", "DISTRIBUTED") == "INLINE":
        items = fields.path("ItemsPath")
    else:
        config.constant("ExecutionType", "STANDARD")
        if processor.says("$$."):
            raise Unknown(f"{processor.place}: an item of a distributed map is an execution with a name of its own.")
        bucket, key = _reader(fields.part("ItemReader"))
        fields.take("Label", str)
        # Failed items fail no map: nothing else is known here of tolerating failures.
        fields.constant("ToleratedFailurePercentage", 100)
    config.end()
    most = fields.take("MaxConcurrency", int)
    return Map(_machine(processor), items, bucket, key, most, _output(fields), _catch(fields), _then(fields))


def _reader(fields: _Fields) -> tuple[Read, Read]:
    fields.constant("Resource", "arn:aws:states:::s3:getObject")
    config = fields.part("ReaderConfig")
    config.constant("InputType", "JSON")
    config.end()
    given = fields.part("Parameters")
    read = given.path("Bucket.$"), given.path("Key.$")
    given.end()
    fields.end()
    return read


def _choice(fields: _Fields) -> Choice:
    rules = [
        _rule(_Fields(f"{fields.place}.Choices[{n}]", given)) for n, given in enumerate(fields.take("Choices", list))
    ]
    return Choice(tuple(rules), fields.take("Default", str))


def _rule(fields: _Fields) -> tuple[Callable[[Any, str], bool], str]:
    text = fields.take("Variable", str)
    then = fields.take("Next", str)
    read = path(text, fields.place)
    if fields.has("IsPresent"):
        wanted = fields.take("IsPresent", bool)
        find = optional(text, fields.place)
        holds = lambda data, _: is_there(find(data)) is wanted  # noqa: E731 - a rule is a function
    elif fields.has("StringEquals"):
        holds = _equals(read, fields.take("StringEquals", str))
    elif fields.has("BooleanEquals"):
        holds = _equals(read, fields.take("BooleanEquals", bool))
    else:
        least = fields.take("NumericGreaterThan", int)
        holds = lambda data, name: type(found := read(data, name)) in (int, float) and found > least  # noqa: E731
    fields.end()
    return holds, then


def _equals(read: Read, wanted: object) -> Callable[[Any, str], bool]:
    return lambda data, name: type(found := read(data, name)) is type(wanted) and found == wanted


def _pass(fields: _Fields) -> Pass:
    made = template(fields.take("Parameters", dict), fields.place) if fields.has("Parameters") else path("$", "")
    output = _output(fields)
    return Pass(lambda data, execution: output(data, made(data, execution), execution), _then(fields))


def _succeed(fields: _Fields) -> Succeed:
    return Succeed()


def _fail(fields: _Fields) -> Fail:
    def text(name: str) -> Read:
        if fields.has(f"{name}Path"):
            return fields.path(f"{name}Path")
        constant = fields.take(name, str)
        return lambda data, execution: constant

    return Fail(text("Error"), text("Cause"))


_KINDS: Mapping[str, Callable[[_Fields], State]] = {
    "Task": _task, "Map": _map, "Choice": _choice, "Pass": _pass, "Succeed": _succeed, "Fail": _fail,
}  # fmt: skip


def _then(fields: _Fields) -> str | None:
    if fields.has("End"):
        fields.constant("End", True)
        return None
    return str(fields.take("Next", str))


def _output(fields: _Fields) -> Callable[[Any, Any, str], Any]:
    """ResultSelector, ResultPath and OutputPath, in this order."""
    place = fields.place
    select = template(fields.take("ResultSelector", dict), place) if fields.has("ResultSelector") else path("$", place)
    put = result_path(fields.take("ResultPath", (str, type(None)), "$"), place)
    text = fields.take("OutputPath", (str, type(None)), "$")
    keep: Read = (lambda data, execution: {}) if text is None else path(text, place)

    def output(data: Any, result: Any, execution: str) -> Any:
        return keep(put(data, select(result, execution)), execution)

    return output


def _retry(fields: _Fields) -> tuple[Retrier, ...]:
    retriers = []
    for n, given in enumerate(fields.take("Retry", list, [])):
        part = _Fields(f"{fields.place}.Retry[{n}]", given)
        retriers.append(
            Retrier(
                _errors(part), part.take("IntervalSeconds", int), part.take("BackoffRate", (int, float)),
                part.take("MaxAttempts", int), part.take("MaxDelaySeconds", int),
            )
        )  # fmt: skip
        part.constant("JitterStrategy", "FULL")
        part.end()
    return tuple(retriers)


def _catch(fields: _Fields) -> tuple[Catcher, ...]:
    catchers = []
    for n, given in enumerate(fields.take("Catch", list, [])):
        part = _Fields(f"{fields.place}.Catch[{n}]", given)
        put = result_path(part.take("ResultPath", (str, type(None)), "$"), part.place)
        catchers.append(Catcher(_errors(part), put, part.take("Next", str)))
        part.end()
    return tuple(catchers)


def _errors(fields: _Fields) -> frozenset[str]:
    names = fields.take("ErrorEquals", list)
    for name in names:
        if not isinstance(name, str) or (name.startswith("States.") and name not in _STATES_ERRORS):
            raise Unknown(f"{fields.place}: {name!r} is no error that is known here.")
    if "States.ALL" in names and len(names) > 1:
        raise Unknown(f"{fields.place}: States.ALL stands alone.")
    return frozenset(names)
