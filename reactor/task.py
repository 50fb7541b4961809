"""Tasks: coroutines that the scheduler drives, one step at a time.

A step resumes the coroutine, which runs until it yields an `Operation`. Only then, with the
coroutine suspended, is the operation parked: from that moment another thread may claim it and step
the task, so nothing here touches the task afterwards.
"""

from __future__ import annotations

from contextvars import copy_context
from inspect import isawaitable
from types import CoroutineType, GeneratorType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from .descriptor import IoOperation
from .errors import READY, Cause, OperationCancelled, ReactorError
from .local import running_task
from .operation import BUDGET, CLAIMED, IDLE, PARKED, Operation, Yield
from .scope import CancelScope, cancel_what_is_due
from .waitlist import WaitList

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

    from .scheduler import Runner, Scheduler
    from .timerqueue import MovableEntry

T = TypeVar("T")

# The moves of the hot path, looked up in the table once.
_PARK = IDLE.park
_RESUME = CLAIMED.resume

#: How often in one step a cancelled task may start to wait again before others get their turn.
_PATIENCE = 16


class Task(Generic[T]):
    """A running coroutine; made by `IoContext.spawn` or `TaskGroup.spawn`.

    Owned by the thread that steps it while it runs; while it is suspended, `operation`,
    `interrupted` and `scope` are guarded by the scheduler's mutex.

    What most tasks never have is made when it is asked for: the scope that the whole task runs in, and
    the list of those who wait for its end.

    Attributes:
        root: the scope that the whole task runs in; None while nobody has asked for it.
        scope: the innermost scope that the task has entered; None as long as `root` is.
        alarm: the timer for the deadlines of its scopes; None while it has had none.
        runner: the thread that stepped it last; set for each step by that one.
    """

    __slots__ = (
        "__weakref__",
        "_coro",
        "_error",
        "_joiners",
        "_named",
        "_on_done",
        "_result",
        "_run",
        "_send",
        "alarm",
        "credit",
        "done",
        "interrupted",
        "operation",
        "root",
        "runner",
        "scheduler",
        "scope",
    )

    def __init__(
        self,
        scheduler: Scheduler,
        coro: Coroutine[Any, Any, T],
        named: object,
        on_done: Callable[[Task[Any]], None] | None = None,
    ) -> None:
        self.scheduler = scheduler
        self.runner: Runner
        self._named = named  # its name, or the function that it is named after
        self._coro = coro
        self._run: Any = copy_context().run
        self._send: Any = None  # before the first step
        # The operation that the task is suspended in, None while it runs or before it starts.
        self.operation: Operation | None = None
        # Operations that it may complete inline yet, from the beginning of a step on.
        self.credit = 0
        # True while the innermost scope is cancelled: the next suspension raises instead.
        self.interrupted = False
        self.done = False
        self._result: T | None = None
        self._error: BaseException | None = None
        self._joiners: WaitList | None = None
        self._on_done = on_done
        self.root: CancelScope | None = None
        self.scope: CancelScope | None = None
        self.alarm: MovableEntry | None = None

    def __repr__(self) -> str:
        state = "cancelled" if self.cancelled else "done" if self.done else "running"
        return f"<Task {self.name} {state}>"

    # -- For users

    @property
    def name(self) -> str:
        """What it is called: by who spawned it, or as its function."""
        named = self._named
        return named if isinstance(named, str) else name_of(named)

    @property
    def cancelled(self) -> bool:
        """Whether it ended with an `OperationCancelled` that nobody absorbed."""
        return isinstance(self._error, OperationCancelled)

    def cancel(self) -> bool:
        """Cancel the task, from any thread: what it waits for ends with `OperationCancelled`.

        So does every operation that it starts from now on; the task always gets to run its
        cleanup.

        Returns:
            False when the task was done already.
        """
        if self.done:
            return False
        with self.scheduler.mutex:
            root = self.own_scope()
        root.cancel()
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
            try:
                raise error
            finally:
                del self, error  # see `step`
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
        with self.scheduler.mutex:
            joiners = self._joiners
            if joiners is None:
                joiners = self._joiners = WaitList(self.scheduler, f"task {self.name}")
        yield from joiners.wait_until(self._is_done)  # pyright: ignore[reportGeneralTypeIssues]
        if self.cancelled:
            error = self._error
            raise OperationCancelled(
                error.cause if isinstance(error, OperationCancelled) else Cause.CANCEL
            ) from error
        try:
            return self.result()
        finally:
            del self  # see `step`

    def _is_done(self) -> bool:
        return self.done

    # -- For the scheduler

    def own_scope(self) -> CancelScope:
        """Return the scope that the whole task runs in. The mutex is held."""
        root = self.root
        if root is None:
            root = self.root = self.scope = CancelScope.of_task(self)
        return root

    def ring(self) -> None:
        """Cancel the scopes whose deadlines have passed: what the alarm does. The mutex is held."""
        self.alarm = None
        cancel_what_is_due(self)

    def _reason(self) -> Cause:
        """Return why the task is interrupted. The mutex is held."""
        return Cause.CLOSE if self.scope is None else self.scope.reason()

    def step(self) -> None:
        """Run the coroutine until it has to wait or ends; called by exactly one thread at a time."""
        error: BaseException | None = None
        op = self.operation
        if op is not None:
            self.operation = None
            if op.state is CLAIMED:
                op.state = _RESUME
            else:
                with self.scheduler.mutex:  # DEFERRED: it may be claimed yet, until here
                    op.state = op.state.resume
            if op.cause is not READY:
                error = OperationCancelled(op.cause, scoped=op.scoped)
                op.task = None  # see below, where an error ends the task
        self.credit = BUDGET
        if self.interrupted:  # in this order: who interrupts says so, and then takes the budget
            self.credit = 0
        refusals = 0
        run = self._run
        send = self._send or self._begin
        while True:
            try:
                op = run(send, None) if error is None else run(self._coro.throw, error)
            except StopIteration as stop:
                self._finish(stop.value, None)
                return
            except BaseException as exc:  # noqa: BLE001 - _finish decides where it surfaces
                try:
                    self._finish(None, exc)
                finally:
                    # The task keeps the error, whose traceback keeps this frame: it must not keep the
                    # task, lest all of them wait for the collector.
                    del self, op, run, send
                return
            finally:
                error = None  # likewise
            if op.__class__ is IoOperation:
                # Without the mutex, as nearly always nobody else is interested: from `op.state` on the
                # operation is parked, and another thread may claim it and have the task. Whoever has
                # news for it (readiness, a cancel, a scope) tells it first and then looks whether
                # it is parked, so news from before that are seen here.
                slot = op.slot
                if slot.watched and op.state is IDLE:
                    self.operation = op
                    op.task = self
                    op.state = _PARK
                    if slot.edges == slot.seen and op.late is None and not self.interrupted:
                        return
                    if not self._take_back(op):
                        return
            # Not `with`, which costs three times as much as the lock itself.
            mutex = self.scheduler.mutex
            mutex.acquire()
            try:
                if self.interrupted:
                    self.credit = 0
                    if refusals < _PATIENCE:
                        refusals += 1
                        error = OperationCancelled(self._reason(), scoped=True)
                        continue
                    # It catches the cancellation and waits again, over and over: let others run.
                    self.operation = op = Yield()
                    op.scoped = True
                    op.defer(self, self._reason())
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

    def _begin(self, value: None) -> Any:
        """Run the first step: in the context of the task, which is to know it."""
        running_task.set(self)
        self._send = send = self._coro.send
        del self  # see `step`
        return send(value)

    def _take_back(self, op: IoOperation) -> bool:
        """Claim `op`, which this task has just parked; False when somebody else has claimed it.

        It may have been claimed, resumed and parked again meanwhile, by another thread: that makes no
        difference, since whoever claims it has the task.
        """
        with self.scheduler.mutex:
            if op.state is not PARKED or op.task is not self:
                return False
            op.state = PARKED.claim.resume
            self.operation = None
            return True

    def _finish(self, result: T | None, error: BaseException | None) -> None:
        scheduler = self.scheduler
        # The context knows the task: with the circle broken, both go as soon as nobody wants them.
        self._run = self._send = None
        self._result = result
        self._error = error
        on_done = self._on_done
        heard = on_done is not None
        mutex = scheduler.mutex
        mutex.acquire()  # not `with`: see `step`
        try:
            self.done = True
            if on_done is not None:
                on_done(self)
            if self.alarm is not None:
                scheduler.timers.cancel(self.alarm)
                self.alarm = None
            # Its scope knows it, too.
            self.root = self.scope = None
            if self._joiners is not None and self._joiners.wake_all():
                heard = True
            scheduler.tasks.pop(self, None)
            scheduler.finish_work()
        finally:
            mutex.release()
        if error is not None and not heard and not self.cancelled:
            raise error

    def refuse(self) -> None:
        """Undo the making of the task: it was not started, and its coroutine never runs."""
        self._coro.close()

    def abandon(self) -> None:
        """Throw the coroutine away: it went on waiting though everything it starts is cancelled."""
        try:
            self._run(self._coro.close)
        finally:
            self._finish(None, OperationCancelled(Cause.CLOSE))


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
    if made.__class__ is CoroutineType:  # first, as it is what nearly everybody gives
        return made
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
