"""Cancel scopes and deadlines.

Cancellation is a property of a region of code, not an event: while a scope is cancelled, every
operation started inside it ends at once with `OperationCancelled` and does no I/O. The scope that
was cancelled absorbs the exception. (The model is trio's; an edge-like cancel, delivered once, is
lost by whoever catches it, see corosio 17fa5e5.)

The tree of scopes (`parent`, `_children`) and `cancel_called` are guarded by the mutex of the
scheduler that the owning task runs on.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Self

from .errors import Cause, OperationCancelled, ReactorError

if TYPE_CHECKING:
    from types import TracebackType

    from .task import Task
    from .timerqueue import TimerEntry


def _current_task() -> Task[Any]:
    global _current_task  # noqa: PLW0603 - `task` imports this module first
    from .task import current_task as _current_task

    return _current_task()


class CancelScope:
    """A region of a task that can be cancelled as a whole, with an optional deadline.

    Args:
        deadline: seconds on the clock of the context (`IoContext.time`), infinity for none.
        shield: a cancelled scope outside does not reach in here.

    Attributes:
        cancel_called: the scope has been cancelled, by `cancel` or by its deadline.
        cancelled_caught: it has absorbed an `OperationCancelled`.
    """

    __slots__ = (
        "_cause",
        "_children",
        "_deadline",
        "_entry",
        "_shield",
        "_task",
        "cancel_called",
        "cancelled_caught",
        "parent",
    )

    def __init__(self, deadline: float = math.inf, *, shield: bool = False) -> None:
        if deadline != deadline:  # noqa: PLR0124 - NaN, without a call
            raise ValueError("a deadline must be a number of seconds, not NaN")
        self._deadline = deadline
        self._shield = shield
        self._entry: TimerEntry | None = None
        self._task: Task[Any] | None = None
        self._children: dict[CancelScope, None] = {}
        self._cause = Cause.CANCEL
        self.parent: CancelScope | None = None
        self.cancel_called = False
        self.cancelled_caught = False

    @classmethod
    def of_task(cls, task: Task[Any]) -> CancelScope:
        """Make the scope that a whole task runs in."""
        scope = cls()
        scope._task = task
        return scope

    def put_below(self, parent: CancelScope) -> None:
        """Be reached by what cancels `parent`; that of a task which a group spawns. The mutex is held."""
        self.parent = parent
        parent._children[self] = None
        assert self._task is not None
        self._refresh(self._task)

    @property
    def deadline(self) -> float:
        """When the scope cancels itself, in seconds on the clock of the context."""
        return self._deadline

    def reschedule(self, deadline: float) -> None:
        """Move the deadline; one in the past cancels at the next operation.

        Raises:
            ValueError: not a number.
        """
        if math.isnan(deadline):
            raise ValueError("a deadline must be a number of seconds, not NaN")
        self._deadline = deadline
        task = self._task
        if task is not None:
            with task.scheduler.mutex:
                if self.parent is not None and self in self.parent._children:  # not left yet
                    self._arm(task)

    @property
    def shield(self) -> bool:
        """Whether cancelled scopes outside are kept out."""
        return self._shield

    def cancel(self) -> None:
        """Cancel everything inside, from any thread; does nothing the second time."""
        if self._task is None:
            # No mutex is its own yet. Entering says whose it is before it looks whether it is
            # cancelled, and this the other way round, so one of the two sees the other.
            self.cancel_called = True
        task = self._task
        if task is not None:
            with task.scheduler.mutex:
                if self.cancel_called:
                    self.interrupt_inside()
                else:
                    self._cancel(Cause.CANCEL)

    def reached(self) -> bool:
        """Tell whether this scope or one around it, up to a shield, is cancelled."""
        scope: CancelScope | None = self
        closing = self._task is not None and self._task.scheduler.closing
        while scope is not None:
            if scope.cancel_called:
                return True
            if scope._shield and not closing:
                return False
            scope = scope.parent
        return closing

    def reason(self) -> Cause:
        """Return the cause of the innermost cancelled scope from here outwards."""
        scope: CancelScope | None = self
        while scope is not None:
            if scope.cancel_called:
                return scope._cause
            scope = scope.parent
        return Cause.CLOSE

    def __enter__(self) -> Self:
        self._enter(_current_task())
        return self

    def _enter(self, task: Task[Any]) -> None:
        if self._task is not None:
            raise ReactorError("a cancel scope can be entered only once")
        mutex = task.scheduler.mutex
        mutex.acquire()  # not `with`: see `Task.step`
        try:
            self._task = task
            self.parent = outer = task.scope or task.own_scope()
            outer._children[self] = None
            task.scope = self
            if self._deadline != math.inf:
                self._arm(task)
            if self._shield or self.cancel_called:  # any other changes nothing for the task
                self._refresh(task)
        finally:
            mutex.release()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        task = self._task
        assert task is not None
        if task.scope is not self:
            raise ReactorError("cancel scopes must be left in the reverse order of entering them")
        mutex = task.scheduler.mutex
        mutex.acquire()  # not `with`: see `Task.step`
        try:
            if self._entry is not None:
                self._disarm(task)
            parent = self.parent
            assert parent is not None
            parent._children.pop(self, None)
            task.scope = parent
            if self._shield or task.interrupted:
                self._refresh(task)
            outer = task.interrupted
        finally:
            mutex.release()
        absorbed = (
            self.cancel_called
            and not outer
            and isinstance(error, OperationCancelled)
            and error.scoped
        )
        self.cancelled_caught = absorbed
        return absorbed

    # -- With the mutex held

    def _detach(self) -> None:
        if self.parent is not None:
            self.parent._children.pop(self, None)

    def _arm(self, task: Task[Any]) -> None:
        if self._entry is not None:
            self._disarm(task)
        if self.cancel_called or self._deadline == math.inf:
            return
        if self._deadline <= task.scheduler.now():
            self._cancel(Cause.DEADLINE)
        else:
            self._entry = task.scheduler.add_timer(self._deadline, self._expire)

    def _disarm(self, task: Task[Any]) -> None:
        if self._entry is not None:
            task.scheduler.timers.cancel(self._entry)
            self._entry = None

    def _expire(self) -> None:
        self._entry = None
        self._cancel(Cause.DEADLINE)

    def _cancel(self, cause: Cause) -> None:
        if not self.cancel_called:
            self.cancel_called = True
            self._cause = cause
            self.interrupt_inside()

    def interrupt_inside(self) -> None:
        """Reach every task whose innermost scope lies in here, unshielded; the mutex is held."""
        pending: list[CancelScope] = [self]
        while pending:
            scope = pending.pop()
            task = scope._task
            if task is not None and task.scope is scope:
                self._refresh(task)
                # Looked up once: a thread that steps the task takes it away without the mutex.
                operation = task.operation
                if task.interrupted and operation is not None:
                    operation.claim(scope.reason(), scoped=True)
            pending.extend(
                child for child in scope._children if not child._shield or scope._closing(task)
            )

    @staticmethod
    def _closing(task: Task[Any] | None) -> bool:
        return task is not None and task.scheduler.closing

    @staticmethod
    def _refresh(task: Task[Any]) -> None:
        assert task.scope is not None
        task.interrupted = task.scope.reached()
        if task.interrupted:
            task.credit = 0  # its next operation suspends, and learns it there


class timeout_at(CancelScope):  # noqa: N801 - used like a function, as asyncio.timeout_at
    """``with timeout_at(deadline):`` cancels the block at `deadline` and raises TimeoutError.

    Args:
        deadline: seconds on the clock of the context; one in the past cuts the first operation.

    Raises:
        TimeoutError: at the end of the block, if the deadline ended an operation in it.
    """

    __slots__ = ()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        absorbed = super().__exit__(kind, error, traceback)
        if absorbed and self._cause is Cause.DEADLINE:
            raise TimeoutError("the deadline of the block passed") from error
        return absorbed


class timeout(timeout_at):  # noqa: N801 - used like a function, as asyncio.timeout
    """``with timeout(seconds):`` cancels the block after `seconds` and raises TimeoutError.

    Args:
        seconds: from the moment the block is entered; None for no limit.

    Raises:
        TimeoutError: at the end of the block, if the deadline ended an operation in it.
        ValueError: `seconds` is not a number.
    """

    __slots__ = ("_seconds",)

    def __init__(self, seconds: float | None) -> None:
        super().__init__()
        if seconds is not None and math.isnan(seconds):
            raise ValueError("a timeout must be a number of seconds, not NaN")
        self._seconds = seconds

    def __enter__(self) -> Self:
        task = _current_task()
        if self._seconds is not None:
            self._deadline = task.scheduler.now() + self._seconds
        self._enter(task)
        return self
