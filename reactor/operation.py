"""The operation: one pending thing with one waiting task, and its life cycle as a table.

There is one kind of operation for sockets, timers, events, queues, joins and threads. It is
*parked*, then *claimed* exactly once: by readiness, by cancel, by close or by a deadline. Whoever
claims it decides the result; every later claim finds nothing to take. The task that waited is then
put on the scheduler's queue and, when it resumes, performs the system call itself, so there is no
gap between perform and resume in which a cancel could lose bytes.

Every field of an operation that is not IDLE is guarded by the scheduler's mutex, with one
exception: between its claim and its resumption a CLAIMED operation belongs to the thread that
steps its task, which alone may move it back to IDLE.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any

from .errors import READY, Cause
from .machine import State, wire

if TYPE_CHECKING:
    from .task import Task


class OperationEvent(enum.Enum):
    """What can happen to an operation."""

    PARK = "park"  # it takes its place and waits
    DEFER = "defer"  # it could go on, but its task's budget is spent: others first
    CLAIM = "claim"  # somebody decided its result
    RESUME = "resume"  # its task runs again


class OperationState(State):
    """A state of the life cycle; see `State`."""

    machine = "operation"
    events = OperationEvent

    park: OperationState
    defer: OperationState
    claim: OperationState
    resume: OperationState


IDLE = OperationState("IDLE")
PARKED = OperationState("PARKED")
DEFERRED = OperationState("DEFERRED")
CLAIMED = OperationState("CLAIMED")
STATES = (IDLE, PARKED, DEFERRED, CLAIMED)

TRANSITIONS: dict[tuple[OperationState, OperationEvent], OperationState] = {
    (IDLE, OperationEvent.PARK): PARKED,
    (IDLE, OperationEvent.DEFER): DEFERRED,
    (PARKED, OperationEvent.CLAIM): CLAIMED,
    (DEFERRED, OperationEvent.CLAIM): CLAIMED,
    (DEFERRED, OperationEvent.RESUME): IDLE,
    (CLAIMED, OperationEvent.RESUME): IDLE,
}
wire(TRANSITIONS)


#: Socket operations that a task may complete inline in one step before others get their turn.
BUDGET = 32


class Operation:
    """Base of everything that a task can wait for.

    Subclasses say where they wait (`park`) and how they leave that place (`vacate`).
    """

    __slots__ = ("cause", "scoped", "state", "task")

    def __init__(self) -> None:
        self.state: OperationState = IDLE
        self.cause = READY
        # A scope around the wait, and not the object waited for, decided how it ends.
        self.scoped = False
        self.task: Task[Any] | None = None  # who waits, or waited last

    def park(self, task: Task[Any]) -> bool:
        """Take the place to wait in; called with the mutex held, after `task` has suspended.

        Returns:
            True when parked: from here on another thread may resume the task. False when there
            is no need to wait, and the task goes on at once.
        """
        raise NotImplementedError

    def vacate(self) -> None:
        """Leave the place; called with the mutex held when the operation is claimed."""

    def describe(self) -> str:
        """Say in a few words what is waited for, for `IoContext.dump`."""
        raise NotImplementedError

    def settle(self, task: Task[Any]) -> bool:
        """Enter PARKED for `task`; the mutex is held. Always True, for the tail of `park`."""
        self.state = self.state.park
        self.task = task
        self.cause = READY
        return True

    def defer(self, task: Task[Any], cause: Cause = READY) -> bool:
        """Let others go first: `task` goes to the tail of the queue. The mutex is held.

        Args:
            task: it.
            cause: how the operation ends when the task runs again, unless it is claimed before.
        """
        self.state = self.state.defer
        self.task = task
        self.cause = cause
        if cause is not READY:
            self.state = self.state.claim
            task.scheduler.claims[cause] += 1
        task.scheduler.push(task)  # last: another thread may take it from there at once
        return True

    def claim(self, cause: Cause, *, scoped: bool = False) -> bool:
        """Decide the result, if nobody has; the mutex is held.

        Args:
            cause: how it ends.
            scoped: it is a cancel scope that decides.

        Returns:
            True when this call was the one that decided.
        """
        if self.state is PARKED:
            self.state = PARKED.claim
            self.cause = cause
            self.scoped = scoped
            self.vacate()
            task = self.task
            assert task is not None
            scheduler = task.scheduler
            scheduler.claims[cause] += 1
            scheduler.push(task)
            return True
        if self.state is DEFERRED:
            # Its task is on the queue already, and whoever steps it takes the mutex only as long as
            # it sees DEFERRED: the state comes last, when all that goes with it is there.
            self.cause = cause
            self.scoped = scoped
            self.vacate()
            assert self.task is not None
            self.task.scheduler.claims[cause] += 1
            self.state = DEFERRED.claim
            return True
        return False


class Yield(Operation):
    """Let everybody else have a turn; the poller is asked before the task goes on."""

    __slots__ = ()

    def park(self, task: Task[Any]) -> bool:
        """Go to the tail of the queue."""
        return self.defer(task)

    def describe(self) -> str:
        """Say what is waited for."""
        return "its next turn"
