"""Faults: a system that answers what a scenario wants it to answer.

The subject is given a `System` (see `reactor.system`) whose sockets, clock and waker writes look
into a fault table first. Some errors cannot be provoked on loopback without root, or not on this
kernel; the table makes them happen at a chosen call. The rest is provoked for real.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from reactor.system import System

from .clock import FakeClock, FakeEpoll, FakeKqueue, FakePoll
from .kernel import SimulatedSocket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reactor.system import ConditionLike

#: The calls that a fault can be put on.
CALLS = (
    "accept",
    "connect",
    "getpeername",
    "getsockopt",
    "recv",
    "recv_into",
    "recvfrom",
    "recvmsg_into",
    "send",
    "sendmsg",
    "sendto",
    "setsockopt",
    "shutdown",
    "wake",
)


@dataclass
class Rule:
    """What happens at some calls of one kind.

    Attributes:
        call: one of `CALLS`.
        errors: errno values, one for each affected call.
        answers: given back instead, each one made by a function of the real call.
        skip: so many calls pass before.
        fileno: only calls on this descriptor; None for any.
        times: how many calls were affected so far.
    """

    call: str
    errors: list[int] = field(default_factory=list)
    answers: list[Callable[[Callable[[], Any]], Any]] = field(default_factory=list)
    skip: int = 0
    fileno: int | None = None
    times: int = 0


class FaultTable:
    """The rules in force, and a record of the calls that were made."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards both: the subject may run on several threads
        self._rules: list[Rule] = []
        self.calls: dict[str, int] = dict.fromkeys(CALLS, 0)

    def add(self, rule: Rule) -> Rule:
        """Put a rule in force.

        Raises:
            ValueError: it names a call that has no faults.
        """
        if rule.call not in CALLS:
            raise ValueError(f"no faults for {rule.call!r}; there are: {', '.join(CALLS)}")
        with self._lock:
            self._rules.append(rule)
        return rule

    def clear(self) -> None:
        """Lift every rule."""
        with self._lock:
            self._rules.clear()

    def apply(self, call: str, fileno: int, real: Callable[[], Any]) -> Any:
        """Answer one call: by the first rule that concerns it, else for real."""
        error = 0
        answer: Callable[[Callable[[], Any]], Any] | None = None
        with self._lock:
            self.calls[call] += 1
            for rule in self._rules:
                if rule.call != call or rule.fileno not in (None, fileno):
                    continue
                if rule.skip:
                    rule.skip -= 1
                elif rule.errors:
                    error = rule.errors.pop(0)
                elif rule.answers:
                    answer = rule.answers.pop(0)
                else:
                    continue
                if error or answer is not None:
                    rule.times += 1
                break
        if error:
            raise OSError(error, os.strerror(error))
        return real() if answer is None else answer(real)


class FaultCalls:
    """Mixed in before a kind of socket: its calls go through the fault table."""

    table: FaultTable

    if TYPE_CHECKING:  # it is a socket, too

        def fileno(self) -> int: ...  # noqa: D102
        def settimeout(self, value: float | None) -> None: ...  # noqa: D102

    @classmethod
    def of(cls, sock: Any, table: FaultTable) -> Self:
        """Take the descriptor of `sock` over."""
        timeout = sock.gettimeout()
        self = cls._over(sock)
        self.settimeout(timeout)
        self.table = table
        return self

    @classmethod
    def _over(cls, sock: Any) -> Self:
        raise NotImplementedError

    def _faulty(self, name: str, *args: Any) -> Any:
        real = getattr(super(), name)
        return self.table.apply(name, self.fileno(), lambda: real(*args))

    def accept(self) -> tuple[socket.socket, Any]:
        """As `socket.socket.accept`."""
        return self._faulty("accept")  # type: ignore[no-any-return]

    def connect(self, address: Any, /) -> None:
        """As `socket.socket.connect`."""
        self._faulty("connect", address)

    def getpeername(self) -> Any:
        """As `socket.socket.getpeername`."""
        return self._faulty("getpeername")

    def getsockopt(self, *args: Any) -> Any:
        """As `socket.socket.getsockopt`."""
        return self._faulty("getsockopt", *args)

    def setsockopt(self, *args: Any) -> None:
        """As `socket.socket.setsockopt`."""
        self._faulty("setsockopt", *args)

    def shutdown(self, how: int, /) -> None:
        """As `socket.socket.shutdown`."""
        self._faulty("shutdown", how)

    def recv(self, *args: Any) -> bytes:
        """As `socket.socket.recv`."""
        return self._faulty("recv", *args)  # type: ignore[no-any-return]

    def recv_into(self, *args: Any) -> int:
        """As `socket.socket.recv_into`."""
        return self._faulty("recv_into", *args)  # type: ignore[no-any-return]

    def recvmsg_into(self, *args: Any) -> Any:
        """As `socket.socket.recvmsg_into`."""
        return self._faulty("recvmsg_into", *args)

    def send(self, *args: Any) -> int:
        """As `socket.socket.send`."""
        return self._faulty("send", *args)  # type: ignore[no-any-return]

    def sendmsg(self, *args: Any) -> int:
        """As `socket.socket.sendmsg`."""
        return self._faulty("sendmsg", *args)  # type: ignore[no-any-return]

    def recvfrom(self, *args: Any) -> tuple[bytes, Any]:
        """As `socket.socket.recvfrom`."""
        return self._faulty("recvfrom", *args)  # type: ignore[no-any-return]

    def sendto(self, *args: Any) -> int:
        """As `socket.socket.sendto`."""
        return self._faulty("sendto", *args)  # type: ignore[no-any-return]


class FaultSocket(FaultCalls, socket.socket):
    """A live socket with faults."""

    @classmethod
    def _over(cls, sock: Any) -> Self:
        return cls(sock.family, sock.type, sock.proto, fileno=sock.detach())


class SimulatedFaultSocket(FaultCalls, SimulatedSocket):  # type: ignore[misc]  # its accept makes others
    """A simulated socket with faults."""

    @classmethod
    def _over(cls, sock: Any) -> Self:
        return cls(sock._kernel, sock.family, sock.type, sock.proto, fileno=sock.detach())


class CountingCondition:
    """A condition that counts the threads it has woken, with its lock held."""

    def __init__(self, real: ConditionLike) -> None:
        self._real = real
        self.notify = real.notify
        self.notify_all = real.notify_all
        self.wakeups = 0

    def wait(self, timeout: float | None = None) -> bool:
        """As `threading.Condition.wait`."""
        woken = self._real.wait(timeout)
        self.wakeups += woken
        return woken


class LabSystem(System):
    """Mixed in before a system: sockets with faults, and the fake clock if there is one.

    Attributes:
        plain: a system of the same kind without all this.
    """

    table: FaultTable
    clock: FakeClock | None
    plain: System

    def adopt(self, sock: Any) -> Any:
        """Put the fault table before the socket's calls."""
        if not isinstance(sock, FaultCalls):
            for kind, faulty in _FAULTY.items():
                if isinstance(sock, kind):
                    sock = faulty.of(sock, self.table)
                    break
        return super().adopt(sock)

    def condition(self, lock: Any) -> CountingCondition:
        """As the system's, and it counts."""
        return CountingCondition(super().condition(lock))

    def write(self, fd: int, data: bytes) -> int:
        """The only descriptor written through the system is the waker's."""
        real = super().write
        return self.table.apply("wake", fd, lambda: real(fd, data))  # type: ignore[no-any-return]

    def has(self, name: str) -> bool:
        """Kernel timers know nothing of virtual time."""
        return super().has(name) and not (name == "timerfd" and self.clock is not None)

    def epoll(self) -> Any:
        """As the system's, in virtual time if there is a fake clock."""
        real = super().epoll()
        return real if self.clock is None else FakeEpoll(self.clock, real)

    def kqueue(self) -> Any:
        """As the system's, in virtual time if there is a fake clock."""
        real = super().kqueue()
        return real if self.clock is None else FakeKqueue(self.clock, real)

    def poll(self) -> Any:
        """As the system's, in virtual time if there is a fake clock."""
        real = super().poll()
        return real if self.clock is None else FakePoll(self.clock, real)

    def select(self, readers: Any, writers: Any, exceptional: Any, timeout: float | None) -> Any:
        """As the system's, in virtual time if there is a fake clock."""
        real = super().select
        if self.clock is None:
            return real(readers, writers, exceptional, timeout)
        return self.clock.wait(
            timeout, lambda seconds: real(readers, writers, exceptional, seconds)
        )

    def ready_now(self, fd: int, events: int) -> bool:
        """No wait, so the fake clock is not asked."""
        return self.plain.ready_now(fd, events)


#: Of each kind of socket the one with faults, made of one without.
_FAULTY: dict[type, type[FaultCalls]] = {
    socket.socket: FaultSocket,
    SimulatedSocket: SimulatedFaultSocket,
}


def lab_system(
    kind: type[System], table: FaultTable, clock: FakeClock | None, *args: Any
) -> System:
    """Make a system of a kind, of its arguments, with faults and, maybe, a fake clock."""
    made = type("LabSystem", (LabSystem, kind), {})(*args)
    assert isinstance(made, LabSystem)
    made.plain = kind(*args)
    made.table = table
    made.clock = clock
    if clock is not None:
        made.monotonic = clock.monotonic
    return made


#: How many alarms have been handled since the last storm began.
_alarms = [0]


def _count_alarm(_number: int, _frame: object) -> None:
    _alarms[0] += 1


@contextlib.contextmanager
def alarms_counted() -> Iterator[None]:
    """Inside, SIGALRM does no more than interrupt; only the main thread may enter this.

    Scenarios run in any thread of the subject, where Python lets nobody set a handler.
    """
    before = signal.signal(signal.SIGALRM, _count_alarm)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def signal_storm(interval: float = 0.001) -> Iterator[list[int]]:
    """Interrupt system calls once per `interval` seconds, within `alarms_counted`.

    The kernel sends the signal to the main thread as long as that one does not block it.

    Yields:
        A list whose only item counts the signals that were handled.
    """
    _alarms[0] = 0
    signal.setitimer(signal.ITIMER_REAL, interval, interval)
    try:
        yield _alarms
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
