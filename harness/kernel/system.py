"""The seam: a `reactor.system.System` whose operating system is a simulated kernel."""

from __future__ import annotations

import errno
import ipaddress
import math
import socket
from typing import TYPE_CHECKING, Any

from reactor.system import System

from .counters import EventFd, TimerFd
from .description import fail
from .endpoint import Endpoint
from .pipe import Pipe
from .pollers.epoll import Epoll
from .pollers.kqueue import Kevent, Kqueue
from .pollers.level import Poll, select
from .sockets import SimulatedSocket, socketpair
from .threads import VirtualCondition, VirtualExecutor, VirtualLock, VirtualQueue

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Iterable
    from concurrent.futures import ThreadPoolExecutor

    from reactor.system import ConditionLike, LockLike

    from .kernel import Kernel

#: Extensions that are a constant of `socket`, which this interpreter may not have.
_CONSTANTS = frozenset({"so_nosigpipe", "reuseport", "sock_nonblock"})


class SimulatedSystem(System):
    """A simulated kernel as the reactor sees it.

    Args:
        kernel: the kernel; several systems, and peers beside them, may share one.
    """

    name = "simulated"

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.monotonic = kernel.monotonic

    def has(self, name: str) -> bool:
        """Tell whether the dialect has it, and this interpreter the constant that it takes."""
        if name in _CONSTANTS and not super().has(name):
            return False
        return self.kernel.dialect.has(name)

    # -- Threads

    def get_ident(self) -> int:
        """Return a number that is the same in every run."""
        return self.kernel.baton.current().ident

    def lock(self) -> LockLike:
        """Return a lock of virtual threads."""
        return VirtualLock(self.kernel.baton)

    def condition(self, lock: LockLike) -> ConditionLike:
        """Return a condition over `lock`."""
        assert isinstance(lock, VirtualLock)
        return VirtualCondition(self.kernel, lock)

    def queue(self) -> deque[Any]:
        """Return a queue of virtual threads."""
        return VirtualQueue(self.kernel.baton)

    def executor(self) -> ThreadPoolExecutor:
        """Return a pool of virtual threads."""
        return VirtualExecutor(self.kernel.baton)

    # -- Sockets

    def getaddrinfo(
        self,
        host: str | bytes | None,
        port: Any,
        family: int = 0,
        type: int = 0,  # noqa: A002 - as in `socket`
        proto: int = 0,
        flags: int = 0,
    ) -> list[Any]:
        """Look an address up: numeric ones, and "localhost"; there is no other name.

        Raises:
            socket.gaierror: EAI_NONAME.
        """
        name = host.decode() if isinstance(host, bytes) else host
        if name == "localhost" and not flags & socket.AI_NUMERICHOST:
            name = "127.0.0.1"
        try:
            address = ipaddress.ip_address(name or "127.0.0.1")
        except ValueError:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known") from None
        kind = type or socket.SOCK_STREAM
        if address.version == 4:
            return [(socket.AF_INET, kind, proto, "", (str(address), int(port or 0)))]
        return [(socket.AF_INET6, kind, proto, "", (str(address), int(port or 0), 0, 0))]

    def socket(self, family: int, kind: int, proto: int = 0) -> Any:
        """Open a non-blocking socket."""
        self.kernel.enter("socket")
        if self.has("sock_nonblock"):
            kind |= socket.SOCK_NONBLOCK  # type: ignore[attr-defined,unused-ignore]
        return self.adopt(SimulatedSocket(self.kernel, family, kind, proto))  # type: ignore[arg-type]  # the same interface, not the same class

    def socketpair(self, family: int, kind: int) -> tuple[Any, Any]:
        """Return two connected non-blocking sockets."""
        left, right = socketpair(self.kernel, family, kind)
        return self.adopt(left), self.adopt(right)  # type: ignore[arg-type]  # as above

    # -- Pollers

    def epoll(self) -> Epoll:
        """Return a new epoll."""
        self._demand("epoll")
        return Epoll(self.kernel)

    def kqueue(self) -> Kqueue:
        """Return a new kqueue."""
        self._demand("kqueue")
        return Kqueue(self.kernel)

    def kevent(self, *args: int) -> Kevent:
        """Build a kevent."""
        return Kevent(*args)

    def poll(self) -> Poll:
        """Return a new poll object."""
        return Poll(self.kernel)

    def select(
        self,
        readers: Iterable[int],
        writers: Iterable[int],
        exceptional: Iterable[int],
        timeout: float | None,
    ) -> tuple[list[int], list[int], list[int]]:
        """select(2)."""
        return select(self.kernel, readers, writers, exceptional, timeout)

    # -- Plain descriptors

    def eventfd(self) -> int:
        """Return a non-blocking eventfd."""
        self._demand("eventfd")
        return self._allocate(EventFd(self.kernel))

    def timerfd(self) -> int:
        """Return a disarmed timerfd."""
        self._demand("timerfd")
        return self._allocate(TimerFd(self.kernel))

    def _allocate(self, description: EventFd | TimerFd) -> int:
        description.nonblocking = True
        return self.kernel.allocate(description)

    def pipe(self) -> tuple[int, int]:
        """Return the read and the write end of a non-blocking pipe."""
        self.kernel.check_room(2)
        pipe = Pipe(self.kernel)
        assert pipe.reader is not None
        assert pipe.writer is not None
        pipe.reader.nonblocking = pipe.writer.nonblocking = True
        return self.kernel.allocate(pipe.reader), self.kernel.allocate(pipe.writer)

    def set_timerfd(self, fd: int, seconds: float | None) -> None:
        """Arm or disarm a timerfd, as the live system does it."""
        description = self.kernel.get(fd)
        if not isinstance(description, TimerFd):
            raise fail(errno.EINVAL)
        self.kernel.record("timerfd_settime", fd, seconds)
        description.settime(0 if seconds is None else max(1, math.ceil(seconds * 1e9)))

    def read(self, fd: int, size: int) -> bytes:
        """read(2)."""
        data = self.kernel.get(fd).read(size)
        self.kernel.record("read", fd, data)
        return data

    def write(self, fd: int, data: bytes) -> int:
        """write(2)."""
        rules = self.kernel.enter("wake")
        size = self.kernel.get(fd).write(bytes(data))
        if rules:  # `Full`: whoever reads finds something all the same
            self.kernel.strike(rules[0])
            raise fail(errno.EAGAIN)
        self.kernel.record("write", fd, size)
        return size

    def dup(self, fd: int) -> int:
        """dup(2)."""
        return self.kernel.dup(fd)

    def close(self, fd: int) -> None:
        """close(2).

        Raises:
            OSError: EBADF; ECONNRESET in dialects that tell it, and the number is gone all the same.
        """
        description = self.kernel.get(fd)
        reset = isinstance(description, Endpoint) and description.was_reset and description.error
        self.kernel.record("close", fd)
        self.kernel.close(fd)
        if reset and self.kernel.dialect.reset_error_on_close:
            raise fail(errno.ECONNRESET)

    def is_open(self, fd: int) -> bool:
        """Tell whether `fd` refers to anything."""
        return self.kernel.is_open(fd)
