"""What the reactor stands on while it is explored: locks, a clock, sockets and pollers under control.

Only what the scheduler and the descriptors can tell apart is modelled: a socket has bytes or not, a
poller reports edges or levels, a waker calls it back. How kernels really behave is the business of
the scenarios and of the simulated kernel.
"""

from __future__ import annotations

import socket
from collections import deque
from typing import TYPE_CHECKING, Any

from reactor.descriptor import READ, STICKY, WRITE
from reactor.system import System

from .locks import Condition, Lock
from .steps import ExploreError
from .track import TrackedQueue

if TYPE_CHECKING:
    from .control import Execution
    from .pollers import Poller


class Ground(System):
    """The system seam of one execution."""

    name = "explored"

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self.conditions: list[Condition] = []
        self.pollers: list[Poller] = []
        self.queues: list[TrackedQueue] = []
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

    def queue(self) -> TrackedQueue:
        """Return a tracked queue."""
        self.queues.append(self._make_queue(f"queue-{len(self.queues)}"))
        return self.queues[-1]

    def _make_queue(self, key: str) -> TrackedQueue:
        return TrackedQueue(self._execution, key)

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
