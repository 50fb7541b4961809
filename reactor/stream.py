"""Stream sockets, TCP and Unix: the calls, each handed to `perform`."""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING, Any

from .descriptor import READ, WRITE
from .dispatch import perform
from .errors import IncompleteReadError, OperationCancelled
from .gather import MAX_SEND, Gather
from .socketbase import DataSocket, QueueFullError
from .timing import sleep

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable, Sequence

    from .context import IoContext

    Buffer = bytes | bytearray | memoryview

#: A receive asks the kernel for at most this much. A larger buffer comes from fresh pages each
#: time, and touching those costs more than the call (asyncio's 256 KiB: 4 times the system time).
MAX_RECV = 65536

#: Buffers whose `len` is their size in bytes; any other is looked at through a memoryview.
_FLAT = (bytes, bytearray)


class _Connect:
    """How far a connect has come."""

    __slots__ = ("address", "begun")

    def __init__(self, address: Any) -> None:
        self.address = address
        self.begun = False


class StreamSocket(DataSocket):
    """A TCP or Unix stream socket.

    Args:
        family: ``socket.AF_INET``, ``AF_INET6`` or ``AF_UNIX``.
        context: the context it belongs to; by default the current one.

    Attributes:
        peer_address: for an accepted socket the address that accept told, "" for a Unix peer
            without a name, None when the system could not tell (macOS, for a connection that was
            reset before it was accepted); for others None.
    """

    kind = "stream"
    peer_address: Any = None

    # A socket that was never connected answers `shutdown` with its error, a torn down one does not.
    _connected_once = True

    def __init__(self, family: int = socket.AF_INET, *, context: IoContext | None = None) -> None:
        super().__init__(family, context=context)
        self._connected_once = False

    def _attach(self, sock: socket.socket | None, family: int, context: IoContext | None) -> None:
        super()._attach(sock, family, context)
        if self._unix:
            self._read.exact = False  # see `Slot.exact`

    # -- Receiving

    def recv(self, size: int, /) -> Awaitable[bytes]:
        """Receive between 1 and `size` bytes; b"" is the end of the stream.

        With `size` 0 it returns b"" at once, consumes nothing and says nothing about the end.

        Raises:
            ValueError: `size` is negative.
            OperationCancelled, BusyError, ClosedError, OSError: see `reactor.dispatch.perform`.
        """
        if size <= 0:
            return self._recv_nothing(size)
        if size > MAX_RECV:  # noqa: PLR1730 - a call of min() costs as much as the rest of this
            size = MAX_RECV
        return perform(self._read, self._recv, size, size)

    def recv_into(self, buffer: bytearray | memoryview, /) -> Awaitable[int]:
        """Receive into `buffer`; returns how many bytes, 0 at the end of the stream."""
        view = memoryview(buffer).cast("B")
        if not view.nbytes:
            return self._count_nothing()
        return perform(self._read, self._sock.recv_into, view, view.nbytes)

    async def recv_exactly(self, size: int, /) -> bytes:
        """Receive exactly `size` bytes.

        Raises:
            IncompleteReadError: the stream ended before; `partial` holds what came.
            OperationCancelled: `transferred` and `partial` hold what had been taken off the socket.
        """
        if size <= 0:
            return await self._recv_nothing(size)
        buffer = bytearray(size)
        try:
            count = await perform(
                self._read, self._sock.recv_into, memoryview(buffer), size, whole=True
            )
        except OperationCancelled as exc:
            exc.partial = bytes(buffer[: exc.transferred])
            raise
        if count < size:
            raise IncompleteReadError(bytes(buffer[:count]), size)
        return bytes(buffer)

    def recvmsg_into(
        self, buffers: Iterable[bytearray | memoryview], ancbufsize: int = 0, flags: int = 0
    ) -> Awaitable[tuple[int, list[tuple[int, int, bytes]], int, Any]]:
        """Receive into several buffers, with ancillary data, as `socket.socket.recvmsg_into`."""
        views = [memoryview(buffer).cast("B") for buffer in buffers]
        recvmsg_into = self._sock.recvmsg_into
        return perform(self._read, lambda _, __: recvmsg_into(views, ancbufsize, flags), None)

    # -- Sending

    def send(self, data: Buffer, /) -> Awaitable[int]:
        """Send some of `data`; returns how many bytes the kernel took."""
        if data.__class__ not in _FLAT or len(data) > MAX_SEND:
            data = memoryview(data).cast("B")[:MAX_SEND]
        if not len(data):
            return self._count_nothing()
        return perform(self._write, self._send, data)

    def sendall(self, data: Buffer, /) -> Awaitable[int]:
        """Send all of `data`; returns its length in bytes.

        Raises:
            OperationCancelled, OSError: `transferred` says how much went out before.
        """
        if data.__class__ is bytes:
            size = len(data)
            if size and size <= MAX_SEND:  # less work than the two chained
                return perform(self._write, self._send, data, size, True)
        return self.sendmsg((data,))

    def sendmsg(
        self,
        buffers: Sequence[Buffer],
        ancdata: Iterable[tuple[int, int, bytes]] = (),
    ) -> Awaitable[int]:
        """Send all of `buffers`, however many, in order; returns the number of bytes.

        Ancillary data, such as SCM_RIGHTS, goes with the first bytes, once.
        """
        gather = Gather(self._sock, buffers, ancdata)
        if not gather.size:
            return self._count_nothing()
        return perform(self._write, gather.step, None, gather.size, True)

    # -- Connecting and shutting down

    async def connect(self, address: Any) -> None:
        """Connect to `address`, in the form that the family has in `socket`.

        Raises:
            ConnectionRefusedError and other OSError: as the system says, at once or later.
            BusyError: a connect or a send is pending.
        """
        self._open()
        refused = await self._until_room(self._write, self._connect_step, _Connect(address))
        if refused is not None:
            raise refused
        self._read.believe()
        self._connected_once = True

    def _connect_step(self, connect: _Connect, _: int) -> OSError | None:
        """Begin to connect, or tell how it went; raises BlockingIOError while it is pending.

        Returns:
            None, or EPROTOTYPE of a Unix address whose socket is of another type (connect(2)).
        """
        if connect.begun:
            self._connected(connect.address)
            return None
        try:
            self._sock.connect(connect.address)
        except InterruptedError:
            # POSIX connect(): after EINTR it goes on asynchronously.
            connect.begun = True
            raise BlockingIOError from None
        except BlockingIOError as exc:
            # EALREADY: an attempt before this one was cancelled, and the kernel goes on with it.
            if exc.errno not in (errno.EINPROGRESS, errno.EALREADY):
                raise QueueFullError from exc
            connect.begun = True
            raise
        except OSError as exc:
            if exc.errno != errno.EPROTOTYPE:
                raise
            return exc  # not raised in there, where it would be taken for that of a send
        return None

    def _connected(self, address: Any) -> None:
        sock = self._sock
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code), str(address))
        try:
            sock.getpeername()
        except OSError as exc:
            if exc.errno not in (errno.ENOTCONN, errno.EINVAL):
                raise
            # Not connected yet, or connected and reset since: then the socket is writable (it
            # has hung up), and the next operation will tell.
            if not self._system.ready_now(sock.fileno(), WRITE):
                raise BlockingIOError from None

    def shutdown(self, how: int) -> None:
        """Shut down ``socket.SHUT_RD``, ``SHUT_WR`` or ``SHUT_RDWR``.

        On a connection that the peer has already torn down this does nothing: ENOTCONN, which
        kernels give in different situations, says only that there is nothing left to shut down.
        """
        sock = self._open()
        try:
            sock.shutdown(how)
        except OSError as exc:
            if exc.errno != errno.ENOTCONN or not self._connected_once:
                raise
        # Some kqueues do not report one's own shutdown (libcoro PR 422): let what is parked look for
        # itself.
        ended = (0 if how == socket.SHUT_WR else READ) | (0 if how == socket.SHUT_RD else WRITE)
        self._descriptor.nudge(ended)

    # -- Nothing to do, but still a suspension point for a cancelled scope

    async def _count_nothing(self) -> int:
        self._open()
        await sleep(0)
        return 0

    async def _recv_nothing(self, size: int) -> bytes:
        if size < 0:
            raise ValueError(f"cannot receive {size} bytes: a size is 0 or more")
        self._open()
        await sleep(0)
        return b""
