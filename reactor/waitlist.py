"""Tasks that wait for something other than a descriptor: the list behind events, queues and joins."""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any

from .errors import READY, Cause
from .operation import Operation

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from .scheduler import Scheduler
    from .task import Task


class WaitOperation(Operation):
    """A place in a `WaitList`."""

    __slots__ = ("_ready", "_waiters", "value")

    def __init__(self, waiters: WaitList, ready: Callable[[], bool], value: Any = None) -> None:
        super().__init__()
        self._waiters = waiters
        self._ready = ready
        self.value = value

    def park(self, task: Task[Any]) -> bool:
        """Join the list, unless there is nothing to wait for."""
        if self._ready():
            return False
        self._waiters.operations[self] = None
        return self.settle(task)

    def vacate(self) -> None:
        """Leave the list."""
        self._waiters.operations.pop(self, None)

    def describe(self) -> str:
        """Say what is waited for."""
        return self._waiters.what


class WaitList:
    """Waiting operations in FIFO order; guarded by the scheduler's mutex.

    Attributes:
        what: what its members wait for, for `IoContext.dump`.
        operations: the members; a dict for its order and its O(1) removal.
    """

    __slots__ = ("operations", "scheduler", "what")

    def __init__(self, scheduler: Scheduler, what: str) -> None:
        self.scheduler = scheduler
        self.what = what
        self.operations: dict[WaitOperation, None] = {}

    def __len__(self) -> int:
        return len(self.operations)

    @types.coroutine
    def wait_until(self, ready: Callable[[], bool]) -> Generator[Operation, None, None]:
        """Wait until `ready()`, which is called with the mutex held and must not block.

        It suspends at least once, so that a task whose scope is cancelled learns it here even if
        there is nothing to wait for.
        """
        op = WaitOperation(self, ready)
        while True:
            yield op
            if ready():
                return

    @types.coroutine
    def wait_turn(
        self, ready: Callable[[], bool], value: Any = None
    ) -> Generator[Operation, None, Any]:
        """Wait until `ready()`, or until claimed by `wake_one`, which may hand something over.

        What was handed over is never lost: a claim is final, so a cancel that comes later finds
        nothing to take.

        Returns:
            The operation's value: the one given, or what `wake_one` put in its place.
        """
        op = WaitOperation(self, ready, value)
        yield op
        return op.value

    def first(self) -> WaitOperation | None:
        """Return the member that has waited longest. The mutex is held."""
        return next(iter(self.operations), None)

    def wake_one(self, value: Any = None) -> bool:
        """Claim the first member and hand it `value`; False when there is none. The mutex is held."""
        op = self.first()
        if op is None:
            return False
        op.value = value
        return op.claim(READY)

    def wake_all(self, cause: Cause = READY) -> int:
        """Claim every member; returns how many. The mutex is held."""
        members = list(self.operations)
        for op in members:
            op.claim(cause)
        return len(members)
