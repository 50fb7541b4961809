"""What the tests of sockets and pollers share: every backend of this machine, and no sleeping."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

import reactor
from harness.faults import FaultTable, lab_system
from harness.peer import SAFETY
from reactor import IoContext, OperationCancelled, PosixSystem, StreamSocket, backends
from reactor.descriptor import READ, WRITE
from reactor.system import SYSTEMS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from harness.clock import FakeClock
    from reactor import System, Task
    from reactor.socketbase import SocketBase

#: Specifications beyond the plain names, with the backend that they need.
_AXES = {"epoll": ("epoll+pipe", "epoll+timeout"), "kqueue": ("kqueue+pipe",)}


@dataclass(frozen=True)
class Place:
    """A backend on a system."""

    spec: str
    kind: str = "live"

    def __str__(self) -> str:
        return self.spec if self.kind == "live" else f"{self.kind}-{self.spec}"

    @property
    def level(self) -> bool:
        return not backends.backend_class(self.spec.partition("+")[0]).edge_triggered

    def system(self, table: FaultTable | None = None, clock: FakeClock | None = None) -> System:
        """The system; with faults, or virtual time, where a table or a clock is given."""
        if table is None and clock is None:
            return SYSTEMS[self.kind]()
        return lab_system(SYSTEMS[self.kind], FaultTable() if table is None else table, clock)

    def context(self, table: FaultTable | None = None, clock: FakeClock | None = None) -> IoContext:
        return IoContext(self.spec, system=self.system(table, clock))

    def run(
        self,
        main: Callable[[], Awaitable[Any]],
        table: FaultTable | None = None,
        clock: FakeClock | None = None,
        system: System | None = None,
    ) -> Any:
        """Run `main`; one that hangs, or spins, is a ReactorError after some time."""

        async def bounded() -> Any:
            watchdog = threading.Timer(SAFETY, reactor.current_context().stop)
            watchdog.start()
            try:
                return await main()
            finally:
                watchdog.cancel()
                watchdog.join()  # it knows the context, which is to be gone with the test

        return reactor.run(bounded, backend=self.spec, system=system or self.system(table, clock))


def _places() -> Iterator[Place]:
    for name in backends.available():
        yield Place(name)
        for spec in _AXES.get(name, ()):
            yield Place(spec)
    for name in backends.available(PosixSystem()):
        yield Place(name, "posix")


PLACES = list(_places())

everywhere = pytest.mark.parametrize("where", PLACES, ids=str)
level_triggered = pytest.mark.parametrize(
    "where", [place for place in PLACES if place.level], ids=str
)
both_kinds = pytest.mark.parametrize("kind", ["tcp", "unix"])


def ends(kind: str) -> tuple[socket.socket, socket.socket]:
    """Two connected blocking sockets of the standard library."""
    if kind == "unix":
        left, right = socket.socketpair()
    else:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            left = socket.create_connection(listener.getsockname())
            right, _ = listener.accept()
    for end in (left, right):
        end.settimeout(SAFETY)
    return left, right


@contextlib.contextmanager
def wired(kind: str = "unix") -> Iterator[tuple[StreamSocket, socket.socket]]:
    """A socket of the running context, and its peer, a blocking one."""
    left, right = ends(kind)
    with right, StreamSocket.from_socket(left) as sock:
        yield sock, right


def arrived(sock: SocketBase) -> None:
    """Wait until something can be received; loopback may take a moment."""
    assert select.select([sock], [], [], SAFETY)[0], "nothing arrived"


async def outcome(function: Callable[..., Awaitable[Any]], *args: Any) -> Any:
    """What ``function(*args)`` returns, or the exception that it raises."""
    try:
        return await function(*args)
    except (Exception, OperationCancelled) as exc:  # noqa: BLE001 - the tests look at it
        return exc


def start(function: Callable[..., Awaitable[Any]], *args: Any) -> Task[Any]:
    """Start it as a task, whose result is its `outcome`."""
    return reactor.current_context().spawn(outcome, function, *args)


async def turns(count: int = 3) -> None:
    """Let everybody else run, and the poller be asked, so many times."""
    for _ in range(count):
        await reactor.sleep(0)


async def parked(
    sock: SocketBase, direction: int, function: Callable[..., Awaitable[Any]], *args: Any
) -> Task[Any]:
    """Start an operation, and return when it waits for `direction` of `sock`."""
    task = start(function, *args)
    for _ in range(100):
        await reactor.sleep(0)
        if sock._descriptor.interest & direction:
            return task
    raise AssertionError(f"it does not wait; it is {task!r}")


async def receiving(sock: SocketBase, size: int = 100) -> Task[Any]:
    """A receive that waits."""
    assert isinstance(sock, StreamSocket)
    return await parked(sock, READ, sock.recv, size)


async def sending(sock: SocketBase, data: bytes) -> Task[Any]:
    """A sendall that waits for room."""
    assert isinstance(sock, StreamSocket)
    return await parked(sock, WRITE, sock.sendall, data)


def descriptors() -> set[int]:
    """The numbers that are open in this process."""
    found = set()
    for fd in range(256):
        try:
            os.fstat(fd)
        except OSError:
            continue
        found.add(fd)
    return found
