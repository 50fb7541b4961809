"""The system seam: the one door through which the reactor reaches the operating system.

An `IoContext` is given a `System` at construction. The default is the real one; the harness gives
one that injects faults, turns the clock by hand or simulates a whole kernel. Bound methods are
taken from it once, so the seam costs nothing per operation. What legitimately differs between
platforms at the level of a single call is decided here, by probing names, never by platform name:
how a socket is opened, how SIGPIPE is kept away, and which extensions exist.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import socket
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, Protocol

from .errors import Unsupported

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from socket import socket as Socket  # noqa: N812 - `System.socket` hides the module's name
    from types import TracebackType

READABLE = 1
WRITABLE = 2


class LockLike(Protocol):
    """What the scheduler needs of a lock."""

    def __enter__(self) -> bool: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> object: ...
    def acquire(self) -> bool:
        """As `threading.Lock.acquire`."""
        ...

    def release(self) -> None:
        """As `threading.Lock.release`."""
        ...


class ConditionLike(Protocol):
    """What the scheduler needs of a condition over that lock."""

    def wait(self, timeout: float | None = None) -> bool:
        """As `threading.Condition.wait`."""
        ...

    def notify(self, n: int = 1) -> None:
        """As `threading.Condition.notify`."""
        ...

    def notify_all(self) -> None:
        """As `threading.Condition.notify_all`."""
        ...


class _QuickSocket(socket.socket):
    """A socket that accepts without asking for its family and type.

    `socket.socket` makes members of enumerations of both each time, and the new socket numbers of
    them: a third of what its `accept` costs.
    """

    __slots__ = ("_numbers",)

    _numbers: tuple[int, int, int]

    def accept(self) -> tuple[Socket, Any]:
        """As `socket.socket.accept`, but that the new socket is as blocking as it came."""
        try:
            numbers = self._numbers
        except AttributeError:
            numbers = self._numbers = int(self.family), int(self.type), self.proto
        fd, address = self._accept()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
        return socket.socket(*numbers, fileno=fd), address


#: Extensions beyond POSIX that a system may lack, and the name that shows each.
_NAMES: Final[dict[str, tuple[Any, str]]] = {
    "epoll": (select, "epoll"),
    "kqueue": (select, "kqueue"),
    "poll": (select, "poll"),
    "select": (select, "select"),
    "eventfd": (os, "eventfd"),
    "timerfd": (os, "timerfd_create"),
    "pipe2": (os, "pipe2"),
    "sock_nonblock": (socket, "SOCK_NONBLOCK"),
    "so_nosigpipe": (socket, "SO_NOSIGPIPE"),
    "reuseport": (socket, "SO_REUSEPORT"),
    "unix": (socket, "AF_UNIX"),
}

#: Which of them there are, looked up once: that a module has no such name CPython says with a text, which
#: takes longer to write than a system call, and every accepted socket asks.
_OFFERED: Final = {name: hasattr(module, attribute) for name, (module, attribute) in _NAMES.items()}


class System:
    """The real operating system.

    Subclass it to simulate or to inject: the reactor takes every socket, poller, descriptor, lock,
    clock reading and thread that it uses from one of these methods.
    """

    name = "live"
    #: Flags of every send: keeps SIGPIPE away where the kernel has it (send(2)); elsewhere
    #: `adopt` sets SO_NOSIGPIPE, and CPython ignores SIGPIPE unless told otherwise.
    send_flags: int = getattr(socket, "MSG_NOSIGNAL", 0)

    def has(self, name: str) -> bool:
        """Tell whether this system offers the extension `name` (see `_NAMES` for the names)."""
        return _OFFERED[name]

    def _demand(self, name: str) -> None:
        if not self.has(name):
            raise Unsupported(name)

    def _need(self, name: str) -> Any:
        self._demand(name)
        module, attribute = _NAMES[name]
        return getattr(module, attribute)

    # -- Clock and threads

    monotonic = staticmethod(time.monotonic)
    get_ident = staticmethod(threading.get_ident)

    def lock(self) -> LockLike:
        """Return a new, unlocked mutex (not reentrant)."""
        return threading.Lock()

    def condition(self, lock: LockLike) -> ConditionLike:
        """Return a condition variable over `lock`."""
        return threading.Condition(lock)  # type: ignore[arg-type]  # a Lock of this same system

    def queue(self) -> deque[Any]:
        """Return a queue whose `append`, `extend`, `pop` and `popleft` are atomic."""
        return deque()

    def executor(self) -> ThreadPoolExecutor:
        """Return the pool that `to_thread` runs on; the context shuts it down."""
        return ThreadPoolExecutor(thread_name_prefix="reactor")

    # -- Sockets

    getaddrinfo = staticmethod(socket.getaddrinfo)

    def socket(self, family: int, kind: int, proto: int = 0) -> Socket:
        """Open a non-blocking, close-on-exec socket."""
        if self.has("sock_nonblock"):
            nonblocking = kind | socket.SOCK_NONBLOCK  # type: ignore[attr-defined,unused-ignore]
            return self.adopt(_QuickSocket(family, nonblocking, proto))
        return self.adopt(_QuickSocket(family, kind, proto))

    def adopt(self, sock: Socket) -> Socket:
        """Make `sock` fit for the reactor: non-blocking, no SIGPIPE."""
        sock.setblocking(False)
        if self.has("so_nosigpipe"):
            try:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_NOSIGPIPE, 1)  # type: ignore[attr-defined,unused-ignore]
            except OSError as exc:
                # macOS answers EINVAL for a socket that the peer has already reset
                # (chriskohlhoff/asio in AntelopeIO/leap#1318): the first operation will tell.
                if exc.errno != errno.EINVAL:
                    raise
        return sock

    def accept(self, sock: Socket) -> tuple[Socket, Any]:
        """Accept one connection; the result is non-blocking whatever the listener was.

        accept(2): Linux does not let the new socket inherit O_NONBLOCK, the BSDs do.
        """
        connection, address = sock.accept()
        return self.adopt(connection), address

    def socketpair(self, family: int, kind: int) -> tuple[Socket, Socket]:
        """Return two connected non-blocking sockets."""
        left, right = socket.socketpair(family, kind)
        return self.adopt(left), self.adopt(right)

    # -- Pollers

    def epoll(self) -> Any:
        """Return a new close-on-exec `select.epoll`; `Unsupported` where there is none."""
        return self._need("epoll")()

    def kqueue(self) -> Any:
        """Return a new close-on-exec `select.kqueue`; `Unsupported` where there is none."""
        return self._need("kqueue")()

    def kevent(self, *args: int) -> Any:
        """Build a `select.kevent`; only for who has a kqueue."""
        return select.kevent(*args)  # type: ignore[attr-defined,unused-ignore]

    def poll(self) -> Any:
        """Return a new `select.poll` object."""
        return self._need("poll")()

    def select(
        self,
        readers: Iterable[int],
        writers: Iterable[int],
        exceptional: Iterable[int],
        timeout: float | None,
    ) -> tuple[list[int], list[int], list[int]]:
        """`select.select`; `timeout` in seconds, None waits for ever."""
        return select.select(readers, writers, exceptional, timeout)

    def ready_now(self, fd: int, events: int) -> bool:
        """Tell whether `fd` is readable (1) or writable (2) at this moment, by a zero-time poll.

        An error or a hang-up counts as ready: the operation that follows will be told.
        """
        if not self.has("poll"):
            want_read = [fd] if events & READABLE else []
            want_write = [fd] if events & WRITABLE else []
            return any(self.select(want_read, want_write, (), 0))
        poller = self.poll()
        mask = (select.POLLIN if events & READABLE else 0) | (
            select.POLLOUT if events & WRITABLE else 0
        )
        poller.register(fd, mask)
        return bool(poller.poll(0))

    # -- Plain descriptors

    def eventfd(self) -> int:
        """Return a non-blocking, close-on-exec eventfd; `Unsupported` where there is none."""
        create = self._need("eventfd")
        return int(create(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC))  # type: ignore[attr-defined,unused-ignore]

    def pipe(self) -> tuple[int, int]:
        """Return the read and the write end of a non-blocking, close-on-exec pipe."""
        if self.has("pipe2"):
            return os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)  # type: ignore[attr-defined,no-any-return,unused-ignore]
        ends = os.pipe()  # PEP 446: close-on-exec already
        for fd in ends:
            flags = fcntl.fcntl(fd, fcntl.F_GETFL)
            fcntl.fcntl(fd, fcntl.F_SETFL, flags | os.O_NONBLOCK)
        return ends

    def timerfd(self) -> int:
        """Return a disarmed monotonic timerfd; `Unsupported` where Python (< 3.13) has none."""
        create = self._need("timerfd")
        flags = os.TFD_NONBLOCK | os.TFD_CLOEXEC  # type: ignore[attr-defined,unused-ignore]
        return int(create(time.CLOCK_MONOTONIC, flags=flags))

    def set_timerfd(self, fd: int, seconds: float | None) -> None:
        """Arm `fd` to expire once after `seconds`, or disarm it with None.

        timerfd_create(2): a zero value disarms, so "now" is one nanosecond.
        """
        nanoseconds = 0 if seconds is None else max(1, -int(-seconds * 1e9 // 1))
        os.timerfd_settime_ns(fd, initial=nanoseconds)  # type: ignore[attr-defined,unused-ignore]

    def read(self, fd: int, size: int) -> bytes:
        """os.read."""
        return os.read(fd, size)

    def write(self, fd: int, data: bytes) -> int:
        """os.write."""
        return os.write(fd, data)

    def close(self, fd: int) -> None:
        """os.close."""
        os.close(fd)

    def is_open(self, fd: int) -> bool:
        """Tell whether `fd` names an open description (fstat(2))."""
        try:
            os.fstat(fd)
        except OSError:
            return False
        return True


class PosixSystem(System):
    """The same machine with every Linux and BSD extension refused.

    What is left is what any POSIX.1-2008 system offers, so the fallbacks (the `fcntl` sequence, the
    self-pipe, timeouts as the only timer) run on a developer's machine too.
    """

    name = "posix"
    refused: Sequence[str] = (
        "epoll",
        "kqueue",
        "eventfd",
        "timerfd",
        "pipe2",
        "sock_nonblock",
        "so_nosigpipe",
        "reuseport",
    )

    def has(self, name: str) -> bool:
        """Refuse every extension in `refused`; the rest as the machine has it."""
        return name not in self.refused and super().has(name)


SYSTEMS: dict[str, type[System]] = {"live": System, "posix": PosixSystem}
