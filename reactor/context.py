"""`IoContext`: what a user makes and runs."""

from __future__ import annotations

import math
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, Self, TypeVar

from . import backends, dump as _dump
from .errors import ReactorError
from .local import running_task
from .scheduler import Scheduler
from .system import System
from .task import Task, as_coroutine
from .timing import TimedCall

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from concurrent.futures import ThreadPoolExecutor

    from .backends.base import Backend
    from .counters import Counters

T = TypeVar("T")

_new = object.__new__


class WorkGuard:
    """Keeps `IoContext.run` from returning for lack of work, until it is released."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler: Scheduler | None = scheduler
        with scheduler.mutex:
            scheduler.signal.add_work()

    def release(self) -> None:
        """Let `run` return when nothing else is left; the second time nothing happens."""
        scheduler, self._scheduler = self._scheduler, None
        if scheduler is not None:
            with scheduler.mutex:
                scheduler.finish_work()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.release()


class IoContext:
    """A scheduler and its poller: runs tasks, posted calls, I/O and timers.

    Any number of threads may call `run` at the same time. Leaving the ``with`` block, or `close`,
    ends whatever is still going on.

    Args:
        backend: ``name[+waker][+timer]``, such as ``epoll``, ``epoll+pipe``, ``poll`` or
            ``kqueue+pipe+timeout``; None for $REACTOR_BACKEND, else the best of the platform.
            A backend of your own is given as its class (see `reactor.backends.base`).
        system: the operating system, or a stand-in for it (see `reactor.system`).

    Raises:
        BackendError: the backend is unknown, or not there.
        OSError: out of descriptors; nothing is left behind.
    """

    def __init__(
        self,
        backend: str | Callable[[System], Backend] | None = None,
        *,
        system: System | None = None,
    ) -> None:
        self.system = system or System()
        self.scheduler = Scheduler(self, self.system, backends.make(backend, self.system))
        self._executor: ThreadPoolExecutor | None = None  # guarded by the mutex

    # -- Running

    def run(self) -> int:
        """Run handlers until there is no work left, or `stop`.

        Work is what has been posted or spawned and is not done, and every `work_guard`.

        Returns:
            How many handlers this thread ran: posted calls, and steps of tasks.

        Raises:
            BaseException: what a posted call raised, or a task that nobody waits for; the context
                is intact, and `run` may be called again.
            ContextClosedError: the context is closed.
            ReactorError: this thread is inside `run` of this context already.
        """
        return self.scheduler.run()

    def run_one(self, timeout: float | None = None) -> int:
        """Run one handler, waiting for it for at most `timeout` seconds (None: no limit).

        Returns:
            1, or 0 when there was none in time, no work, or the context is stopped.

        Raises:
            ValueError: `timeout` is negative or not a number.
        """
        deadline = math.inf if timeout is None else self._deadline(timeout)
        return self.scheduler.run(limit=1, deadline=deadline)

    def run_for(self, seconds: float) -> int:
        """Run handlers for `seconds`, or until there is no work left.

        Raises:
            ValueError: `seconds` is negative or not a number.
        """
        return self.scheduler.run(deadline=self._deadline(seconds))

    def poll(self) -> int:
        """Run what can run without waiting; returns how many handlers that were."""
        return self.scheduler.run(block=False)

    def poll_one(self) -> int:
        """Run at most one handler, without waiting; returns 1 or 0."""
        return self.scheduler.run(limit=1, block=False)

    def _deadline(self, seconds: float) -> float:
        if not seconds >= 0:  # also NaN
            raise ValueError(f"a time to run for is 0 seconds or more, got {seconds}")
        return self.scheduler.now() + seconds

    def stop(self) -> None:
        """Make every `run` return as soon as its current handler has; from any thread.

        It stays so until `restart`: a `run` called meanwhile returns at once.
        """
        self.scheduler.stop()

    @property
    def stopped(self) -> bool:
        """Whether `stop` is in force."""
        return self.scheduler.signal.stopped

    def restart(self) -> None:
        """Allow `run` again after a `stop`; what was queued is still there."""
        self.scheduler.restart()

    def work_guard(self) -> WorkGuard:
        """Keep `run` going without work, until the guard is released or its ``with`` block ends."""
        return WorkGuard(self.scheduler)

    # -- Giving it work

    def post(self, function: Callable[..., object], *args: Any) -> None:
        """Have ``function(*args)`` called by a thread in `run`, in the caller's context variables.

        From any thread, also from a handler: then it runs after what is queued already.

        Raises:
            ContextClosedError: the context is closed.
            TypeError: `function` cannot be called.
        """
        scheduler = self.scheduler
        if scheduler.closing:
            raise scheduler.refusal()
        # `variables_for`, written out: a call of it would be a tenth of all that a post costs.
        if not callable(function):
            raise _not_callable(function)
        variables = copy_context()
        if running_task.get(None) is not None:
            variables.run(_no_task)
        scheduler.queue.append((variables, function, args))
        if scheduler.signal.asleep:  # after the append: see `SignalState`
            with scheduler.mutex:
                scheduler.wake()

    def call_at(self, deadline: float, function: Callable[..., object], *args: Any) -> TimedCall:
        """Have ``function(*args)`` called as by `post`, but not before `deadline`.

        From any thread. It is work, which keeps `run` going, until then or until it is cancelled. Of
        equal deadlines the one given first is called first.

        Args:
            deadline: seconds on the clock of the context (`time`); the past means the next turn.
            function: what is called.
            args: with what.

        Returns:
            What `TimedCall.cancel` takes it back with.

        Raises:
            ContextClosedError: the context is closed.
            TypeError: `function` cannot be called.
            ValueError: the deadline is not a number.
        """
        return self._put_off(deadline, function, args)

    def call_later(self, seconds: float, function: Callable[..., object], *args: Any) -> TimedCall:
        """Have ``function(*args)`` called as by `call_at`, `seconds` from now."""
        return self._put_off(self.scheduler.now() + seconds, function, args)

    def _put_off(
        self, deadline: float, function: Callable[..., object], args: tuple[Any, ...]
    ) -> TimedCall:
        scheduler = self.scheduler
        timed = _new(TimedCall)  # without a constructor, which costs as much as the rest
        timed.deadline = deadline
        timed.action = function
        timed.args = args
        timed.variables = variables_for(function)
        timed.scheduler = scheduler
        mutex = scheduler.mutex
        mutex.acquire()  # not `with`: see `Task.step`
        try:
            if scheduler.closing:
                raise scheduler.refusal()
            scheduler.arm(timed)
            scheduler.signal.work += 1
        finally:
            mutex.release()
        return timed

    def spawn(
        self, function: Callable[..., Awaitable[T]], *args: Any, name: str | None = None
    ) -> Task[T]:
        """Start ``function(*args)`` as a task; from any thread.

        Await the task to get its result. If it fails and nobody awaits it, its exception comes out
        of `run`.

        Raises:
            ContextClosedError: the context is closed.
            TypeError: `function` is not an async function.
        """
        scheduler = self.scheduler
        if scheduler.closing:
            raise scheduler.refusal()
        task: Task[T] = Task(scheduler, as_coroutine(function, args), name or function)
        scheduler.start(task)
        return task

    def executor(self) -> ThreadPoolExecutor:
        """Return the thread pool of `to_thread`. The mutex is held."""
        if self._executor is None:
            self._executor = self.system.executor()
        return self._executor

    def disown(self) -> None:
        """Forget what stays with the parent of a forked child: the threads of the pool."""
        self._executor = None

    # -- Ending it

    @property
    def closed(self) -> bool:
        """Whether the context has been closed."""
        return self.scheduler.closed

    def close(self) -> None:
        """Cancel every task, let their cleanup run, close every socket and the poller.

        Posted calls that have not run are dropped. Threads in `run` return first. Afterwards no
        code of the user runs any more. Again: no effect.

        Raises:
            ReactorError: called from a handler of this context.
            BaseException: what a task raised in its cleanup (several: as an ExceptionGroup).
        """
        scheduler = self.scheduler
        if not scheduler.begin_close():
            return
        try:
            errors = scheduler.drain()
        finally:
            for descriptor in list(scheduler.descriptors):
                if descriptor.owner is not None:
                    descriptor.owner.close()
            with scheduler.mutex:
                scheduler.backend.close()
            if self._executor is not None:
                self._executor.shutdown(wait=True, cancel_futures=True)
        if len(errors) == 1:
            raise errors[0]
        if errors:
            raise BaseExceptionGroup("tasks failed while the context was closed", errors)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # -- Looking at it

    @property
    def backend(self) -> Backend:
        """The poller; `Backend.spec` names it with its waker and timer."""
        return self.scheduler.backend

    def time(self) -> float:
        """Return the clock that deadlines are on: monotonic seconds."""
        return self.scheduler.now()

    @property
    def task_count(self) -> int:
        """How many tasks are not done."""
        return len(self.scheduler.tasks)

    @property
    def descriptor_count(self) -> int:
        """How many sockets are open."""
        return len(self.scheduler.descriptors)

    @property
    def timer_count(self) -> int:
        """How many timers are armed; those for the timeouts of one task are one."""
        with self.scheduler.mutex:
            return len(self.scheduler.timers)

    def counters(self) -> Counters:
        """Return what has been counted so far."""
        with self.scheduler.mutex:
            return _dump.count(self.scheduler)

    def dump(self) -> _dump.Dump:
        """Return what is going on right now; from any thread."""
        with self.scheduler.mutex:
            return _dump.dump(self.scheduler)

    def __repr__(self) -> str:
        return f"<IoContext {'closed' if self.closed else self.backend.spec}>"


def variables_for(function: Callable[..., object]) -> Context:
    """Return the caller's context variables for a call of `function` that is part of no task.

    Raises:
        TypeError: `function` cannot be called.
    """
    if not callable(function):
        raise _not_callable(function)
    variables = copy_context()
    if running_task.get(None) is not None:
        variables.run(_no_task)
    return variables


def _not_callable(function: object) -> TypeError:
    return TypeError(f"expected something to call, got {function!r}")


def _no_task() -> None:
    running_task.set(None)  # type: ignore[arg-type]  # "no task": a posted call is not part of one


def run(
    function: Callable[..., Awaitable[T]],
    *args: Any,
    backend: str | Callable[[System], Backend] | None = None,
    system: System | None = None,
) -> T:
    """Make a context, run ``function(*args)`` in it to its end, close it, and return the result.

    Tasks that are still going on are cancelled. Spawn with `current_context().spawn`, or better,
    in a `TaskGroup`.

    Raises:
        BaseException: what the function raised.
        ReactorError: the context was stopped before the function ended.
    """
    with IoContext(backend, system=system) as context:
        task = context.spawn(function, *args)
        # Its end ends the run, whatever else is going on; and its error is ours, not `run`'s.
        context.spawn(_stop_after, context, task, name="reactor.run")
        context.run()
        if not task.done:
            raise ReactorError("the context was stopped before the main task had ended")
        return task.result()


async def _stop_after(context: IoContext, task: Task[Any]) -> None:
    try:
        await task
    except BaseException:  # noqa: BLE001 - `run` raises it from the task's result
        pass
    finally:
        context.stop()
