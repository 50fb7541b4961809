"""A mutex and a condition whose every move is a step of the execution."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .steps import ExploreError

if TYPE_CHECKING:
    from .control import Execution, Worker


class Lock:
    """A mutex whose owner is known."""

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self._name = execution.name_of(self)
        self.owner: Worker | None = None
        self.held = False

    def acquire(self) -> bool:
        """Take it; a step that waits for it to be free."""
        self._execution.step(self._name, True, "takes the mutex", self.free, None, True)
        if self.held:
            # Nobody is in control any more: threads unwind, or a check looks at what is left.
            return True
        self.held = True
        self.owner = self._execution.current
        if self.owner is not None:
            self.owner.locks += 1
        return True

    def free(self) -> bool:
        """Tell whether it can be taken."""
        return not self.held

    def release(self) -> None:
        """Give it back. No step: whatever others do before it, they could not have taken it."""
        self._execution.released(self._name)
        if self.owner is not None:
            self.owner.locks -= 1
        self.held = False
        self.owner = None

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *exc: object) -> None:
        self.release()


class _Waiter:
    """One thread's wait; known by identity, for one that gives up must not take another off the list."""

    __slots__ = ("woken",)

    def __init__(self) -> None:
        self.woken = False


class Condition:
    """A condition variable over a `Lock`."""

    def __init__(self, execution: Execution, lock: Lock) -> None:
        self._execution = execution
        self._lock = lock
        self._name = lock._name
        self.waiters: list[_Waiter] = []
        self.deadlines: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        """Give the lock up, wait to be notified or for `timeout` seconds, and take it again."""
        execution, lock = self._execution, self._lock
        if execution.current is None or execution.over:
            raise ExploreError("a wait outside of control would never end")
        self._mine("wait")
        waiter = _Waiter()
        deadline = float("inf") if timeout is None else execution.now + timeout
        self.waiters.append(waiter)
        self.deadlines.append(deadline)
        lock.release()

        def enabled() -> bool:
            return lock.free() and (waiter.woken or execution.now >= deadline)

        try:
            execution.step(self._name, True, "wakes up on the condition", enabled, None, True)
        finally:
            self.deadlines.remove(deadline)
        if waiter in self.waiters:
            self.waiters.remove(waiter)
        lock.held, lock.owner = True, execution.current
        execution.current.locks += 1
        return waiter.woken

    def notify(self, n: int = 1) -> None:
        """Wake the `n` that have waited longest. No step: its caller holds the lock."""
        self._mine("notify")
        for waiter in self.waiters[:n]:
            waiter.woken = True
        del self.waiters[:n]

    def notify_all(self) -> None:
        """Wake everybody."""
        self.notify(len(self.waiters))

    def _mine(self, what: str) -> None:
        if self._execution.current is not None and self._lock.owner is not self._execution.current:
            self._execution.fail("unlocked", f"{what} on the condition without its lock")
