"""What the tests of the scheduling half share: contexts that cannot hang, threads, a watched system."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any

import reactor
from harness.faults import FaultTable, lab_system
from reactor import IoContext, System, backends
from reactor.signals import WAITING

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.clock import FakeClock

#: Seconds after which something that should have happened did not: only a bug waits that long.
SAFETY = 20.0

#: The same in virtual time, where it costs nothing: longer than any sleep of a test.
VIRTUAL_SAFETY = 1e8

#: Every backend of this machine, and one with its second waker.
SPECS = backends.available()
SPECS += [f"{name}+pipe" for name in SPECS if name in {"epoll", "kqueue"}]


@contextlib.contextmanager
def watched(context):
    """A `run` of `context` that hangs in the block is stopped in the end, and that is a failure."""
    hung = threading.Event()

    def rescue():
        hung.set()
        context.stop()
        with context.scheduler.mutex:
            if not context.closed:
                context.backend.interrupt()  # whatever the signal state says

    watchdog = threading.Timer(1.25 * SAFETY, rescue)
    watchdog.daemon = True
    watchdog.start()
    try:
        yield
    finally:
        watchdog.cancel()
        watchdog.join()
    assert not hung.is_set(), "a run hung"


@contextlib.contextmanager
def guarded(context):
    """Close `context` at the end of the block, and do not let it hang."""
    with watched(context), context:
        yield context


def live(spec=None, system=None):
    """A context on the real clock."""
    return guarded(IoContext(spec, system=system))


def virtual_system(clock, table=None):
    """The real system in the time of `clock`."""
    return lab_system(System, table or FaultTable(), clock)


def virtual(spec, clock):
    """A context in the time of `clock`."""
    return guarded(IoContext(spec, system=virtual_system(clock)))


def run(main, spec=None, clock: FakeClock | None = None):
    """Run `main` to its end in a context of its own; one that hangs fails."""

    async def bounded():
        seconds = SAFETY if clock is None else VIRTUAL_SAFETY
        with watched(reactor.current_context()), reactor.timeout(seconds) as scope:
            result = await main()
        assert not scope.cancel_called, "it hung, and went on when it was cancelled"
        return result

    system = None if clock is None else virtual_system(clock)
    return reactor.run(bounded, backend=spec, system=system)


async def turns(count=3):
    """Let everybody else have some turns: enough to begin, to wait, and to be told."""
    for _ in range(count):
        await reactor.sleep(0)


async def forever():
    await reactor.sleep(float("inf"))


async def started(function, *args, name: str | None = None) -> reactor.Task[Any]:
    """A task that has run as far as it can."""
    task = reactor.current_context().spawn(function, *args, name=name)
    await turns()
    return task


class Worker(threading.Thread):
    """A thread that calls `function` and keeps what came of it."""

    def __init__(self, function, *args):
        super().__init__(daemon=True)
        self._function = function
        self._args = args
        self._value: Any = None
        self._error: BaseException | None = None
        self.start()

    def run(self):
        try:
            self._value = self._function(*self._args)
        except BaseException as exc:  # noqa: BLE001 - `end` raises it
            self._error = exc

    def end(self):
        """Wait for the end; return or raise what the function did."""
        self.join(SAFETY)
        assert not self.is_alive(), "a thread hangs"
        if self._error is not None:
            raise self._error
        return self._value


class Signal:
    """Something that a thread says once or more, and another waits for."""

    def __init__(self):
        self._semaphore = threading.Semaphore(0)

    def set(self, *_):
        self._semaphore.release()

    def wait(self, times=1):
        for _ in range(times):
            assert self._semaphore.acquire(timeout=SAFETY), "it did not happen"


class WatchedCondition(threading.Condition):
    """Says when a thread is about to sleep; it still holds the mutex then, and gives it up asleep."""

    system: WatchedSystem

    def wait(self, timeout: float | None = None) -> bool:
        self.system.asleep.set()
        self.system.changed.set()
        if timeout is not None:
            self.system.ahead += timeout
            timeout = 0
        return super().wait(timeout)


class WatchedSystem(System):
    """The real system, where a test sees threads fall asleep.

    A sleep on the condition for a limited time is over at once, and the clock says that it was not.

    Attributes:
        ahead: seconds that the clock is ahead of the real one.
        asleep: set by each follower, and by a closing thread, that is about to sleep.
        changed: set by those, and by each leader that is about to block.
    """

    def __init__(self):
        self.asleep = Signal()
        self.changed = Signal()
        self.ahead = 0.0
        self.monotonic = lambda: time.monotonic() + self.ahead

    def condition(self, lock: Any) -> WatchedCondition:
        made = WatchedCondition(lock)
        made.system = self
        return made


class WatchedWait:
    """Stands before `backend.wait`: how many are inside, and who is about to block.

    Attributes:
        most: the largest number of threads that were inside at once.
        blocking: set by each wait that may block. The signal state already says so, and a
            wake-up that comes before the kernel is reached is not lost.
        before: called at the start of each such wait, in its thread, with the timeout; what it
            returns is the timeout that the poller is given.
    """

    def __init__(self, context):
        self._system = context.system
        self._real = context.backend.wait
        self._lock = threading.Lock()
        self._inside = 0
        self.most = 0
        self.calls = 0
        self.blocking = Signal()
        self.before: Callable[[float | None], float | None] = lambda timeout: timeout
        context.backend.wait = self

    def __call__(self, timeout):
        with self._lock:
            self._inside += 1
            self.calls += 1
            self.most = max(self.most, self._inside)
        try:
            if timeout != 0:
                before = self.before
                self.blocking.set()
                if isinstance(self._system, WatchedSystem):
                    self._system.changed.set()
                timeout = before(timeout)
            return self._real(timeout)
        finally:
            with self._lock:
                self._inside -= 1


def at_rest(context, count, busy=0):
    """Wait until `count` threads are in `run` and find nothing to do: one leads, the others sleep.

    But `busy` of them are in a handler.

    The context needs a `WatchedSystem` and a `WatchedWait`. Whatever brings the threads to rest is
    said after it has been counted, so a look that comes too early is followed by another.
    """
    scheduler = context.scheduler
    signal = scheduler.signal
    while True:
        with scheduler.mutex:
            if (
                (signal.runners, signal.idle, signal.signalled) == (count, count - 1 - busy, 0)
                and signal.leader is WAITING
                and not scheduler.queued()
            ):
                return
        context.system.changed.wait()


@contextlib.contextmanager
def crew(context, count):
    """`count` threads inside `run`: one in the kernel wait, the others asleep. Yields the threads.

    The block keeps them there by a guard; at its end all must come back.
    """
    with context.work_guard():
        threads = [Worker(context.run) for _ in range(count)]
        at_rest(context, count)
        yield threads
    for thread in threads:
        thread.end()
