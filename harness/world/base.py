"""What the worlds have in common: everything that can be said through the system seam."""

from __future__ import annotations

import abc
import contextlib
import select
import socket
from typing import TYPE_CHECKING, Any, ClassVar

from reactor.system import READABLE, WRITABLE

from ..errors import ScenarioUnsupported
from .threads import Event, Semaphore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from socket import socket as Socket  # noqa: N812 - `World.socket` hides the module's name

    import reactor
    from reactor.system import System

    from ..clock import FakeClock
    from ..faults import FaultTable
    from .threads import Thread


class World(abc.ABC):
    """An operating system as scenarios, peers and the subject's driver use it.

    Args:
        plain: its system seam, without faults.

    Attributes:
        ground: ``live`` or ``sim``.
        virtual: its time passes only when everybody waits.
        hung: what is raised when every thread waits for another, where the world can tell.
        lacks: capabilities that it cannot have, each with the reason.
        label: what people are told it is.
    """

    ground: ClassVar[str]
    virtual: ClassVar[bool] = False
    hung: ClassVar[tuple[type[BaseException], ...]] = ()
    lacks: ClassVar[Mapping[str, str]] = {}

    def __init__(self, plain: System, label: str) -> None:
        self.plain = plain
        self.label = label
        self.monotonic = plain.monotonic

    @abc.abstractmethod
    def system(self, table: FaultTable, clock: FakeClock | None) -> System:
        """Make the system that the subject is given: with faults and, maybe, a fake clock."""

    # -- Sockets; all are blocking

    @abc.abstractmethod
    def socketpair(self, kind: int = socket.SOCK_STREAM) -> tuple[Socket, Socket]:
        """Return two connected Unix sockets."""

    @abc.abstractmethod
    def socket(
        self,
        family: int = socket.AF_INET,
        kind: int = socket.SOCK_STREAM,
        *,
        fileno: int | None = None,
    ) -> Socket:
        """Open a socket, or take the descriptor number of one over."""

    def create_server(self, backlog: int = 128) -> Socket:
        """As `socket.create_server`, on a free port of 127.0.0.1."""
        sock = self.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", 0))
        sock.listen(backlog)
        return sock

    def create_connection(self, address: Any, timeout: float) -> Socket:
        """As `socket.create_connection`, `timeout` in seconds."""
        sock = self.socket()
        sock.settimeout(timeout)
        sock.connect(address)
        return sock

    def ready(self, sock: Any, events: int, seconds: float) -> bool:
        """Wait at most so long until `sock` is READABLE or WRITABLE (see `reactor.system`)."""
        poller = self.plain.poll()
        wanted = (select.POLLIN if events & READABLE else 0) | (
            select.POLLOUT if events & WRITABLE else 0
        )
        poller.register(sock, wanted)
        return bool(poller.poll(seconds * 1000))

    @abc.abstractmethod
    def path(self) -> str:
        """Return a fresh path, for a Unix socket."""

    @abc.abstractmethod
    def backlog_limit(self) -> int:
        """Return how many connections a listener can have waiting at most (SOMAXCONN)."""

    # -- Threads and time

    @abc.abstractmethod
    def thread(self, name: str, function: Callable[[], object]) -> Thread:
        """Start a thread; `function` raises nothing."""

    def event(self) -> Event:
        """Make an event for threads."""
        return Event(self.plain)

    def semaphore(self) -> Semaphore:
        """Make a semaphore that has nothing to take yet."""
        return Semaphore(self.plain)

    @abc.abstractmethod
    def pause(self, seconds: float) -> None:
        """Let others go on for so long, between two looks at a condition."""

    @abc.abstractmethod
    def cpu(self) -> float:
        """Return the seconds of CPU time that all threads have used so far."""

    # -- Descriptor numbers

    @abc.abstractmethod
    def descriptors(self) -> set[int]:
        """Return the numbers that are open."""

    @abc.abstractmethod
    def dup(self, number: int, least: int = 0) -> int:
        """Duplicate a descriptor, onto the lowest free number from `least` on."""

    @abc.abstractmethod
    def dup2(self, number: int, to: int) -> None:
        """Duplicate a descriptor onto the number `to`, which is closed before."""

    @abc.abstractmethod
    def set_blocking(self, number: int, *, blocking: bool) -> None:
        """As `os.set_blocking`."""

    @abc.abstractmethod
    def is_blocking(self, number: int) -> bool:
        """As `os.get_blocking`."""

    @abc.abstractmethod
    def is_inheritable(self, number: int) -> bool:
        """As `os.get_inheritable`: tell whether a program that is executed would have it."""

    @abc.abstractmethod
    def limit_descriptors(self, limit: int) -> int:
        """Set RLIMIT_NOFILE, and return what it was."""

    @contextlib.contextmanager
    def out_of_descriptors(self) -> Iterator[None]:
        """Make every call that needs a new descriptor fail with EMFILE."""
        lowest_free = self.dup(0)
        self.plain.close(lowest_free)
        before = self.limit_descriptors(lowest_free)
        try:
            yield
        finally:
            self.limit_descriptors(before)

    # -- What a world may lack; scenarios name it in `needs`

    def forked(self, function: Callable[..., object], *args: Any) -> None:
        """Call a function in a forked child (``fork``); see `harness.provoke.forked`."""
        raise ScenarioUnsupported(self.lacks["fork"])

    def signal_storm(self, interval: float) -> AbstractContextManager[list[int]]:
        """Interrupt system calls (``setitimer``); see `harness.faults.signal_storm`."""
        raise ScenarioUnsupported(self.lacks["setitimer"])

    def terminal(self) -> tuple[int, int]:
        """Open a terminal in raw mode (``pty``): its two ends, the program's last."""
        raise ScenarioUnsupported(self.lacks["pty"])

    def inherited(self, numbers: Iterable[int]) -> list[int]:
        """Return which of the numbers are open in a program that is executed (``exec``)."""
        raise ScenarioUnsupported(self.lacks["exec"])

    # -- Around a scenario

    def prepared(self) -> AbstractContextManager[None]:
        """Inside, the main thread is ready for what scenarios do to it."""
        return contextlib.nullcontext()

    @abc.abstractmethod
    def dump(self, context: reactor.IoContext) -> str:
        """Describe what `context` is doing, from any thread, without waiting for long."""

    def digest(self) -> str:
        """Return a hash of every call so far, where that is the same in every process."""
        return ""

    @abc.abstractmethod
    def close(self) -> list[int]:
        """End it; returns the numbers that are open still, where nobody else would notice."""
