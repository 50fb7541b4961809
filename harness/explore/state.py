"""What state an execution is in: one number for everything that can make a difference from here on.

Two schedules that lead to the same state have the same future, so only one of them need be followed.
The state is what every thread can still see: the variables of its frames and of the coroutines that
are suspended, and all objects that these lead to, by their shape and not by their identity. What
only counts (`IGNORED`) is left out. `hidden` tells where a frame holds more than its variables; such
a state has no number.
"""

from __future__ import annotations

import contextvars
import enum
import functools
import sys
import types
from collections import Counter, deque
from typing import TYPE_CHECKING, Any

from reactor.machine import State

from .control import Active, Execution, Worker
from .hidden import hides
from .live import live
from .track import TrackedQueue, _Attribute

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: Attributes on which nothing depends: counters for people, what is the same from beginning to end,
#: and what leads out of the execution.
IGNORED = frozenset(
    {
        *("waits", "interrupts", "readied", "parks_ended", "deferrals", "claims", "timers_fired"),
        *("handlers", "spawned", "retired", "hits", "misses", "partials", "interest_changes"),
        "generation",
        *("name", "_named", "execution", "_execution", "__weakref__"),
    }
)

_PLAIN = (type(None), bool, int, float, str, bytes)
_ATOMS = (type, types.ModuleType, enum.Enum, contextvars.ContextVar, contextvars.Context)


class _UnknownError(Exception):
    """There is something that the state cannot be told from."""


class Fingerprint:
    """Takes the number of the state that an execution is in.

    Args:
        execution: which.
        roots: what is looked at when all has ended, such as the stage of a program.
    """

    def __init__(self, execution: Execution, *roots: object) -> None:
        self._execution = execution
        self._roots = roots

    def take(self) -> int | None:
        """Return the number, None where the state cannot be told for sure."""
        if sys.implementation.name != "cpython":
            return None  # frames of others do not say the same
        execution = self._execution
        current, execution.current = execution.current, None
        active, Active.execution = Active.execution, None  # looking is no access
        try:
            return _Walk().state(execution, self._roots)
        except _UnknownError:
            return None
        finally:
            execution.current = current
            Active.execution = active


class _Walk:
    """One pass over everything, in an order that does not depend on where things are in memory."""

    def __init__(self) -> None:
        self._out: list[Any] = []
        self._seen: dict[int, int] = {}
        self._names: dict[int, tuple[object, str]] = {}
        self._kept: list[object] = []  # temporaries, whose ids must not name another

    def state(self, execution: Execution, roots: Sequence[object]) -> int:
        self._names = execution._names
        out = self._out
        out.append(execution.now)
        out.extend(sorted(execution._numbers.items()))
        for worker in execution._workers:
            out.append(worker.index)
            if worker.finished:
                continue
            out.append((worker.step.key, worker.step.label, worker.locks))
            if worker.frame is None:  # it has not begun
                self.walk(worker.function)
                continue
            if worker.raised is not None:
                self.walk(worker.raised)
            frame: types.FrameType | None = worker.frame
            while frame is not None and frame.f_code is not _LIVE:
                self._frame(frame)
                frame = frame.f_back
        for root in roots:
            self.walk(root)
        return hash(tuple(out))

    def walk(self, thing: Any) -> None:
        """Write down what `thing` is."""
        kind = thing.__class__
        if kind in _PLAIN:
            self._out.append((kind.__name__, thing))
            return
        handler = _HANDLERS.get(kind)
        if handler is None:
            handler = _HANDLERS[kind] = _handler(kind)
        handler(self, thing)

    def first(self, thing: object) -> bool:
        """Write down which thing it is, and whether it has not been seen yet."""
        number = self._seen.get(id(thing))
        if number is not None:
            self._out.append(number)
            return False
        self._seen[id(thing)] = len(self._seen)
        known = self._names.get(id(thing))
        self._out.append(thing.__class__.__name__ if known is None else known[1])
        return True

    # -- Kinds of things

    def atom(self, thing: Any) -> None:
        self._out.append(getattr(thing, "__qualname__", None) or repr(thing))

    def sequence(self, thing: Any) -> None:
        if self.first(thing):
            # Not through what is tracked: looking at the queue takes no step.
            items = list(deque.__iter__(thing)) if isinstance(thing, deque) else thing
            self._out.append(len(items))
            for item in items:
                self.walk(item)

    def tuple(self, thing: tuple[Any, ...]) -> None:
        self._out.append(len(thing))
        for item in thing:
            self.walk(item)

    def set(self, thing: Any) -> None:
        if self.first(thing):
            if not all(item.__class__ in _PLAIN for item in thing):
                raise _UnknownError
            self._out.extend(sorted(thing, key=repr))

    def mapping(self, thing: Any) -> None:
        if self.first(thing):
            self._items(thing)

    def _items(self, thing: Any) -> None:
        self._out.append(len(thing))
        items = thing.items()
        if all(key.__class__ is str for key in thing):
            items = [(key, thing[key]) for key in sorted(thing)]
        for key, value in items:
            self.walk(key)
            self.walk(value)

    def function(self, thing: Any) -> None:
        if self.first(thing):
            self._out.append(id(thing.__code__))
            for cell in thing.__closure__ or ():
                self.cell(cell)
            self.walk(thing.__defaults__)

    def cell(self, thing: Any) -> None:
        try:
            self.walk(thing.cell_contents)
        except ValueError:
            self._out.append("empty")

    def method(self, thing: Any) -> None:
        self._out.append(id(thing.__func__.__code__))
        self.walk(thing.__self__)

    def builtin(self, thing: Any) -> None:
        self._out.append(thing.__name__)
        self.walk(thing.__self__)

    def partial(self, thing: Any) -> None:
        if self.first(thing):
            for part in (thing.func, thing.args, thing.keywords):
                self.walk(part)

    def coroutine(self, thing: Any) -> None:
        if self.first(thing):
            self._suspended(thing.cr_frame, thing.cr_running, thing.cr_await)

    def generator(self, thing: Any) -> None:
        if self.first(thing):
            self._suspended(thing.gi_frame, thing.gi_running, thing.gi_yieldfrom)

    def _suspended(self, frame: types.FrameType | None, running: bool, inner: object) -> None:  # noqa: FBT001 - private
        if frame is None or running:
            self._out.append(running)  # over, or on the stack of a thread
            return
        self._frame(frame)
        self.walk(inner)

    def _frame(self, frame: types.FrameType) -> None:
        code, instruction = frame.f_code, frame.f_lasti
        if hides(code, instruction):
            raise _UnknownError
        place, names = live(code, instruction)
        self._out.append((id(code), place))
        variables = frame.f_locals
        for name in names:
            if name in variables:
                self._out.append(name)
                self.walk(variables[name])

    def exception(self, thing: BaseException) -> None:
        if self.first(thing):
            self.walk(thing.args)
            self._items(thing.__dict__)

    def worker(self, thing: Worker) -> None:
        self._out.append(thing.index)

    def unknown(self, thing: object) -> None:
        raise _UnknownError(type(thing))

    def nothing(self, thing: object) -> None:
        self._out.append("-")


_LIVE = Worker._live.__code__

_HANDLERS: dict[type, Callable[[_Walk, Any], None]] = {
    list: _Walk.sequence,
    deque: _Walk.sequence,
    TrackedQueue: _Walk.sequence,
    tuple: _Walk.tuple,
    set: _Walk.set,
    frozenset: _Walk.set,
    dict: _Walk.mapping,
    Counter: _Walk.mapping,
    types.FunctionType: _Walk.function,
    types.MethodType: _Walk.method,
    types.BuiltinMethodType: _Walk.builtin,
    types.MethodWrapperType: _Walk.builtin,
    types.CellType: _Walk.cell,
    functools.partial: _Walk.partial,
    types.CoroutineType: _Walk.coroutine,
    types.GeneratorType: _Walk.generator,
    Worker: _Walk.worker,
    Execution: _Walk.nothing,
    _Attribute: _Walk.nothing,  # the step says which
    contextvars.Token: _Walk.nothing,
    contextvars.Context: _Walk.nothing,
}


def _handler(kind: type) -> Callable[[_Walk, Any], None]:
    """Work out how to look at things of a class that was not met before."""
    if issubclass(kind, (*_ATOMS, State)):
        return _Walk.atom
    if issubclass(kind, BaseException):
        return _Walk.exception
    if issubclass(kind, tuple):
        return _Walk.tuple
    if kind.__module__ == "builtins":
        return _Walk.unknown
    getters = [
        (name, getter)
        for owner in kind.__mro__
        for name in _slots(owner)
        if name not in IGNORED and (getter := _getter(owner, name)) is not None
    ]

    def look(walk: _Walk, thing: Any) -> None:
        if not walk.first(thing):
            return
        for name, getter in getters:
            try:
                value = getter(thing)
            except AttributeError:
                continue
            walk._out.append(name)
            walk.walk(value)
        more = getattr(thing, "__dict__", None)
        if more:
            for name in sorted(more):
                if name not in IGNORED:
                    walk._out.append(name)
                    walk.walk(more[name])

    return look


def _slots(owner: type) -> Sequence[str]:
    slots = owner.__dict__.get("__slots__", ())
    return (slots,) if isinstance(slots, str) else sorted(slots)


def _getter(owner: type, name: str) -> Callable[[Any], Any] | None:
    """Return what reads a slot without being noticed."""
    slot = owner.__dict__.get(name)
    if isinstance(slot, _Attribute):
        slot = slot._slot
    return None if slot is None else slot.__get__
