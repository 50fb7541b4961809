"""Task groups: child tasks that do not outlive their block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, TypeVar

from .errors import Cause, OperationCancelled, ReactorError
from .local import current_task
from .scope import CancelScope, GroupScope
from .task import Task, as_coroutine
from .waitlist import WaitList

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

T = TypeVar("T")


class TaskGroup:
    """``async with TaskGroup() as group:`` waits at its end for every task spawned in it.

    When a task or the block fails, the others are cancelled, and the failures come out together
    as an ExceptionGroup.
    """

    def __init__(self) -> None:
        self._scope = GroupScope()
        # Guarded by the mutex, as are the scope's `roots`, one for each child that is not done: children
        # may end on other threads.
        # By identity: the block may await a child that fails, and hears of the same exception.
        self._errors: dict[int, BaseException] = {}
        self._open = False
        self._parent: Task[Any] | None = None
        self._waiters: WaitList | None = None

    async def __aenter__(self) -> Self:
        if self._parent is not None:
            raise ReactorError("a task group can be entered only once")
        self._parent = current_task()
        self._waiters = WaitList(self._parent.scheduler, "the tasks of a group")
        self._scope.__enter__()
        self._open = True
        return self

    def spawn(
        self, function: Callable[..., Awaitable[T]], *args: Any, name: str | None = None
    ) -> Task[T]:
        """Start ``function(*args)`` as a child task.

        Raises:
            ContextClosedError: the context is closed.
            ReactorError: the group is not open.
            TypeError: `function` is not an async function.
        """
        parent = self._parent
        if parent is None or not self._open:
            raise ReactorError("tasks can be spawned only inside the block of a task group")
        scheduler = parent.scheduler
        scheduler.check_open()
        coro = as_coroutine(function, args)
        task: Task[T] = Task(scheduler, coro, name or function, self._child_done)
        scheduler.start(task, self._scope)
        return task

    def cancel(self) -> None:
        """Cancel the block and every child, from any thread; the group then ends without an error."""
        self._scope.cancel()

    def _child_done(self, task: Task[Any]) -> None:
        """Take note that `task` is done. The mutex is held."""
        error = task.exception()
        failed = error is not None and not task.cancelled
        if failed and error is not None:
            self._errors[id(error)] = error  # first: who sees that all are done looks at it
        scope = self._scope
        assert task.root is not None
        task.root.detach()  # lest a failed task keep its own frames alive through its scope
        if failed:
            scope._cancel(Cause.CANCEL)
        if not scope.roots and self._waiters is not None:
            self._waiters.wake_all()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        cancelled = error if isinstance(error, OperationCancelled) else None
        assert self._waiters is not None
        if error is not None:
            if cancelled is None:
                with self._waiters.scheduler.mutex:
                    self._errors[id(error)] = error
            self._scope.cancel()
        children = self._scope.roots
        while children:
            try:
                # Once the children have been told, this wait must go on until they are done.
                with CancelScope(shield=cancelled is not None or error is not None):
                    await self._waiters.wait_until(lambda: not children)
            except OperationCancelled as exc:  # from outside, or from the group itself
                cancelled = cancelled or exc
        self._open = False
        try:
            absorbed = self._scope.__exit__(
                OperationCancelled if cancelled else None, cancelled, traceback
            )
            if self._errors:
                errors = list(self._errors.values())
                if len(errors) == 1 and not isinstance(errors[0], Exception):
                    raise errors[0]
                raise BaseExceptionGroup("tasks of a group failed", errors) from None
            if cancelled is not None and cancelled is not error and not absorbed:
                raise cancelled
        finally:
            del self, error, cancelled  # see `Task.step`
        return absorbed
