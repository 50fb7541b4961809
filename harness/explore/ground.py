"""What the reactor stands on while it is explored: locks, a clock, sockets and pollers under control.

Only what the scheduler and the descriptors can tell apart is modelled: a socket has bytes or not, a
poller reports edges or levels, a waker calls it back. How kernels really behave is the business of
the scenarios and of the simulated kernel.
"""

from __future__ import annotations

import socket
from collections import deque
from typing import TYPE_CHECKING, Any

from reactor.backends._level import LevelBackend
from reactor.backends.base import Backend
from reactor.descriptor import READ, STICKY, WRITE
from reactor.system import System

from .control import ExploreError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from reactor.backends.base import Backend as AnyBackend
    from reactor.descriptor import Descriptor

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


class Ground(System):
    """The system seam of one execution."""

    name = "explored"

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self.conditions: list[Condition] = []
        self.pollers: list[Poller] = []
        self._sockets = 0
        execution.next_deadline = self._next_deadline

    def has(self, name: str) -> bool:
        """Nothing but sockets."""
        return False

    def monotonic(self) -> float:
        """Virtual seconds."""
        return self._execution.now

    def get_ident(self) -> int:
        """The number of the controlled thread."""
        current = self._execution.current
        return -1 if current is None else current.index

    def lock(self) -> Lock:
        """Return a controlled mutex."""
        return Lock(self._execution)

    def condition(self, lock: Any) -> Condition:
        """Return a controlled condition."""
        self.conditions.append(Condition(self._execution, lock))
        return self.conditions[-1]

    def adopt(self, sock: Any) -> Any:
        """They are fit as they are."""
        return sock

    def ready_now(self, fd: int, events: int) -> bool:
        """Ask the poller's side of it."""
        raise ExploreError("not modelled: ready_now")

    def socket_pair_end(self) -> FakeSocket:
        """Return a connected socket."""
        self._sockets += 1
        return FakeSocket(self._execution, self, 100 + self._sockets)

    def changed(self, sock: FakeSocket, events: int) -> None:
        """Tell the pollers that `sock` became ready for `events`."""
        for poller in self.pollers:
            poller.changed(sock, events)

    def _next_deadline(self) -> float:
        deadlines = [deadline for condition in self.conditions for deadline in condition.deadlines]
        deadlines += [min(poller.deadline, poller.timer) for poller in self.pollers]
        return min(deadlines, default=float("inf"))


class FakeSocket:
    """A connected stream socket; its other end is in the hands of the program."""

    family = socket.AF_INET

    def __init__(self, execution: Execution, ground: Ground, fd: int) -> None:
        self._execution = execution
        self._ground = ground
        self._fd = fd
        self._key = f"socket{fd}"
        self.inbox: deque[bytes] = deque()
        self.ended = False
        self.room = True
        self.sent: list[bytes] = []
        self.closed = False

    def fileno(self) -> int:
        """The number, -1 when closed."""
        return -1 if self.closed else self._fd

    def _use(self, label: str) -> None:
        self._execution.step(self._key, True, f"{label} on {self._key}")
        if self.closed:
            self._execution.fail("use after close", f"{label} on {self._key}, which is closed")

    # -- Called by the reactor

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Take what is there."""
        self._use("recv")
        if self.inbox:
            data = b"".join(self.inbox)
            self.inbox.clear()
            return data
        if self.ended:
            return b""
        raise BlockingIOError

    def recv_into(self, buffer: memoryview, size: int = 0, flags: int = 0) -> int:
        """Take the next piece into a buffer."""
        data = self.recv(0)
        buffer[: len(data)] = data
        return len(data)

    def send(self, data: bytes, flags: int = 0) -> int:
        """Give a piece, if there is room."""
        self._use("send")
        if not self.room:
            raise BlockingIOError
        self.sent.append(bytes(data))
        return len(data)

    def close(self) -> None:
        """Close; the number is free from here on."""
        self._use("close")
        self.closed = True

    # -- Called by the program, for the other end

    def arrive(self, data: bytes) -> None:
        """A piece arrives; the poller learns of it a moment later, as on a real machine."""
        self._execution.step(self._key, True, f"data arrives at {self._key}")
        if not self.closed:
            self.inbox.append(data)
            self._ground.changed(self, READ)

    def steal(self) -> None:
        """Another reader of the same socket takes what is there; the poller does not say so."""
        self._execution.step(self._key, True, f"somebody else reads {self._key}")
        self.inbox.clear()

    def end(self) -> None:
        """The stream ends."""
        self._execution.step(self._key, True, f"the end arrives at {self._key}")
        if not self.closed:
            self.ended = True
            self._ground.changed(self, READ | STICKY)

    def drain(self) -> None:
        """There is room to send again."""
        self._execution.step(self._key, True, f"room at {self._key}")
        if not self.closed:
            self.room = True
            self._ground.changed(self, WRITE)

    def readiness(self, asked: int = READ | WRITE) -> int:
        """What a poller that is asked for some events would report now: an end with the reading."""
        readable = READ if self.inbox or self.ended else 0
        events = (readable | (WRITE if self.room else 0)) & asked
        return events | (STICKY if self.ended and events & READ else 0)


class ScriptedWaker:
    """A waker: a flag of the poller."""

    name = "scripted"
    fd = -1

    def __init__(self, poller: Poller) -> None:
        self._poller = poller
        self.failures = 0

    def wake(self) -> bool:
        """Raise the flag, unless the write is to fail."""
        self._poller.step("writes the waker")
        if self._poller.closed:
            self._poller.execution.fail("use after close", "the waker is written after close")
        if self.failures:
            self.failures -= 1
            return False
        self._poller.woken = True
        return True

    def drain(self) -> None:
        """Lower the flag."""
        self._poller.step("drains the waker")
        self._poller.woken = False

    def close(self) -> None:
        """Nothing to give back."""


class Poller:
    """The kernel's side of a backend."""

    def __init__(self, execution: Execution, ground: Ground, *, edge: bool) -> None:
        self.execution = execution
        self._key = execution.name_of(self)
        self._edge = edge
        self.sockets: dict[int, FakeSocket] = {}
        self.watched: dict[int, int] = {}
        self.pending: dict[int, int] = {}
        self.woken = False
        self.closed = False
        self.inside = 0
        self.deadline = float("inf")  # of the wait in progress
        self.timer = float("inf")  # when the kernel's timer goes off
        ground.pollers.append(self)

    def step(
        self,
        label: str,
        harmless: Callable[[], bool] | None = None,
        looks: Callable[[], Sequence[str]] | None = None,
    ) -> None:
        """Announce a change of the poller's state."""
        self.execution.step(
            self._key, True, label, None, self._ready, harmless=harmless, looks=looks
        )

    def _ready(self) -> bool:
        return self.woken or self.execution.now >= self.timer or bool(self._events())

    def _events(self) -> dict[int, int]:
        if self._edge:
            return self.pending
        return {
            fd: events
            for fd, mask in self.watched.items()
            if (events := self.sockets[fd].readiness(mask))
        }

    def changed(self, sock: FakeSocket, events: int) -> None:
        """A socket became ready for something; a level-triggered poller looks for itself."""
        if not self._edge:
            return
        fd = sock.fileno()

        def elsewhere() -> bool:
            return self.watched.get(fd, 0) & events == 0 or self.sockets[fd] is not sock

        self.step(f"the kernel notes events {events} of fd {fd}", harmless=elsewhere)
        if not elsewhere():
            self.pending[fd] = self.pending.get(fd, 0) | events

    def _watched_sockets(self) -> list[str]:
        """What a level-triggered wait looks at."""
        return [] if self._edge else [self.sockets[fd]._key for fd in self.watched]

    def watch(self, sock: FakeSocket, events: int) -> None:
        """Watch a socket for `events`, or no longer for 0."""
        fd = sock.fileno()
        looks = (lambda: [sock._key]) if self._edge and events else None
        self.step(f"watches fd {fd} for {events}", looks=looks)
        if self.closed:
            self.execution.fail("use after close", "the poller is used after close")
        if events:
            self.sockets[fd], self.watched[fd] = sock, events
            if self._edge and (now := sock.readiness(events)):
                self.pending[fd] = now
        else:
            self.watched.pop(fd, None)
            self.pending.pop(fd, None)

    def wait(self, timeout: float | None) -> list[tuple[int, int]]:
        """Wait; a step that ends when there is something to report."""
        execution = self.execution
        if self.inside:
            execution.fail("two leaders", "a second thread enters the poller's wait")
        self.inside += 1
        if timeout is not None:
            self.deadline = execution.now + timeout

        def enabled() -> bool:
            return timeout == 0 or self._ready() or execution.now >= self.deadline

        label = f"waits in the poller ({'for ever' if timeout is None else f'{timeout:g} s'})"
        try:
            looks = self._watched_sockets
            execution.step(self._key, True, label, enabled, self._ready, timeout != 0, looks=looks)
        finally:
            self.inside -= 1
            if timeout is not None:
                self.deadline = float("inf")
        events = list(self._events().items())
        self.pending.clear()
        return events


class _Scripted(Backend):
    """What both scripted backends share; mixed in before `Backend` or `LevelBackend`."""

    wakers = ("scripted",)
    _edge = True

    def open(self) -> None:
        """Make the kernel's side."""
        super().open()
        assert isinstance(self.system, Ground)
        self.poller = Poller(self.system._execution, self.system, edge=self._edge)

    def make_waker(self, name: str) -> Any:
        """Make the flag."""
        return ScriptedWaker(self.poller)

    def watch_waker(self, fd: int) -> None:
        """The poller has it."""

    def wait(self, timeout: float | None) -> list[tuple[Descriptor, int]]:
        """Ask the poller."""
        reported = self.poller.wait(timeout)
        if self.poller.woken:
            self.waker.drain()
        if self.poller.execution.now >= self.poller.timer:
            self.poller.timer = float("inf")
            self.timer_fired()
        get = self.descriptors.get
        return [(found, events) for fd, events in reported if (found := get(fd)) is not None]

    def close_poller(self) -> None:
        """No more of it."""
        self.poller.step("closes the poller")
        self.poller.closed = True


class EdgeBackend(_Scripted):
    """Edge-triggered, woken by a flag, timed by the wait's own timeout."""

    name = "edge"
    edge_triggered = True

    def add(self, descriptor: Descriptor) -> None:
        """Watch for everything."""
        self.poller.watch(descriptor.sock, READ | WRITE)

    def remove(self, descriptor: Descriptor) -> None:
        """Watch for nothing."""
        self.poller.watch(descriptor.sock, 0)


class TimerBackend(EdgeBackend):
    """As `EdgeBackend`, with a kernel timer."""

    name = "edge-timer"
    timers = ("timer",)

    def open_timer(self, name: str) -> None:
        """The poller has it."""

    def arm(self, seconds: float | None) -> None:
        """Set the kernel's timer, which a wait in progress sees."""
        self.poller.step(f"sets the kernel's timer to {seconds}")
        now = self.poller.execution.now
        self.poller.timer = float("inf") if seconds is None else now + seconds


class LevelBackendScripted(_Scripted, LevelBackend):
    """Level-triggered: what is ready is reported as long as it is asked for.

    The leader alone changes what is watched, before it waits: as with poll(2) and select(2), what
    others ask for meanwhile is not seen.
    """

    name = "level"
    _edge = False

    def change(self, fd: int, before: int, interest: int) -> None:
        """Watch for what is asked."""
        descriptor = self.descriptors.get(fd)
        if descriptor is not None:
            self.poller.watch(descriptor.sock, interest)
        else:
            self.poller.step(f"watches fd {fd} no longer")
            self.poller.watched.pop(fd, None)

    def wait(self, timeout: float | None) -> list[tuple[Descriptor, int]]:
        """Tell the poller what changed, and ask it."""
        self.apply_changes()
        return super().wait(timeout)


BACKENDS: dict[str, Callable[[System], AnyBackend]] = {
    "edge": EdgeBackend,
    "edge-timer": TimerBackend,
    "level": LevelBackendScripted,
}
