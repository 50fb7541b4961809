"""Timers and sleeps."""

from __future__ import annotations

import math
import types
from typing import TYPE_CHECKING, Any

from .errors import READY, Cause, OperationCancelled
from .local import current_context, current_task
from .operation import Operation, Yield
from .timerqueue import TimerEntry

if TYPE_CHECKING:
    from collections.abc import Generator
    from contextvars import Context

    from .context import IoContext
    from .scheduler import Call, Scheduler
    from .task import Task


class TimerWait(Operation):
    """One task's wait for a deadline."""

    __slots__ = ("_entry", "_scheduler", "deadline", "members")

    def __init__(
        self, scheduler: Scheduler, deadline: float, members: dict[TimerWait, None] | None = None
    ) -> None:
        super().__init__()
        self._scheduler = scheduler
        self._entry: TimerEntry | None = None
        self.deadline = deadline
        self.members = members

    def park(self, task: Task[Any]) -> bool:
        """Arm the timer. A deadline in the past fires too, at the next turn: waiting always yields."""
        self._entry = self._scheduler.add_timer(self.deadline, self._expire)
        if self.members is not None:
            self.members[self] = None
        return self.settle(task)

    def _expire(self) -> None:
        self._entry = None
        self.claim(READY)

    def vacate(self) -> None:
        """Disarm the timer, when it was not the timer that ended the wait."""
        if self._entry is not None:
            self._scheduler.timers.cancel(self._entry)
            self._entry = None

    def describe(self) -> str:
        """Say what is waited for."""
        if self.deadline == math.inf:
            return "a timer that never fires"
        return f"a timer due in {self.deadline - self._scheduler.now():.3f} s"


class TimedCall(TimerEntry):
    """A call that `IoContext.call_at` or `call_later` has put off.

    Attributes:
        deadline: when it is due, in seconds on the clock of the context.
        action: the function; None once the call was queued or cancelled.
        variables: the context variables to call it in; None from then on.
        args: and with what.
        scheduler: whose timer it is.
    """

    __slots__ = ("args", "scheduler", "variables")

    args: tuple[Any, ...] | None
    scheduler: Scheduler
    variables: Context | None

    def take(self) -> Call | None:
        """Return the call as the queue takes it, and keep nothing of it."""
        if self.action is None:
            return None
        call = self.variables, self.action, self.args
        self.action = self.variables = self.args = None
        return call  # type: ignore[return-value]  # all of it is there as long as the action is

    def cancel(self) -> bool:
        """Let the call not happen, from any thread; O(1).

        Returns:
            False when it was due already, and has been queued or made, or was cancelled before.
        """
        scheduler = self.scheduler
        mutex = scheduler.mutex
        mutex.acquire()  # not `with`: see `Task.step`
        try:
            if not scheduler.timers.cancel(self):
                return False
            self.variables = self.args = None
            scheduler.finish_work()
            return True
        finally:
            mutex.release()

    def __repr__(self) -> str:
        state = "over" if self.action is None else f"due at {self.deadline:.3f}"
        return f"<TimedCall {state}>"


class Timer:
    """A timer that can be set, waited for by any number of tasks, moved and cancelled.

    Args:
        context: the context it belongs to; by default the current one.
    """

    def __init__(self, *, context: IoContext | None = None) -> None:
        self._scheduler = (context or current_context()).scheduler
        self._deadline = math.inf
        # Waits that have not been told how they ended; guarded by the mutex.
        self._waits: dict[TimerWait, None] = {}

    @property
    def deadline(self) -> float:
        """When it fires, in seconds on the clock of the context; infinity until it is set."""
        return self._deadline

    def expires_after(self, seconds: float) -> int:
        """Set it to fire `seconds` from now; the past means the next turn.

        Returns:
            How many pending waits this cancelled, as in Asio: they waited for the old deadline.

        Raises:
            ValueError: not a number.
        """
        return self.expires_at(self._scheduler.now() + seconds)

    def expires_at(self, deadline: float) -> int:
        """Set it to fire at `deadline`, in seconds on the clock of the context.

        Returns:
            How many pending waits this cancelled.

        Raises:
            ValueError: not a number.
        """
        if math.isnan(deadline):
            raise ValueError("a deadline must be a number of seconds, not NaN")
        count = self.cancel()
        self._deadline = deadline
        return count

    @types.coroutine
    def wait(self) -> Generator[Operation, None, None]:
        """Wait until it fires.

        Raises:
            OperationCancelled: it was cancelled, or set anew.
        """
        op = TimerWait(self._scheduler, self._deadline, self._waits)
        try:
            yield op
        finally:
            with self._scheduler.mutex:
                self._waits.pop(op, None)
        # From here on it has been told; `end` may have come between its resumption and that.
        if op.cause is not READY:
            raise OperationCancelled(op.cause)

    def cancel(self) -> int:
        """End the pending waits with `OperationCancelled`, from any thread.

        A wait that is due but has not been told yet counts as pending: whoever cancels a timer
        before its waiter runs may rely on the waiter not seeing it fire.

        Returns:
            How many waits this ended.
        """
        with self._scheduler.mutex:
            return self.end(Cause.CANCEL)

    def end(self, cause: Cause) -> int:
        """As `cancel`, for another cause. The mutex is held."""
        count = 0
        for op in self._waits:
            if op.claim(cause):
                count += 1
            elif op.cause is Cause.READY:
                op.cause = cause
                count += 1
        return count


@types.coroutine
def sleep(seconds: float) -> Generator[Operation, None, None]:
    """Wait for `seconds`, never less; 0 or less lets everybody else have a turn.

    Raises:
        ValueError: not a number.
    """
    if seconds <= 0:
        yield Yield()
        return
    scheduler = current_task().scheduler
    yield TimerWait(scheduler, scheduler.now() + seconds)


@types.coroutine
def sleep_until(deadline: float) -> Generator[Operation, None, None]:
    """Wait until `deadline`, in seconds on the clock of the context (`IoContext.time`).

    Raises:
        ValueError: not a number.
    """
    yield TimerWait(current_task().scheduler, deadline)
