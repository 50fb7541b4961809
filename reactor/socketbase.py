"""What all sockets have in common: one descriptor, its life, its options."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, Self

from .descriptor import READ, WRITE, Descriptor
from .dispatch import perform
from .errors import Cause, ClosedError, OperationCancelled, Unsupported
from .local import current_context
from .timing import Timer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .context import IoContext
    from .descriptor import Slot

#: How a Unix peer without a name shows itself: Linux says "", macOS and FreeBSD a path of zero
#: bytes (mio 456cad2e), and CPython maps either to a str or bytes.
_UNNAMED = ("", b"", None)

#: The family of Unix sockets, None where there are none.
AF_UNIX: int | None = getattr(socket, "AF_UNIX", None)

#: Pause before a call to a Unix socket with a full queue is tried again. Linux answers EAGAIN and has
#: nothing to wait for (connect(2), unix(7)): it is the other socket that is full, and not one's own.
UNIX_RETRY = 0.005


class QueueFullError(Exception):
    """A Unix socket elsewhere has no room; there is nothing to wait for."""


class SocketBase:
    """A socket that belongs to a context.

    Not made directly. Each direction takes one operation at a time; `cancel` may be called from any
    thread, the rest by the thread that runs the task.
    """

    kind = "socket"
    _type: int = socket.SOCK_STREAM
    _pause: Timer | None = None

    def __init__(self, family: int = socket.AF_INET, *, context: IoContext | None = None) -> None:
        self._attach(None, family, context)

    def _attach(self, sock: socket.socket | None, family: int, context: IoContext | None) -> None:
        self._context = context or current_context()
        system = self._context.system
        self._system = system
        # Kept, since `socket.family` makes a member of an enumeration each time.
        self._family = family
        self._unix = family == AF_UNIX
        self._sock = system.socket(family, self._type) if sock is None else sock
        try:
            self._descriptor = Descriptor(self._context.scheduler, self._sock, self.kind)
        except BaseException:
            self._sock.close()
            raise
        self._descriptor.owner = self
        self._read = self._descriptor.read
        self._write = self._descriptor.write

    @property
    def context(self) -> IoContext:
        """The context that the socket belongs to."""
        return self._context

    @property
    def family(self) -> int:
        """The address family, such as ``socket.AF_INET``."""
        return self._sock.family

    @property
    def closed(self) -> bool:
        """Whether the socket has been closed."""
        return self._descriptor.closed

    def fileno(self) -> int:
        """Return the descriptor number, -1 when closed."""
        return -1 if self.closed else self._sock.fileno()

    def getsockname(self) -> Any:
        """Return the own address, as `socket.socket.getsockname`."""
        return self._open().getsockname()

    def getpeername(self) -> Any:
        """Return the address of the peer, as `socket.socket.getpeername`.

        Raises:
            OSError: not connected (ENOTCONN), which includes "reset by the peer already".
        """
        return self._open().getpeername()

    def getsockopt(self, level: int, option: int, size: int = 0) -> Any:
        """Read a socket option; an int, or `size` bytes when `size` is given."""
        sock = self._open()
        return sock.getsockopt(level, option, size) if size else sock.getsockopt(level, option)

    def setsockopt(self, level: int, option: int, value: int | bytes) -> None:
        """Set a socket option."""
        self._open().setsockopt(level, option, value)

    def wait_readable(self) -> Awaitable[None]:
        """Wait until a receive would not block; consumes nothing."""
        return perform(self._read, self._check_ready, READ)

    def wait_writable(self) -> Awaitable[None]:
        """Wait until a send would not block."""
        return perform(self._write, self._check_ready, WRITE)

    def cancel(self) -> int:
        """End what is pending on this socket with `OperationCancelled`; from any thread.

        On an idle socket nothing happens, and nothing is remembered for the next operation.

        Returns:
            How many operations this ended.
        """
        with self._context.scheduler.mutex:
            return self._end(Cause.CANCEL) + self._descriptor.cancel()

    def close(self) -> None:
        """Close the socket; pending operations end with `OperationCancelled`. Again: no effect."""
        self._descriptor.close(self._end)

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        where = "closed" if self.closed else f"fd {self.fileno()}"
        return f"<{type(self).__name__} {where}>"

    def _open(self) -> socket.socket:
        if self._descriptor.closed:
            raise ClosedError(f"this {self.kind}")
        return self._sock

    def _bind(self, address: Any, *, reuse_address: bool, reuse_port: bool) -> None:
        sock = self._open()
        if reuse_address and sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            if not self._system.has("reuseport"):
                raise Unsupported("SO_REUSEPORT")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(address)

    def _check_ready(self, events: int, _: int) -> None:
        if not self._system.ready_now(self._sock.fileno(), events):
            raise BlockingIOError

    async def _rest(self, seconds: float) -> None:
        """Pause inside an operation, for what the system gives no readiness for.

        The pause belongs to the socket: `cancel` and `close` end it as they end a parked operation.
        """
        if self._pause is None:
            self._pause = Timer(context=self._context)
        self._pause.expires_after(seconds)
        await self._pause.wait()

    async def _until_room(self, slot: Slot, attempt: Callable[[Any, int], Any], arg: Any) -> Any:
        """As `perform`, and pause as long as `attempt` raises `QueueFullError`."""
        self._check_rested(slot)
        while True:
            slot.believe()  # the first attempt is the call itself, whatever the poller said so far
            try:
                return await perform(slot, attempt, arg)
            except QueueFullError as exc:
                late = slot.op.late
                if late is not None:
                    raise OperationCancelled(late) from exc
                await self._rest(UNIX_RETRY)

    def _check_rested(self, slot: Slot) -> None:
        """Raise BusyError if an operation of `slot` pauses."""
        if self._resting:
            raise self._descriptor.busy(slot)

    @property
    def _resting(self) -> bool:
        return self._pause is not None and bool(self._pause._waits)

    def _end(self, cause: Cause) -> int:
        """End what waits elsewhere than in the descriptor's slots; returns how many operations.

        Subclasses with more such places add to it. The mutex is held.
        """
        return 0 if self._pause is None else self._pause.end(cause)


class DataSocket(SocketBase):
    """A socket that carries data: it may be made of another one, or be one of a pair."""

    def _attach(self, sock: socket.socket | None, family: int, context: IoContext | None) -> None:
        super()._attach(sock, family, context)
        # Bound methods, taken once: what the hot path calls.
        self._recv = self._sock.recv
        self._send = self._sock.send
        self._write.flags = self._system.send_flags

    @classmethod
    def from_socket(cls, sock: socket.socket, context: IoContext | None = None) -> Self:
        """Take over a stdlib socket of the same type, connected or not."""
        context = context or current_context()
        return cls._of(context.system.adopt(sock), sock.family, context)

    @classmethod
    def _of(cls, sock: socket.socket, family: int, context: IoContext) -> Self:
        """As `from_socket`, of a socket that `System` has made, so that it is as it should be."""
        self = cls.__new__(cls)
        self._attach(sock, family, context)
        return self

    @classmethod
    def pair(cls, context: IoContext | None = None) -> tuple[Self, Self]:
        """Return two Unix sockets that are connected with each other."""
        context = context or current_context()
        left, right = context.system.socketpair(socket.AF_UNIX, cls._type)
        try:
            return cls._of(left, left.family, context), cls._of(right, right.family, context)
        except BaseException:
            left.close()
            right.close()
            raise


def display_address(address: Any) -> Any:
    """Return `address` with every kind of "unnamed Unix peer" written as the empty string."""
    return (
        ""
        if address in _UNNAMED or (isinstance(address, bytes) and not address.strip(b"\0"))
        else address
    )
