"""Acceptors: listening sockets, TCP and Unix."""

from __future__ import annotations

import errno
import logging
import os
from typing import TYPE_CHECKING, Any

from .dispatch import perform
from .errors import Cause, OperationCancelled
from .socketbase import SocketBase, display_address
from .stream import StreamSocket
from .sync import Gate

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator

    from .context import IoContext
    from .waitlist import WaitOperation

_log = logging.getLogger("reactor")


def _codes(*names: str) -> frozenset[int]:
    return frozenset(getattr(errno, name) for name in names if hasattr(errno, name))


#: Errors of one connection that died in the queue, or of its network: the listener is well, and
#: accept goes on with the next (accept(2): "treat them like EAGAIN by retrying").
TRANSIENT = _codes(
    "ECONNABORTED",
    "EPROTO",
    "ENETDOWN",
    "ENOPROTOOPT",
    "EHOSTDOWN",
    "ENONET",
    "EHOSTUNREACH",
    "EOPNOTSUPP",
    "ENETUNREACH",
    "EPERM",
    "EINTR",
    "ETIMEDOUT",
    "ECONNRESET",
)

#: Out of descriptors or memory: the connection stays in the queue, so trying again at once would
#: spin. (trio's ACCEPT_CAPACITY_ERRNOS.)
CAPACITY = _codes("EMFILE", "ENFILE", "ENOBUFS", "ENOMEM")

#: Seconds to wait after such an error.
BACK_OFF = 0.1

#: A transient error that never ends is not transient: after so many in a row it is raised.
_PATIENCE = 1000


class Acceptor(SocketBase):
    """A listening socket.

    Args:
        family: ``socket.AF_INET``, ``AF_INET6`` or ``AF_UNIX``.
        context: the context it belongs to; by default the current one.

    Attributes:
        pauses: how often accepting had to pause because the process was out of descriptors.
    """

    kind = "acceptor"

    def _attach(self, sock: socket.socket | None, family: int, context: IoContext | None) -> None:
        super()._attach(sock, family, context)
        self.pauses = 0
        self._gate = Gate(self._context.scheduler, "its turn to accept")

    def bind(self, address: Any, *, reuse_address: bool = True, reuse_port: bool = False) -> None:
        """Bind to `address`.

        Args:
            address: in the form that the family has in `socket`.
            reuse_address: set SO_REUSEADDR first (not for Unix sockets).
            reuse_port: set SO_REUSEPORT first, so that several listeners share the port.

        Raises:
            Unsupported: `reuse_port`, and the system has no SO_REUSEPORT.
            OSError: as bind(2) says.
        """
        self._bind(address, reuse_address=reuse_address, reuse_port=reuse_port)

    def listen(self, backlog: int = 128) -> None:
        """Let connections queue up, about `backlog` of them.

        Raises:
            ValueError: `backlog` is negative.
        """
        if backlog < 0:
            raise ValueError(f"backlog must be 0 or more, got {backlog}")
        self._open().listen(backlog)

    async def accept(self) -> StreamSocket:
        """Accept one connection. Several tasks may wait; they are served in order.

        A connection that died in the queue is skipped. Out of descriptors, it waits and tries
        again, and nothing is lost.

        Raises:
            OSError: the socket is not listening (EINVAL), or another lasting error.
            OperationCancelled, ClosedError: as everywhere.
        """
        gate = self._gate
        self._open()
        turn = None
        if not gate.try_enter():
            turn = await gate.enter()
            self._read.believe()  # so that the call is tried, and tells that it has its turn
        try:
            while True:
                try:
                    connection, address = await perform(self._read, self._accept_once, turn)
                except OSError as exc:
                    if turn is not None and turn.cause is not Cause.READY:
                        raise OperationCancelled(turn.cause) from exc  # it was closed before
                    if exc.errno not in CAPACITY or self.closed:
                        raise
                    late = self._read.op.late
                    if late is not None:
                        raise OperationCancelled(late) from exc
                    await self._back_off(exc)
                else:
                    break
        finally:
            if turn is None or turn.cause is Cause.READY:  # else the turn is another's
                gate.leave()
        stream = StreamSocket._of(connection, self._family, self._context)
        stream.peer_address = address
        return stream

    def _accept_once(self, turn: WaitOperation | None, _: int) -> tuple[socket.socket, Any]:
        if turn is not None:
            self._gate.tell(turn)
        last: OSError | None = None
        for _attempt in range(_PATIENCE):
            try:
                connection, address = self._system.accept(self._sock)
            except BlockingIOError:
                raise
            except OSError as exc:
                if exc.errno not in TRANSIENT:
                    raise
                last = exc
            else:
                if self._unix:
                    return connection, display_address(address)
                return connection, address or None
        assert last is not None
        raise last

    async def _back_off(self, error: OSError) -> None:
        if not self.pauses:  # once per acceptor: a server out of descriptors must not flood its log
            _log.warning(
                "accept: %s; trying again every %s s", os.strerror(error.errno or 0), BACK_OFF
            )
        self.pauses += 1
        await self._rest(BACK_OFF)
        self._read.believe()  # the connection is still in the queue, and no edge will say so

    def _end(self, cause: Cause) -> int:
        return self._gate.end(cause) + super()._end(cause)

    def __aiter__(self) -> AsyncIterator[StreamSocket]:
        """Iterate over the connections until the acceptor is closed."""
        return self._connections()

    async def _connections(self) -> AsyncIterator[StreamSocket]:
        while not self.closed:  # it may be closed by who handles a connection
            try:
                yield await self.accept()
            except OperationCancelled as exc:
                if exc.cause is not Cause.CLOSE or not self.closed:
                    raise
