"""The nemesis: what a kernel may do at any time, and seldom does.

A rule says at which call of its kind it holds, counted from 1 for each kind since the kernel began.
Rules are plain data. Each can only make happen what some real kernel may do; where the state of the
kernel at that moment does not allow it, the rule passes without effect.

What a wait may do, by poller:

- all: return later than the event that ends it (`Late`); then more has happened, and is in one batch.
  Report a socket that is not ready (`Spurious`: select(2) and poll(2) of Linux, BUGS; epoll(7) and
  kqueue(2) for the edge of something that was taken meanwhile). Let other threads run between
  looking and returning (`Preempt`).
- epoll, kqueue: report fewer events than there are, the rest the next time (`Split`: epoll_wait(2)
  goes round the ready list, kevent(2) promises no more than `nevents`), in any order (`Shuffle`).
- poll, select: neither. They look at every descriptor in each call, and the order is the caller's.

EINTR reaches the caller of connect only: everywhere else CPython makes the call again (PEP 475).
"""

from __future__ import annotations

import errno
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Final

from .description import fail
from .tcp import TcpSocket
from .tcpstate import State

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .description import Description
    from .kernel import Kernel

#: Errors of a call that leave everything as it was: the manual pages of the call, POSIX or a kernel.
FAILURES: Final[dict[str, frozenset[str]]] = {
    # accept(2): the connection stays in the queue.
    "accept": frozenset({"EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"}),
    "socket": frozenset({"EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"}),
    "recv": frozenset({"ENOBUFS", "ENOMEM"}),
    "send": frozenset({"ENOBUFS", "ENOMEM"}),
    # epoll_ctl(2), kqueue(2).
    "register": frozenset({"ENOMEM"}),
}

#: What ends a connection from outside: tcp(7), keepalive and retransmission; RFC 1122 4.2.3.9.
BREAKS: Final = frozenset({"ETIMEDOUT", "EHOSTUNREACH", "ECONNRESET"})

#: Where a thread may be pre-empted: before a lock is taken, after it is given back, before each kind
#: of system call, before and after a wait; ``any`` counts all of them.
POINTS: Final = frozenset(
    {"any", "acquire", "release", "wait", "waited", "wake", "connect", "socket", *FAILURES}
)


@dataclass(frozen=True, slots=True)
class Fault:
    """Base of the rules.

    Attributes:
        nth: at which call of its kind, from 1.
    """

    #: The kind of call, for rules that have but one.
    at: ClassVar[str] = ""
    nth: int

    @property
    def call(self) -> str:
        """The kind of call that it waits for."""
        return self.at

    def check(self) -> None:
        """Raise ValueError unless a kernel may do this."""
        if self.nth < 1:
            raise ValueError(f"calls are counted from 1, not {self.nth}")


@dataclass(frozen=True, slots=True)
class _OfKind(Fault):
    """Base of the rules that say themselves which kind of call they wait for."""

    kind: str

    @property
    def call(self) -> str:
        """The kind of call that it waits for."""
        return self.kind


@dataclass(frozen=True, slots=True)
class Fail(_OfKind):
    """The call fails, and has changed nothing.

    Attributes:
        kind: of call; a key of `FAILURES`.
        code: the errno, by name.
    """

    code: str

    def check(self) -> None:
        """Raise ValueError unless that call may fail so."""
        Fault.check(self)
        if self.code not in FAILURES.get(self.kind, ()):
            raise ValueError(f"{self.kind} does not fail with {self.code}")


@dataclass(frozen=True, slots=True)
class Short(_OfKind):
    """A receive or send moves fewer bytes than it could.

    Of TCP the rest of a receive counts as not there yet: it arrives right after, with an event.
    That is so because epoll(7) and others promise that a short read has drained a stream; a Unix
    socket promises nothing (unix(7): a read stops at ancillary data).

    Attributes:
        kind: ``recv`` or ``send``.
        size: bytes that are moved at most, from 1.
    """

    size: int

    def check(self) -> None:
        """Raise ValueError unless the call moves bytes."""
        Fault.check(self)
        if self.kind not in {"recv", "send"} or self.size < 1:
            raise ValueError(f"no short {self.kind} of {self.size} bytes")


@dataclass(frozen=True, slots=True)
class Break(_OfKind):
    """A receive or send finds that the TCP connection has ended, for both sides.

    Attributes:
        kind: ``recv`` or ``send``.
        code: one of `BREAKS`.
    """

    code: str

    def check(self) -> None:
        """Raise ValueError unless a connection ends so."""
        Fault.check(self)
        if self.kind not in {"recv", "send"} or self.code not in BREAKS:
            raise ValueError(f"no connection ends with {self.code} in {self.kind}")


@dataclass(frozen=True, slots=True)
class Interrupt(Fault):
    """A signal interrupts connect, which goes on by itself (POSIX connect)."""

    at: ClassVar[str] = "connect"


@dataclass(frozen=True, slots=True)
class Full(Fault):
    """A wake-up finds its pipe or counter full: EAGAIN, and the other end is readable all the same."""

    at: ClassVar[str] = "wake"


@dataclass(frozen=True, slots=True)
class Spurious(Fault):
    """A wait reports a socket that is not ready."""

    at: ClassVar[str] = "wait"


@dataclass(frozen=True, slots=True)
class Late(Fault):
    """A wait returns later than what ends it.

    Attributes:
        seconds: how much later.
    """

    at: ClassVar[str] = "wait"
    seconds: float

    def check(self) -> None:
        """Raise ValueError for a time that cannot pass."""
        Fault.check(self)
        if not 0 < self.seconds < 1e6:
            raise ValueError(f"a wait cannot be late by {self.seconds} seconds")


@dataclass(frozen=True, slots=True)
class Split(Fault):
    """A wait of epoll or kqueue reports one event of several; the rest come the next time."""

    at: ClassVar[str] = "wait"


@dataclass(frozen=True, slots=True)
class Shuffle(Fault):
    """A wait of epoll or kqueue reports its events in another order."""

    at: ClassVar[str] = "wait"


@dataclass(frozen=True, slots=True)
class ClockStep(Fault):
    """The wall clock is set; the monotonic one does not know of it (clock_gettime(2)).

    Attributes:
        seconds: how far forward, or back.
    """

    at: ClassVar[str] = "wait"
    seconds: float


@dataclass(frozen=True, slots=True)
class Preempt(Fault):
    """Another thread runs first, if one can.

    Attributes:
        point: where, one of `POINTS`.
    """

    point: str = "any"

    def check(self) -> None:
        """Raise ValueError unless there is such a point."""
        Fault.check(self)
        if self.point not in POINTS:
            raise ValueError(f"no point {self.point!r}; there are: {', '.join(sorted(POINTS))}")


_KINDS: Final[dict[str, type[Fault]]] = {
    kind.__name__.lower(): kind
    for kind in (
        *(Fail, Short, Break, Interrupt, Full),
        *(Spurious, Late, Split, Shuffle, ClockStep, Preempt),
    )
}


def to_data(fault: Fault) -> dict[str, Any]:
    """Return a rule as plain data."""
    return {"fault": type(fault).__name__.lower(), **asdict(fault)}


def from_data(data: Any) -> Fault:
    """Read a rule back.

    Raises:
        ValueError: it is none, or none that a kernel may follow.
    """
    kind = _KINDS.get(data.get("fault", "")) if isinstance(data, dict) else None
    if kind is None:
        raise ValueError(f"not a fault: {data!r}")
    values = {name: value for name, value in data.items() if name != "fault"}
    types = {field.name: str(field.type) for field in fields(kind)}
    if values.keys() != types.keys():
        raise ValueError(f"a fault {data['fault']} has {', '.join(types)}: {data!r}")
    for name, value in values.items():
        wanted = {"int": int, "float": (int, float), "str": str}[types[name]]
        if isinstance(value, bool) or not isinstance(value, wanted):  # type: ignore[arg-type]  # as the dictionary has them
            raise ValueError(f"{name} of a fault {data['fault']} cannot be {value!r}")  # noqa: TRY004 - one kind of error for who reads a file
    made = kind(**values)
    made.check()
    return made


class Nemesis:
    """Makes rules come true in one kernel, which asks it at every call and point.

    Args:
        kernel: the kernel; it is told.
        faults: the rules.

    Attributes:
        struck: the rules that had an effect, in order.
        busy: threads that a rule keeps from returning out of a wait.

    Raises:
        ValueError: a rule is not legal.
    """

    def __init__(self, kernel: Kernel, faults: Iterable[Fault]) -> None:
        self._kernel = kernel
        self._rules: dict[tuple[str, int], list[Fault]] = {}
        self._points: dict[str, set[int]] = {}
        for fault in faults:
            fault.check()
            if isinstance(fault, Preempt):
                self._points.setdefault(fault.point, set()).add(fault.nth)
            else:
                self._rules.setdefault((fault.call, fault.nth), []).append(fault)
        self._calls: dict[str, int] = {}
        self._passed: dict[str, int] = {}
        self.struck: list[Fault] = []
        self.busy = 0
        kernel.nemesis = self

    def point(self, name: str) -> None:
        """A thread is at a point where another may go first."""
        if not self._points:
            return
        for which in ("any", name):
            wanted = self._points.get(which)
            if wanted is not None:
                passed = self._passed[which] = self._passed.get(which, 0) + 1
                if passed in wanted:
                    self._kernel.baton.give_way(name)

    def enter(self, call: str, description: Description | None) -> list[Fault]:
        """A call begins; returns the rules that its code has to follow.

        Raises:
            OSError: the call fails.
        """
        self.point(call)
        count = self._calls[call] = self._calls.get(call, 0) + 1
        rules = self._rules.get((call, count))
        return [] if rules is None else [rule for rule in rules if self._holds(rule, description)]

    def _holds(self, rule: Fault, description: Description | None) -> bool:
        kernel = self._kernel
        connected = isinstance(description, TcpSocket) and description.state in {
            State.ESTABLISHED,
            State.FIN_WAIT,
            State.CLOSE_WAIT,
        }
        if isinstance(rule, Fail):
            if rule.kind == "accept" and description is not None and not description.can_read():
                return False  # there was nothing to fail with
            self.strike(rule)
            raise fail(getattr(errno, rule.code))
        if isinstance(rule, Break):
            if not connected:
                return False
            assert isinstance(description, TcpSocket)
            self.strike(rule)
            peer = description.peer
            for side in (description, peer):
                if side is not None:
                    side.break_off(getattr(errno, rule.code))
            return False
        if isinstance(rule, ClockStep):
            self.strike(rule)
            kernel.set_wall_clock(rule.seconds)
            return False
        # The end has been seen, so everything before it is there.
        return not (
            isinstance(rule, Short) and isinstance(description, TcpSocket) and description.ended
        )

    def strike(self, rule: Fault) -> None:
        """Note that a rule has its effect."""
        self.struck.append(rule)
        values = to_data(rule)
        self._kernel.record("fault", values.pop("fault"), *values.values())
