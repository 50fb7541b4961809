"""Threads under a baton: one runs at a time, and they change places where one of them waits.

A virtual thread is a real one, so that any code can run in it, but it runs only while it holds the
baton. Who waits hands over what it waits for, as a function that looks; whoever gives the baton on
looks for it, so no wake-up can be forgotten. Time moves when everybody waits, and then to the next
moment for which somebody asked. When nobody asked for one either, that is a deadlock, and an error.
A kernel may give its threads slices too: then one that does not wait lets others go on after some calls.
"""

from __future__ import annotations

import contextlib
import math
import os
import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from .kernel import Kernel

T = TypeVar("T")


class DeadlockError(RuntimeError):
    """Every thread of a simulated kernel waits, and nothing is left that could wake one."""


class AbandonedError(BaseException):
    """The threads of a simulated kernel were ended from outside."""


def _always() -> bool:
    return True


class Workers:
    """Real threads that run one function after the other: to start one costs more than a program.

    They are kept until they are dismissed.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards the rest; taken by whoever starts, ends or is one
        self._idle: list[SimpleQueue[Callable[[], object] | None]] = []
        self._all: list[SimpleQueue[Callable[[], object] | None]] = []

    def run(self, function: Callable[[], object]) -> None:
        """Run `function`, which raises nothing, on a thread that has nothing else to do."""
        with self._lock:
            jobs = self._idle.pop() if self._idle else None
            if jobs is None:
                jobs = SimpleQueue()
                self._all.append(jobs)
                threading.Thread(target=self._serve, args=(jobs,), daemon=True).start()
        jobs.put(function)

    def _serve(self, jobs: SimpleQueue[Callable[[], object] | None]) -> None:
        while (function := jobs.get()) is not None:
            function()
            del function
            with self._lock:
                if jobs in self._all:
                    self._idle.append(jobs)

    def dismiss(self) -> None:
        """Let every thread end: at once, or when what it runs has."""
        with self._lock:
            leaving = self._all
            self._all, self._idle = [], []
        for jobs in leaving:
            jobs.put(None)

    def forget(self) -> None:
        """Start anew in a forked child, where the threads are not."""
        self.__init__()  # type: ignore[misc]  # a lock that was held at the fork would stay so


WORKERS = Workers()
os.register_at_fork(after_in_child=WORKERS.forget)


class VirtualThread:
    """One thread of a simulated kernel.

    Attributes:
        name: for people.
        ident: a number that is the same in every run, from 1; 0 is a visitor's (`Baton.visited`).
    """

    def __init__(self, baton: Baton, name: str, ident: int) -> None:
        self._baton = baton
        self.name = name
        self.ident = ident
        self.done = False
        self.gate = threading.Lock()
        self.gate.acquire()
        # What it waits for; None while it does not wait.
        self.ready: Callable[[], object] | None = None
        self.deadline: int | None = None
        self.what = ""
        self.came = False
        self.gone = threading.Lock()
        self.gone.acquire()
        self.doomed: str | None = None
        self.raised: BaseException | None = None

    def is_alive(self) -> bool:
        """Tell whether it has not ended."""
        return not self.done

    def join(self, timeout: float | None = None) -> None:
        """Wait, for at most so many seconds of virtual time, until it has ended.

        Raises:
            BaseException: what its function raised.
        """
        self._baton.sleep_for(lambda: self.done, timeout, f"the end of {self.name}")
        if self.raised is not None:
            raised, self.raised = self.raised, None
            raise raised


class Baton:
    """Who runs, and who is next.

    Args:
        kernel: whose time and random numbers it uses.
        slice_calls: calls after which, on average, a thread lets another go on; 0 for never.
    """

    def __init__(self, kernel: Kernel, slice_calls: int = 0) -> None:
        self._kernel = kernel
        self._local = threading.local()
        self.point = kernel.point
        self._idents = 0
        self._slice = slice_calls
        self._left = slice_calls
        self._ended = False
        self.threads: list[VirtualThread] = []

    def _new(self, name: str) -> VirtualThread:
        self._idents += 1
        thread = VirtualThread(self, name, self._idents)
        self.threads.append(thread)
        return thread

    def current(self) -> VirtualThread:
        """Return the calling thread; the first one that asks becomes the main thread.

        Raises:
            RuntimeError: the caller is a thread that the kernel does not know.
        """
        thread: VirtualThread | None = getattr(self._local, "thread", None)
        if thread is None:
            if self._idents:
                name = threading.current_thread().name
                raise RuntimeError(f"{name} is not a thread of this kernel: start it with `spawn`")
            thread = self._local.thread = self._new("main")
        return thread

    def spawn(self, name: str, function: Callable[[], object]) -> VirtualThread:
        """Start a thread; it runs for the first time when the others wait."""
        self.current()
        thread = self._new(name)

        def body() -> None:
            thread.gate.acquire()
            self._local.thread = thread
            try:
                if not self._ended:
                    function()
            except BaseException as exc:  # noqa: BLE001 - handed to who joins
                thread.raised = exc
            thread.done = True
            self.threads.remove(thread)
            gate = thread.gone
            if self.threads and not self._ended:
                gate = self._next().gate
            del self._local.thread
            gate.release()

        WORKERS.run(body)
        return thread

    def sleep(self, ready: Callable[[], object], deadline: int | None, what: str) -> bool:
        """Wait until `ready()` is true or the clock shows `deadline`, in nanoseconds.

        Returns:
            False when it was the deadline.

        Raises:
            DeadlockError: everybody waits, for ever.
            AbandonedError: `end` was called.
        """
        me = self.current()
        if self._ended:
            raise AbandonedError
        me.ready, me.deadline, me.what = ready, deadline, what
        self._hand_over(me, self._next())
        return me.came

    def _hand_over(self, me: VirtualThread, chosen: VirtualThread) -> None:
        if chosen is not me:
            chosen.gate.release()
            me.gate.acquire()
        if self._ended:
            raise AbandonedError
        if me.doomed is not None:
            doomed, me.doomed = me.doomed, None
            raise DeadlockError(doomed)

    def sleep_for(self, ready: Callable[[], object], timeout: float | None, what: str) -> bool:
        """As `sleep`, for `timeout` seconds; None for ever."""
        kernel = self._kernel
        deadline = None if timeout is None else kernel.now + math.ceil(timeout * 1_000_000_000)
        return self.sleep(ready, deadline, what)

    def pass_on(self) -> None:
        """Let another thread run, if one can."""
        self.sleep(_always, None, "its turn")

    def give_way(self, point: str) -> None:
        """Be pre-empted at `point`: another thread runs, if one can."""
        me = self.current()
        now = self._kernel.now
        others = [
            thread
            for thread in self.threads
            if thread is not me
            and (
                thread.ready is None
                or thread.ready()
                or (thread.deadline is not None and thread.deadline <= now)
            )
        ]
        if self._ended or not others:
            return
        self._kernel.record("pre-empted", point)
        chosen = self._choose(others)
        me.ready, me.deadline, me.what = _always, None, f"its turn at {point}"
        self._hand_over(me, chosen)

    def end(self) -> None:
        """Throw every other thread out of what it waits for; nothing can wait any more."""
        me = self.current()
        self._ended = True
        for thread in [thread for thread in self.threads if thread is not me]:
            thread.gate.release()
            thread.gone.acquire()

    def step(self) -> None:
        """The running thread makes a call: with its slice used up, it lets another go on."""
        if not self._slice or not self.current().ident:
            return
        self._left -= 1
        if self._left < 0:
            self._left = self._kernel.random.randrange(2 * self._slice)
            self.pass_on()

    def describe(self) -> str:
        """Say who waits for what."""
        return "; ".join(
            f"{thread.name} waits for {thread.what}" if thread.ready else f"{thread.name} runs"
            for thread in self.threads
        )

    @contextlib.contextmanager
    def visited(self) -> Iterator[None]:
        """Inside, the calling thread may look around, beside the one that runs; it must not wait."""
        before = getattr(self._local, "thread", None)
        self._local.thread = VirtualThread(self, "visitor", 0)
        try:
            yield
        finally:
            self._local.thread = before

    def _next(self) -> VirtualThread:
        """Choose who runs now, moving the clock when nobody can."""
        kernel = self._kernel
        while True:
            able = [thread for thread in self.threads if thread.ready is None or thread.ready()]
            late = [
                thread
                for thread in self.threads
                if thread not in able
                and thread.deadline is not None
                and thread.deadline <= kernel.now
            ]
            if able or late:
                return self._choose(able + late)
            dues = [thread.deadline for thread in self.threads if thread.deadline is not None]
            due = kernel.next_timer()
            if due is not None:
                dues.append(due)
            if kernel.on_idle():
                continue
            if not dues:
                return self._doom()
            kernel.move_clock(min(dues))

    def _choose(self, among: list[VirtualThread]) -> VirtualThread:
        chosen = among[0] if len(among) == 1 else self._kernel.random.choice(among)
        chosen.came = chosen.ready is None or bool(chosen.ready())
        chosen.ready = None
        return chosen

    def _doom(self) -> VirtualThread:
        """End every wait with an error that says who waits for what; the main thread hears first."""
        message = f"deadlock: {self.describe()}"
        for thread in self.threads:
            thread.doomed = message
            thread.ready = None
        return self.threads[0]


class VirtualQueue(deque[Any]):
    """A queue between threads under the baton; who appends to it may have to let others go on."""

    def __init__(self, baton: Baton) -> None:
        super().__init__()
        self._baton = baton

    def append(self, item: Any, /) -> None:
        """As `deque.append`."""
        super().append(item)
        self._baton.step()


class VirtualLock:
    """`threading.Lock` under the baton."""

    def __init__(self, baton: Baton) -> None:
        self.baton = baton
        self._owner: VirtualThread | None = None

    def acquire(self) -> bool:
        """As `threading.Lock.acquire`."""
        self.baton.step()
        self.baton.point("acquire")
        me = self.baton.current()
        if self._owner is not None:
            self.baton.sleep(self._free, None, f"a lock that {self._owner.name} holds")
        self._owner = me
        return True

    def _free(self) -> bool:
        return self._owner is None

    def locked(self) -> bool:
        """As `threading.Lock.locked`."""
        return self._owner is not None

    def release(self) -> None:
        """As `threading.Lock.release`."""
        if self._owner is None:
            raise RuntimeError("release of a lock that nobody holds")
        self._owner = None
        self.baton.point("release")

    __enter__ = acquire

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        self.release()


class VirtualCondition:
    """`threading.Condition` under the baton."""

    def __init__(self, kernel: Kernel, lock: VirtualLock) -> None:
        self._kernel = kernel
        self._lock = lock
        self._waiting: list[list[bool]] = []

    def wait(self, timeout: float | None = None) -> bool:
        """As `threading.Condition.wait`, seconds."""
        notified = [False]
        self._waiting.append(notified)
        self._lock.release()
        try:
            return self._kernel.sleep(lambda: notified[0], timeout, "a condition")
        finally:
            if notified in self._waiting:
                self._waiting.remove(notified)
            self._lock.acquire()

    def notify(self, n: int = 1) -> None:
        """As `threading.Condition.notify`."""
        for notified in self._waiting[:n]:
            notified[0] = True
        del self._waiting[:n]

    def notify_all(self) -> None:
        """As `threading.Condition.notify_all`."""
        self.notify(len(self._waiting))


class VirtualExecutor(ThreadPoolExecutor):
    """A pool whose calls each run in a virtual thread of their own."""

    def __init__(self, baton: Baton) -> None:
        super().__init__(1)
        self._baton = baton
        self._started: list[VirtualThread] = []

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """As `concurrent.futures.Executor.submit`."""
        future: Future[T] = Future()

        def work() -> None:
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as exc:  # noqa: BLE001 - that is what a future is for
                future.set_exception(exc)

        number = len(self._started) + 1
        self._started.append(self._baton.spawn(f"worker {number}", work))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - the base class has it so
        """As `concurrent.futures.Executor.shutdown`; what was submitted runs in any case."""
        if wait:
            for thread in self._started:
                thread.join()
        super().shutdown(wait=wait, cancel_futures=cancel_futures)
