"""`dataclasses.dataclass` as the engine uses it, in a third of the time.

For each class Python writes and compiles six methods, which takes a third of a millisecond; a function declares a
hundred before it begins.  Only `__init__` differs from class to class, so only that is compiled here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import MISSING, Field, FrozenInstanceError
from operator import attrgetter
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:

    def dataclass(cls=None, /, *, frozen=False):
        """What Python's own decorator makes of the class, which has none of these methods itself."""
        return (lambda its: _made(its, frozen)) if cls is None else _made(cls, frozen)


_FACTORY = object()
"""In the place of a value that its field makes anew for each instance."""


def _made(cls: type[Any], frozen: bool) -> type[Any]:
    made: Any = dataclasses.dataclass(init=False, repr=False, eq=False)(cls)
    fields = dataclasses.fields(made)
    made.__init__ = _initialiser(made, fields, frozen)
    made.__repr__ = _shower([field.name for field in fields if field.repr])
    compared = _getter([field.name for field in fields if field.compare])
    made.__eq__ = _equality(compared)
    made.__hash__ = _hasher(compared) if frozen else None
    if frozen:
        made.__setattr__, made.__delattr__ = _guards(made, frozenset(field.name for field in fields))
    return cls


def _initialiser(cls: type[Any], fields: Sequence[Field[Any]], frozen: bool) -> Callable[..., None]:
    known: dict[str, Any] = {"_factory": _FACTORY, "_set": object.__setattr__}
    given, body = ["self"], []
    for field in fields:
        name, value = field.name, field.name
        if field.default_factory is not MISSING:
            known[f"_of_{name}"] = field.default_factory
            given.append(f"{name}=_factory")
            value = f"_of_{name}() if {name} is _factory else {name}"
        elif field.default is not MISSING:
            known[f"_of_{name}"] = field.default
            given.append(f"{name}=_of_{name}")
        else:
            given.append(name)
        body.append(f" _set(self, {name!r}, {value})" if frozen else f" self.{name} = {value}")
    if hasattr(cls, "__post_init__"):
        body.append(" self.__post_init__()")
    exec(f"def __init__({', '.join(given)}):\n" + ("\n".join(body) or " pass"), known)  # nosec B102
    made: Callable[..., None] = known["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    return made


def _getter(names: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
    """The values of these attributes, always as a tuple."""
    if len(names) > 1:
        return attrgetter(*names)
    return lambda its: tuple(getattr(its, name) for name in names)


def _equality(compared: Callable[[Any], tuple[Any, ...]]) -> Callable[[Any, object], Any]:
    def equal(self: Any, other: object) -> Any:
        return compared(self) == compared(other) if other.__class__ is self.__class__ else NotImplemented

    return equal


def _hasher(compared: Callable[[Any], tuple[Any, ...]]) -> Callable[[Any], int]:
    return lambda its: hash(compared(its))


def _shower(names: Sequence[str]) -> Callable[[Any], str]:
    @recursive_repr()
    def shown(self: Any) -> str:
        return f"{self.__class__.__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"

    return shown


def _guards(cls: type[Any], names: frozenset[str]) -> tuple[Callable[..., None], Callable[..., None]]:
    """A class that inherits may have attributes of its own, and changes none of these."""

    def assign(self: Any, name: str, value: Any) -> None:
        if type(self) is cls or name in names:
            raise FrozenInstanceError(f"cannot assign to field {name!r}")
        super(cls, self).__setattr__(name, value)

    def delete(self: Any, name: str) -> None:
        if type(self) is cls or name in names:
            raise FrozenInstanceError(f"cannot delete field {name!r}")
        super(cls, self).__delattr__(name)

    return assign, delete
