"""What a program has at hand while it is played: its descriptors, and how steps find theirs."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..description import IN

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from reactor.system import System

SIZES = (1, 2, 5, 100, 1000, 4096)

#: What is sent: a piece of it from a place that moves on, so that a lost byte shows.
_PATTERN = bytes(range(251)) * 290

#: How long a live kernel is given for what it does a moment later, in milliseconds.
SOON = 10_000


@dataclass(eq=False)
class Flow:
    """One direction of a connection that a program may fill.

    Attributes:
        queued: bytes that a fill put in and that no drain has taken out; how many fit is the
            kernel's own affair, and never part of an answer.
        fresh: nothing was taken out since the fill.
        touched: it was filled, and not drained since: the number of bytes in it is not told.
        shut: the receiver has shut it down. It then reads an end whenever its queue is empty, so that
            how much it gets of a full TCP connection is a matter of time.
    """

    queued: int = 0
    fresh: bool = False
    touched: bool = False
    shut: bool = False


@dataclass(eq=False)
class Handle:
    """One descriptor of a program."""

    kind: str  # tcp, unix, dgram, udp, pipe, eventfd, timerfd
    fd: int
    sock: Any = None
    into: Flow | None = None
    out: Flow | None = None
    listening: bool = False


class Bench:
    """The state of one program on one kernel.

    Args:
        system: where the calls go.
        make_path: gives a fresh path for a Unix socket.
        between: called after each step, such as to give a live kernel a moment.
        without: extensions (see `System.has`) that are not to be used, for the other kernel's sake.
    """

    def __init__(
        self,
        system: System,
        make_path: Callable[[], str],
        between: Callable[[], None] = lambda: None,
        without: Container[str] = (),
    ) -> None:
        self._system = system
        self._without = without
        self._make_path = make_path
        self._between = between
        self._numbers: dict[int, int] = {}
        self._open: list[Handle] = []
        self._pollers: list[Any] = []
        self._addresses: list[Any] = []
        self._sent = 0
        self._changes = 0
        self._added: list[tuple[Any, int, int]] = []  # filters of a kqueue
        # Bound and not listening: who connects is refused, and nobody else gets the port.
        self._dead = system.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._dead.bind(("127.0.0.1", 0))

    def _has(self, name: str) -> bool:
        return name not in self._without and self._system.has(name)

    def _end(self) -> None:
        for handle in list(self._open):
            try:
                self._close(handle)
            except OSError:
                pass  # ECONNRESET, where close(2) tells it; the step `close` does
        for poller in self._pollers:
            poller.close()
        self._dead.close()

    # -- Descriptors

    def _number(self, fd: int) -> int:
        """Return the how-manieth distinct number `fd` is."""
        return self._numbers.setdefault(fd, len(self._numbers))

    def _add(self, kind: str, item: Any, into: Flow | None = None, out: Flow | None = None) -> int:
        handle = (
            Handle(kind, item, None, into, out)
            if isinstance(item, int)
            else Handle(kind, item.fileno(), item, into, out)
        )
        self._open.append(handle)
        return self._number(handle.fd)

    def _add_pair(self, kind: str, left: Any, right: Any) -> list[int]:
        there, back = Flow(), Flow()
        return [self._add(kind, left, back, there), self._add(kind, right, there, back)]

    def _close(self, handle: Handle) -> None:
        self._open.remove(handle)
        if handle.sock is None:
            self._system.close(handle.fd)
        else:
            handle.sock.close()

    def _pick(self, number: int, *kinds: str) -> Handle | None:
        found = [item for item in self._open if not kinds or item.kind in kinds]
        return found[number % len(found)] if found else None

    def _pick_socket(self, number: int) -> Handle | None:
        found = [item for item in self._open if item.sock is not None]
        return found[number % len(found)] if found else None

    def _target(self, number: int) -> int:
        """A number that was used some time, open or not; pollers are not asked about each other."""
        mine = {poller.fileno() for poller in self._pollers} | {self._dead.fileno()}
        known = [fd for fd in self._numbers if fd not in mine]
        return known[number % len(known)] if known else 0

    def _readable_soon(self, fd: int) -> bool:
        """Wait until it is: a live kernel may take a moment."""
        poller = self._system.poll()
        poller.register(fd, IN)
        return bool(poller.poll(SOON))

    # -- Data

    def _both_ways(self, handle: Handle) -> bool:
        """Tell whether it is a TCP connection that is full the other way: what goes this way
        acknowledges what came, and may make room for more.
        """  # noqa: D205 - one sentence
        return handle.kind == "tcp" and handle.into is not None and handle.into.touched

    @property
    def _flags(self) -> int:
        return self._system.send_flags

    def _payload(self, size: int) -> bytes:
        self._sent += 1
        begin = self._sent * 7 % 251
        return _PATTERN[begin : begin + size]
