"""What a program has: regions of its tasks, connections, listeners, operations; and what was found."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from reactor import Cause, Task

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reactor import Acceptor, CancelScope, StreamSocket

    from ..kernel import SimulatedSocket
    from ..kernel.endpoint import Endpoint


_PATTERN: Final = random.Random(0).randbytes(1 << 16)
_LONG: Final = _PATTERN * 8


def pattern(salt: int, start: int, size: int) -> bytes:
    """Return the bytes that a stream carries from position `start` on."""
    begin = (start + salt * 7919) % len(_PATTERN)
    return _LONG[begin : begin + size]


@dataclass(frozen=True)
class Finding:
    """A law that did not hold.

    Attributes:
        law: in a word, by which two findings are of one kind.
        detail: what was seen.
        at: virtual time in seconds since the program began.
    """

    law: str
    detail: str
    at: float


@dataclass(eq=False)
class Frame:
    """A region of a task that can be ended: the task, a scope, a deadline, a shield.

    Attributes:
        called: somebody is about to cancel it.
        done: somebody has cancelled it.
        overdue: its deadline had passed when every thread waited at this time.
    """

    parent: Frame | None = None
    scope: CancelScope | None = None
    deadline: float | None = None
    shield: bool = False
    called: bool = False
    done: bool = False
    overdue: float | None = None

    def reaching(self, *, closing: bool = False) -> Iterator[Frame]:
        """Yield what can end something in here: this and those around it, up to a shield.

        Args:
            closing: the context is being closed, and no shield holds.
        """
        frame: Frame | None = self
        while frame is not None:
            yield frame
            if frame.shield and not closing:
                return
            frame = frame.parent

    def may(self, now: float, *, closing: bool) -> set[Cause]:
        """Return the causes with which something in here may be ended."""
        causes = {Cause.CLOSE} if closing else set()
        for frame in self.reaching(closing=closing):
            if frame.called:
                causes.add(Cause.CANCEL)
            if frame.deadline is not None and frame.deadline <= now:
                causes.add(Cause.DEADLINE)
        return causes

    def must(self, now: float, late: float) -> bool:
        """Whether something in here has to be over by now, while every thread waits.

        Args:
            now: the time.
            late: so many seconds are allowed.
        """
        for frame in self.reaching():
            if frame.done:
                return True
            if frame.deadline is not None and frame.deadline <= now:
                frame.overdue = now if frame.overdue is None else frame.overdue
                if now - frame.overdue > late:
                    return True
        return False


@dataclass(eq=False)
class End:
    """One side of a connection, the reactor's or a peer's.

    Attributes:
        sock: the reactor's socket, None for a peer's.
        raw: the peer's socket.
        endpoint: what the kernel has of it.
        other: what the kernel has of the other side, None when that is not known.
        sent, received: what its operations said they had moved.
        deaf: this side has shut down receiving, which may throw bytes away.
        closed: this side was closed.
        busy: a peer is in a call.
    """

    number: int
    endpoint: Endpoint
    sock: StreamSocket | None = None
    raw: SimulatedSocket | None = None
    other: Endpoint | None = None
    sent: int = 0
    received: int = 0
    deaf: bool = False
    closed: bool = False
    busy: bool = False

    def __str__(self) -> str:
        return f"{'socket' if self.raw is None else 'peer'} {self.number}"


@dataclass(eq=False)
class Listener:
    """A listener, which may be closed."""

    number: int
    acceptor: Acceptor
    endpoint: Endpoint
    address: Any
    closed: bool = False

    def __str__(self) -> str:
        return f"listener {self.number}"


@dataclass(eq=False)
class Pending:
    """An operation that has begun and not ended.

    Attributes:
        what: the step.
        target: what it acts on.
        side: ``read`` or ``write``.
        frame: where it was started.
        start: of a stream, the position of its first byte.
        due: of a timer, when it may end; seconds.
        known: failures of its endpoint before it.
        doomed: it was started where everything was cancelled already.
        marks: it may have been ended by its object.
        certain: it has been.
        settled: every thread has waited since it began.
        overdue: it was due when every thread waited at this time.
    """

    number: int
    what: str
    target: Any
    side: str
    frame: Frame
    start: int = 0
    due: float | None = None
    known: int = 0
    size: int = 0
    began: float = 0.0
    doomed: bool = False
    certain: bool = False
    settled: bool = False
    overdue: float | None = None
    marks: set[Cause] = field(default_factory=set)

    def __str__(self) -> str:
        if isinstance(self.target, End | Listener):
            return f"{self.what} of {self.target}"
        if isinstance(self.target, Task):
            return f"{self.what} of {self.target.name}"
        return self.what
