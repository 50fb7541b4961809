"""Every access to shared state of the reactor becomes a step.

While `tracking` is in force, the listed attributes of the reactor's classes are data descriptors that
announce each access before they make it. The reactor's code is not touched. What holds a container
counts as writing it whenever it is looked up, since what follows may change it.
"""

from __future__ import annotations

import contextlib
from collections import deque
from typing import TYPE_CHECKING, Any

from reactor.backends._level import LevelBackend
from reactor.backends.base import Backend
from reactor.descriptor import Descriptor, IoOperation, Slot
from reactor.operation import Operation
from reactor.scheduler import TURN, Scheduler
from reactor.scope import CancelScope, GroupScope
from reactor.signals import SignalState
from reactor.strand import Strand, _Place
from reactor.sync import Event, Gate
from reactor.task import Task
from reactor.timerqueue import MovableEntry, TimerEntry, TimerQueue
from reactor.timing import Timer, TimerWait
from reactor.waitlist import WaitList

from .control import Active, Execution

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: Attributes that hold a value, and those that hold a container, of every class with shared state.
TRACKED: dict[type, tuple[str, str]] = {
    Scheduler: (
        (
            "closing closed waits interrupts readied parks_ended deferrals timers_fired handlers spawned "
            "runners alone"
        ),
        "tasks descriptors claims retired",
    ),
    SignalState: ("asleep idle leader runners signalled stopped work", ""),
    TimerQueue: ("_bound _garbage _horizon _infinite", "fresh near _buckets _deadlines _starts"),
    TimerEntry: ("action deadline", ""),
    MovableEntry: ("wanted", ""),
    Descriptor: ("registered closed gone", ""),
    Slot: (
        "calling closed edges seen exact hits misses partials op watched",
        "",
    ),
    Operation: ("cause scoped state task", ""),
    IoOperation: ("late", ""),
    Task: ("operation credit interrupted done root scope alarm _joiners _result _error", ""),
    CancelScope: ("_task cancel_called parent _cause _deadline until", ""),
    GroupScope: ("", "roots"),
    TimerWait: ("_entry", ""),
    Timer: ("_deadline", "_waits"),
    WaitList: ("", "operations"),
    Event: ("_flag", ""),
    Strand: ("_taken", "_waiting"),
    _Place: ("granted", ""),
    Gate: ("_taken", ""),
    Backend: ("_deadline interest_changes", "descriptors"),
    LevelBackend: ("", "_changed _applied"),
}


class _Attribute:
    """A data descriptor in the place of a slot, or of an entry of the instance's ``__dict__``."""

    __slots__ = ("_container", "_name", "_slot")

    def __init__(self, name: str, slot: Any, *, container: bool) -> None:
        self._name = name
        self._slot = slot
        self._container = container

    def __get__(self, thing: Any, owner: type | None = None) -> Any:
        if thing is None:
            return self
        execution = Active.execution
        if execution is not None:
            execution.access(thing, self._name, self._container)
        if self._slot is not None:
            return self._slot.__get__(thing, owner)
        try:
            return thing.__dict__[self._name]
        except KeyError:
            raise AttributeError(self._name) from None

    def __set__(self, thing: Any, value: Any) -> None:
        execution = Active.execution
        if execution is not None:
            execution.access(thing, self._name, True)
        if self._slot is not None:
            self._slot.__set__(thing, value)
        else:
            thing.__dict__[self._name] = value


@contextlib.contextmanager
def tracking() -> Iterator[None]:
    """Inside, accesses to the attributes in `TRACKED` are steps of the active execution."""
    replaced: list[tuple[type, str, Any]] = []
    try:
        for owner, (values, containers) in TRACKED.items():
            for names, container in ((values, False), (containers, True)):
                for name in names.split():
                    slot = owner.__dict__.get(name)
                    replaced.append((owner, name, slot))
                    setattr(owner, name, _Attribute(name, slot, container=container))
        yield
    finally:
        for owner, name, slot in reversed(replaced):
            if slot is None:
                delattr(owner, name)
            else:
                setattr(owner, name, slot)


class TrackedQueue(deque[Any]):
    """A queue of the scheduler: each of its operations is one step, as each is atomic."""

    def __init__(self, execution: Execution, key: str) -> None:
        super().__init__()
        self._execution = execution
        self._key = key

    def append(self, item: Any, /) -> None:
        """As `deque.append`."""
        self._execution.step(self._key, True, "queue.append")
        super().append(item)

    def extend(self, items: Iterable[Any], /) -> None:
        """As `deque.extend`."""
        self._execution.step(self._key, True, "queue.extend")
        super().extend(items)

    def popleft(self) -> Any:
        """As `deque.popleft`."""
        self._execution.step(self._key, True, "queue.popleft", harmless=self._empty)
        return super().popleft()

    def pop(self) -> Any:  # type: ignore[override]  # of a deque there is no other
        """As `deque.pop`."""
        self._execution.step(self._key, True, "queue.pop", harmless=self._empty)
        return super().pop()

    def _empty(self) -> bool:
        return not super().__len__()

    def clear(self) -> None:
        """As `deque.clear`."""
        self._execution.step(self._key, True, "queue.clear")
        super().clear()

    def __len__(self) -> int:
        self._execution.step(self._key, False, "len(queue)")
        return super().__len__()

    def __bool__(self) -> bool:
        return self.__len__() > 0


def queued(queues: Iterable[deque[Any]]) -> tuple[list[Any], int]:
    """Return the handlers on `queues`, and how many reactor turns there are; takes no step."""
    items = [item for queue in queues for item in queue]
    return [item for item in items if item is not TURN], items.count(TURN)
