"""Tasks: coroutines that the scheduler drives, one step at a time.

A step resumes the coroutine, which runs until it yields an `Operation`. Only then, with the
coroutine suspended, is the operation parked: from that moment another thread may claim it and step
the task, so nothing here touches the task afterwards.
"""

from __future__ import annotations

from contextvars import ContextVar, copy_context
from functools import partial
from inspect import isawaitable
from types import GeneratorType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from .errors import Cause, OperationCancelled, ReactorError
from .operation import CLAIMED, Operation, Yield
from .scope import CancelScope
from .waitlist import WaitList

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

    from .scheduler import Scheduler

T = TypeVar("T")

READY = Cause.READY

# The move of the hot path, looked up in the table once.
_RESUME = CLAIMED.resume

#: Socket operations that a task may complete inline in one step before others get their turn.
BUDGET = 32

#: How often in one step a cancelled task may start to wait again before others get their turn.
_PATIENCE = 16

#: The task whose coroutine is running. A context variable rather than a thread-local: every task
#: runs in a context of its own anyway, and reading one costs half of the other.
running_task: ContextVar[Task[Any]] = ContextVar("reactor_running_task")


class Task(Generic[T]):
    """A running coroutine; made by `IoContext.spawn` or `TaskGroup.spawn`.

    Owned by the thread that steps it while it runs; while it is suspended, `operation`,
    `interrupted` and `scope` are guarded by the scheduler's mutex.
    """

    __slots__ = (
        "__weakref__",
        "_coro",
        "_error",
        "_joiners",
        "_on_done",
        "_result",
        "_resume",
        "_run",
        "cancelled",
        "credit",
        "done",
        "interrupted",
        "name",
        "operation",
        "root",
        "scheduler",
        "scope",
    )

    def __init__(
        self,
        scheduler: Scheduler,
        coro: Coroutine[Any, Any, T],
        name: str,
        parent: CancelScope | None,
        on_done: Callable[[Task[Any]], None] | None,
    ) -> None:
        self.scheduler = scheduler
        self.name = name
        self._coro = coro
        context = copy_context()
        run: Any = context.run  # typeshed's ParamSpec does not see through `partial`
        self._run = run
        self._resume = partial(run, coro.send, None)
        context.run(running_task.set, self)
        # The operation that the task is suspended in, None while it runs or before it starts.
        self.operation: Operation | None = None
        self.credit = BUDGET
        # True while the innermost scope is cancelled: the next suspension raises instead.
        self.interrupted = False
        self.done = False
        self.cancelled = False
        self._result: T | None = None
        self._error: BaseException | None = None
        self._joiners = WaitList(scheduler, f"task {name}")
        self._on_done = on_done
        self.root: CancelScope
        self.scope: CancelScope
        CancelScope._for_task(self, parent)

    def __repr__(self) -> str:
        state = "cancelled" if self.cancelled else "done" if self.done else "running"
        return f"<Task {self.name} {state}>"

    # -- For users

    def cancel(self) -> bool:
        """Cancel the task, from any thread: what it waits for ends with `OperationCancelled`.

        So does every operation that it starts from now on; the task always gets to run its
        cleanup.

        Returns:
            False when the task was done already.
        """
        if self.done:
            return False
        self.root.cancel()
        return True

    def result(self) -> T:
        """Return what the coroutine returned.

        Raises:
            ReactorError: the task is not done.
            OperationCancelled: it was cancelled.
            BaseException: what the coroutine raised.
        """
        error = self.exception()
        if error is not None:
            raise error
        return self._result  # type: ignore[return-value]  # set when there is no error

    def exception(self) -> BaseException | None:
        """Return what ended the coroutine, None when it returned.

        Raises:
            ReactorError: the task is not done.
        """
        if not self.done:
            raise ReactorError(f"task {self.name} is not done")
        return self._error

    def __await__(self) -> Generator[Operation, None, T]:
        """Wait until the task is done; the value is `result()`."""
        yield from self._joiners.wait_until(lambda: self.done)  # pyright: ignore[reportGeneralTypeIssues]
        if self.cancelled:
            error = self._error
            raise OperationCancelled(
                error.cause if isinstance(error, OperationCancelled) else Cause.CANCEL
            ) from error
        return self.result()

    # -- For the scheduler

    def step(self) -> None:
        """Run the coroutine until it has to wait or ends; called by exactly one thread at a time."""
        scheduler = self.scheduler
        error: BaseException | None = None
        op = self.operation
        if op is not None:
            self.operation = None
            if op.state is CLAIMED:
                op.state = _RESUME
            else:
                with scheduler.mutex:  # DEFERRED: it may be claimed yet, until here
                    op.state = op.state.resume
            if op.cause is not READY:
                error = OperationCancelled(op.cause, scoped=op.scoped)
        self.credit = 0 if self.interrupted else BUDGET
        mutex = scheduler.mutex
        refusals = 0
        while True:
            try:
                op = self._resume() if error is None else self._run(self._coro.throw, error)
            except StopIteration as stop:
                self._finish(stop.value, None)
                return
            except BaseException as exc:  # noqa: BLE001 - _finish decides where it surfaces
                self._finish(None, exc)
                return
            # Not `with`, which costs three times as much as the lock itself.
            mutex.acquire()
            try:
                if self.interrupted:
                    self.credit = 0
                    if refusals < _PATIENCE:
                        refusals += 1
                        error = OperationCancelled(self.scope.reason(), scoped=True)
                        continue
                    # It catches the cancellation and waits again, over and over: let others run.
                    self.operation = op = Yield()
                    op.scoped = True
                    op.defer(self, self.scope.reason())
                    return
                # First, since parking may put the task on the queue, and from there another thread
                # takes it without the mutex.
                self.operation = op
                try:
                    if op.park(self):
                        return
                    error = None
                except Exception as exc:  # noqa: BLE001 - it goes to the coroutine that asked
                    error = exc
                    if not isinstance(op, Operation):
                        error = ReactorError(
                            f"task {self.name} awaited {op!r}, which is not an operation of this library"
                        )
                self.operation = None
            finally:
                mutex.release()

    def _finish(self, result: T | None, error: BaseException | None) -> None:
        scheduler = self.scheduler
        self._result = result
        self._error = error
        self.cancelled = isinstance(error, OperationCancelled)
        # A failing task must not keep its own frames alive through the scope it owns.
        with scheduler.mutex:
            self.done = True
            self.root._detach()
            heard = self._joiners.wake_all() > 0 or self._on_done is not None
            scheduler.tasks.pop(self, None)
            scheduler.finish_work()
        if self._on_done is not None:
            self._on_done(self)
        elif error is not None and not self.cancelled and not heard:
            raise error

    def refuse(self) -> None:
        """Undo the making of the task: it was not started, and its coroutine never runs."""
        with self.scheduler.mutex:
            self.root._detach()
        self._coro.close()

    def abandon(self) -> None:
        """Throw the coroutine away: it went on waiting though everything it starts is cancelled."""
        try:
            self._run(self._coro.close)
        finally:
            self._finish(None, OperationCancelled(Cause.CLOSE))


def current_task() -> Task[Any]:
    """Return the task that is running.

    Raises:
        ReactorError: called from outside a task.
    """
    task = running_task.get(None)
    if task is None:
        raise ReactorError("this can only be done inside a task of an IoContext")
    return task


def name_of(function: object) -> str:
    """Return what a task that runs `function` is called, unless it is given a name."""
    return getattr(function, "__qualname__", None) or type(function).__name__


def as_coroutine(function: Callable[..., Any], args: tuple[Any, ...]) -> Coroutine[Any, Any, Any]:
    """Call `function(*args)` and make sure that what comes back can be driven.

    Raises:
        TypeError: it is not an async function.
    """
    if not callable(function):
        raise TypeError(f"expected an async function and its arguments, got {function!r}")
    made = function(*args)
    if made.__class__ is GeneratorType:
        # A plain generator has a coroutine's methods, and is none unless `types.coroutine` says so.
        drivable = isawaitable(made)
    else:
        drivable = hasattr(made, "send") and hasattr(made, "throw")
    if drivable:
        return made  # type: ignore[no-any-return]
    if hasattr(made, "__await__"):
        return _await(made)
    raise TypeError(f"expected an async function, but {function!r} returned {made!r}")


async def _await(awaitable: Any) -> Any:
    return await awaitable
