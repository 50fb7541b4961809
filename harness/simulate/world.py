"""What a program has opened and started, and the laws that it is held to.

The reference is the simulated kernel itself: what it was asked, what it answered, and what it holds
now. An operation may answer what the kernel answered to its calls, or that it was ended, if somebody
ended it; and whenever every thread waits, nothing may be waiting that could go on.
"""

from __future__ import annotations

import contextlib
import errno
import math
from typing import TYPE_CHECKING, Any, Final

from reactor import (
    BusyError,
    Cause,
    ClosedError,
    IncompleteReadError,
    OperationCancelled,
    Task,
)

from ..kernel.description import ERR, HUP, IN, OUT
from ..kernel.nemesis import Spurious
from ..kernel.tcpstate import TcpState
from .things import End, Finding, Frame, Listener, Pending, pattern

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reactor import IoContext, StreamSocket

    from ..kernel import Kernel, SimulatedSocket
    from ..kernel.endpoint import Endpoint
    from ..kernel.nemesis import Fault

#: What a poller may be late by: poll and epoll count milliseconds, and EVFILT_TIMER too.
LATE_S: Final = 0.0021

#: The calls of each operation, whose errors it has to tell; and those with which a connect goes on.
_SENDS: Final = frozenset({"send", "sendmsg"})
_RECEIVES: Final = frozenset({"recv", "recv_into"})
_TELLS: Final = {
    "connect": frozenset({"connect", "so_error"}),
    **dict.fromkeys(("send", "sendall", "sendmsg"), _SENDS),
    **dict.fromkeys(("recv", "recv_into", "recv_exactly"), _RECEIVES),
}
_GOES_ON: Final = frozenset({errno.EINTR, errno.EALREADY})

#: Errors with which the reactor's own calls fail without any operation being at fault.
_BESIDE: Final = frozenset({"shutdown", "close"})


def _nothing() -> None:
    """Happen."""


class World:
    """Everything that there is in a program, and what was found wrong.

    Args:
        kernel: the kernel.
        context: the context.
        alone: one thread runs it, so that what its tasks do has an order.
    """

    def __init__(self, kernel: Kernel, context: IoContext, *, alone: bool) -> None:
        self.kernel = kernel
        self.context = context
        self.alone = alone
        self.by_select = context.backend.name == "select"
        self.begin_time = kernel.monotonic()
        self.ends: list[End] = []
        self.peers: list[End] = []
        self.listeners: list[Listener] = []
        self.scopes: list[Frame] = []
        self.tasks: list[tuple[Task[Any], Frame]] = []
        self.pending: dict[Pending, None] = {}
        self.findings: list[Finding] = []
        self.closing = False
        # Threads that were busy while another was on its way to its wait: its timeout began later.
        self.late = LATE_S
        # What is being ended at this moment, with the cause: what begins meanwhile may be ended too.
        self._ending: list[tuple[Any, Cause]] = []
        self._salts: dict[Endpoint, int] = {}
        self._count = 0

    # -- Findings

    def now(self) -> float:
        """Return the virtual time in seconds."""
        return self.kernel.monotonic()

    def find(self, law: str, detail: str) -> None:
        """Note that a law does not hold."""
        if len(self.findings) < 20:
            self.kernel.record("FOUND", law, detail)
            self.findings.append(Finding(law, detail, self.now() - self.begin_time))

    def tell(self, *words: object) -> None:
        """Write a line of the timeline."""
        self.kernel.record("program", *map(str, words))

    # -- Streams

    def salt(self, endpoint: Endpoint) -> int:
        """Return what tells the bytes that `endpoint` sends from those of others."""
        return self._salts.setdefault(endpoint, len(self._salts) + 1)

    def other_side(self, endpoint: Any) -> Endpoint | None:
        """Return the other side of a connection, as far as the kernel still knows it."""
        if endpoint.peer is not None:
            found: Endpoint = endpoint.peer
            return found
        for known in self._salts:
            # Reset before it was accepted: by the addresses then.
            names = known.name, known.peer_name
            both = None not in names and isinstance(known, TcpState)
            if both and names == (endpoint.peer_name, endpoint.name):
                return known
        return None

    def add(self, *, sock: StreamSocket | None = None, raw: SimulatedSocket | None = None) -> End:
        """Take in one side of a connection."""
        inner: Any = raw if sock is None else sock._sock
        endpoint = inner._endpoint
        among = self.ends if raw is None else self.peers
        end = End(len(among), endpoint, sock, raw)
        self.salt(endpoint)
        among.append(end)
        return end

    # -- Operations

    def start(self, what: str, target: Any, side: str, frame: Frame, **more: Any) -> Pending:
        """An operation begins."""
        self._count += 1
        pending = Pending(self._count, what, target, side, frame, began=self.now(), **more)
        endpoint = getattr(target, "endpoint", None)
        if endpoint is not None:
            pending.known = len(endpoint.failures)
            pending.start = endpoint.bytes_received if side == "read" else endpoint.bytes_sent
        pending.doomed = any(one.done for one in frame.reaching())
        pending.marks = {cause for thing, cause in self._ending if thing is target}
        self.pending[pending] = None
        self.look_at(pending.due)
        self.tell("begin", pending)
        return pending

    def may(self, frame: Frame) -> set[Cause]:
        """Return the causes with which something in `frame` may be ended now."""
        return frame.may(self.now(), closing=self.closing)

    def look_at(self, due: float | None) -> None:
        """Have the clock stop when something is due, and when it is late: `look` sees it then."""
        if due is not None and due < math.inf:
            for late in (0.000_001, self.late + 0.000_002):
                self.kernel.after(max(due - self.now(), 0.0) + late, _nothing)

    def among(self, target: Any, side: str) -> list[Pending]:
        """Return what is pending on `target` in one direction."""
        return [one for one in self.pending if one.target is target and one.side == side]

    @contextlib.contextmanager
    def ending(self, target: Any, cause: Cause) -> Iterator[None]:
        """Inside, what is pending on `target` is being ended."""
        found = [one for one in self.pending if one.target is target]
        for one in found:
            one.marks.add(cause)
        surely = [one for one in found if one.settled or self.alone]
        entry = (target, cause)
        self._ending.append(entry)
        try:
            yield
        finally:
            self._ending.remove(entry)
        for one in surely:
            one.certain = True

    def finish(self, pending: Pending, result: Any) -> None:
        """An operation has ended by itself, with `result`."""
        self._over(pending, result)
        if pending.doomed:
            self.find(
                "no-io-when-cancelled",
                f"{pending}, begun in a cancelled scope, gave {_short(result)}",
            )
        if pending.due is not None and self.now() < pending.due:
            early = pending.due - self.now()
            self.find("never-early", f"{pending} ended {early:.9f} s early")
        self._errors_told(pending, None)
        if isinstance(pending.target, End):
            self._moved(pending, result)
        told = any(isinstance(rule, Spurious) for rule in self._struck())
        looked = self.alone and pending.what.startswith("wait_") and not told
        if looked and not self._could_go_on(pending, told=False):
            self.find("ready-means-ready", f"{pending} ended, and it would still have to wait")
        self._in_order(pending)

    def cancelled(self, pending: Pending, error: OperationCancelled) -> None:
        """An operation has ended because somebody ended it."""
        self._over(pending, f"{error.cause_name}, {error.transferred} moved")
        self._count_of(pending, error.transferred, error.partial)
        if pending.what == "recv_exactly" and len(error.partial) != error.transferred:
            self.find(
                "bytes-counted", f"{pending} has {len(error.partial)} of {error.transferred} bytes"
            )
        scope = self.may(pending.frame)
        allowed = scope | pending.marks
        if getattr(pending.target, "closed", False):
            allowed.add(Cause.CLOSE)
        if pending.what != "join" and error.cause not in allowed:
            self.find(
                "no-cancel-unasked",
                f"{pending} ended by {error.cause_name}, which nobody asked for",
            )
        elif error.scoped and not scope:
            self.find("no-cancel-unasked", f"{pending} ended by a scope that nobody cancelled")

    def failed(self, pending: Pending, error: BaseException) -> None:
        """An operation has ended with an error."""
        self._over(pending, f"{type(error).__name__}: {error}")
        moved = getattr(error, "transferred", 0)
        if isinstance(error, IncompleteReadError):
            self._count_of(pending, len(error.partial), error.partial)
            if self._may_end(pending):
                return
            self.find("end-is-the-end", f"{pending} ended the stream, and the kernel did not")
            return
        self._count_of(pending, moved, b"")
        if isinstance(error, BusyError):
            if not self.among(pending.target, pending.side):
                self.find("no-error-unasked", f"{pending} was busy, and nothing was pending")
        elif isinstance(error, ClosedError):
            if not pending.target.closed:
                self.find("no-error-unasked", f"{pending} was closed, and nobody had closed it")
            elif pending.certain:
                self.find("close-cancels", f"{pending} was pending when it was closed: {error}")
        elif isinstance(error, OSError):
            self._errors_told(pending, error.errno)
        else:
            self.find("no-exception", f"{pending}: {error!r}")

    def _over(self, pending: Pending, how: Any) -> None:
        self.tell("end", pending, _short(how))
        if self.pending.pop(pending, self) is self:
            self.find("single-completion", f"{pending} ended twice")

    def _failures(self, pending: Pending) -> list[tuple[str, int]]:
        endpoint = getattr(pending.target, "endpoint", None)
        return [] if endpoint is None else endpoint.failures[pending.known :]

    def _struck(self) -> list[Fault]:
        return [] if self.kernel.nemesis is None else self.kernel.nemesis.struck

    def _errors_told(self, pending: Pending, code: int | None) -> None:
        """Compare the error that was told with those that the kernel gave."""
        given = [
            # What macOS says for EPIPE: see `reactor.dispatch`.
            (name, errno.EPIPE if (name, one) == ("send", errno.EPROTOTYPE) else one)
            for name, one in self._failures(pending)
            if name not in _BESIDE
        ]
        if code is not None:
            names = {errno.errorcode.get(code, "")}
            known = code in {one for _, one in given} or names & {
                getattr(rule, "code", "") for rule in self._struck()
            }
            if not known:
                self.find("no-error-unasked", f"{pending} failed with {names}, which no call gave")
            return
        mine = _TELLS.get(pending.what, frozenset())
        lost = [(name, one) for name, one in given if name in mine and one not in _GOES_ON]
        if lost:
            self.find("errors-are-told", f"{pending} did not tell of {lost}")

    def _may_end(self, pending: Pending) -> bool:
        endpoint = pending.target.endpoint
        return bool(endpoint.shut & 1) or getattr(endpoint, "ended", False) or endpoint.was_reset

    def _moved(self, pending: Pending, result: Any) -> None:
        """A socket operation has a result: bytes, or how many."""
        end: End = pending.target
        if pending.side == "write":
            if pending.what in {"send", "sendall", "sendmsg"}:
                self._count_of(pending, result, b"")
                if pending.what != "send" and result != pending.size:
                    self.find("bytes-counted", f"{pending} of {pending.size} bytes said {result}")
            return
        if pending.what == "wait_readable":
            return
        self._count_of(pending, len(result), result)
        if len(result) > pending.size:
            self.find("bytes-counted", f"{pending} of {pending.size} bytes brought {len(result)}")
        if not result and pending.size:
            if not self._may_end(pending):
                self.find("end-is-the-end", f"{pending} ended the stream, and the kernel did not")
            endpoint = end.endpoint
            whole = end.other is None or end.other.bytes_sent == endpoint.bytes_received
            if not whole and not endpoint.was_reset and not end.deaf:
                self.find("end-is-the-end", f"{pending} ended the stream before its last byte")

    def _count_of(self, pending: Pending, count: int, data: bytes) -> None:
        end = pending.target
        if not isinstance(end, End):
            return
        if pending.side == "write":
            end.sent += count
            return
        end.received += count
        if end.other is not None and data != pattern(
            self.salt(end.other), pending.start, len(data)
        ):
            self.find("bytes-in-order", f"{pending} brought other bytes than were sent")

    def _in_order(self, pending: Pending) -> None:
        """Equal deadlines and waiting accepts end in the order in which they began."""
        if not self.alone or pending.what not in {"sleep_until", "accept"}:
            return
        for one in self.pending:
            if (
                one.what == pending.what
                and one.number < pending.number
                and one.target is pending.target
                and one.due == pending.due
                and not one.marks
                and not self.may(one.frame)
            ):
                self.find("in-order", f"{pending} ended before one that began earlier")

    # -- While every thread waits

    def look(self, *, running: bool) -> None:
        """Hold what is pending to what the kernel could do for it now.

        Args:
            running: every thread of the context is in `run`, and not about to leave.
        """
        now = self.now()
        for pending in list(self.pending):
            pending.settled = True
            if not running:
                continue
            if pending.certain or pending.frame.must(now, self.late):
                self.find("cancel-is-not-lost", f"{pending} still waits, though it was ended")
            elif self._late(pending, now):
                self.find("not-late", f"{pending} still waits, and could since {pending.overdue}")
            elif self._could_go_on(pending):
                self.find("no-lost-wake-up", f"{pending} still waits, though it could go on")
            else:
                continue
            del self.pending[pending]  # told once

    def _late(self, pending: Pending, now: float) -> bool:
        if pending.due is None or pending.due > now:
            return False
        pending.overdue = now if pending.overdue is None else pending.overdue
        return now - pending.overdue > self.late

    def _could_go_on(self, pending: Pending, *, told: bool = True) -> bool:
        """Whether the kernel would let it end now; `told`, only if its poller can say so."""
        target: Any = pending.target
        if pending.what == "join":
            return bool(target.done)
        if pending.what == "in_thread":
            return bool(target)
        endpoint = getattr(target, "endpoint", None)
        if endpoint is None:
            return False
        if pending.what == "connect":
            return isinstance(endpoint, TcpState) and not endpoint.connecting()
        if pending.what == "accept" and target.acceptor._resting:
            return False
        starved = getattr(endpoint, "_starved", False)
        mask = endpoint.mask()
        if starved is False and hasattr(endpoint, "_starved"):
            endpoint._starved = False  # to look is not to wait
        if pending.side == "read":
            return bool(mask & (IN | ERR | HUP))
        # select(2) of Linux counts a hang-up as readable only: a sender whose peer has shut down
        # both ways, and whose buffer is full, cannot be told.
        return bool(mask & (OUT | ERR | (0 if self.by_select and told else HUP)))

    # -- At the end

    def accounts(self) -> None:
        """Compare what operations said with what the kernel has counted."""
        for pending in self.pending:
            self.find("single-completion", f"{pending} has never ended")
        for end in self.ends:
            endpoint = end.endpoint
            for word, said, counted in (
                ("sent", end.sent, endpoint.bytes_sent),
                ("received", end.received, endpoint.bytes_received),
            ):
                if said != counted:
                    self.find("bytes-counted", f"{end} {word} {counted} bytes, and said {said}")


def _short(value: Any) -> str:
    text = f"{len(value)} bytes" if isinstance(value, bytes) else str(value)
    return text if len(text) < 100 else f"{text[:97]}..."
