"""Datagram sockets, UDP and Unix: the calls, each handed to `perform`.

A datagram goes whole or not at all, an empty one is not an end, and there are many senders. So no
receive says that there is no more: the one that finds nothing does.
"""

from __future__ import annotations

import socket
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from .dispatch import perform
from .socketbase import DataSocket, QueueFullError, display_address
from .stream import MAX_RECV

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from .context import IoContext
    from .stream import Buffer


class DatagramSocket(DataSocket):
    """A UDP or Unix datagram socket.

    Args:
        family: ``socket.AF_INET``, ``AF_INET6`` or ``AF_UNIX``.
        context: the context it belongs to; by default the current one.
    """

    kind = "datagram"
    _type = socket.SOCK_DGRAM

    def _attach(self, sock: socket.socket | None, family: int, context: IoContext | None) -> None:
        super()._attach(sock, family, context)
        # No UDP datagram is larger than MAX_RECV; a Unix one may be.
        self._most = sys.maxsize if self._unix else MAX_RECV
        self._sendto = self._sock.sendto
        self._recvfrom = partial(_recv_named, self._sock) if self._unix else self._sock.recvfrom

    def bind(self, address: Any, *, reuse_address: bool = False, reuse_port: bool = False) -> None:
        """Bind to `address`.

        Args:
            address: in the form that the family has in `socket`.
            reuse_address: set SO_REUSEADDR first (not for Unix sockets). Of several sockets with one
                address it is left to the system which of them receives.
            reuse_port: set SO_REUSEPORT first, so that several sockets share the port.

        Raises:
            Unsupported: `reuse_port`, and the system has no SO_REUSEPORT.
            OSError: as bind(2) says.
        """
        self._bind(address, reuse_address=reuse_address, reuse_port=reuse_port)

    def connect(self, address: Any) -> Awaitable[None]:
        """Talk with `address` alone: `send` goes there, and what others send is not received.

        Nothing is sent, and nobody answers. That nobody is there a later operation may be told, once
        (ConnectionRefusedError); the socket stays as it is.

        Raises:
            BusyError: a send is pending.
            OSError: as connect(2) says.
        """
        return self._until_room(self._write, self._connect_step, address)

    def _connect_step(self, address: Any, _: int) -> None:
        self._sock.connect(address)

    # -- Receiving

    def recv(self, max_bytes: int, /) -> Awaitable[bytes]:
        """Receive one datagram; what is beyond `max_bytes` of it is lost. An empty one is b"".

        Raises:
            ValueError: `max_bytes` is less than 1.
            ConnectionRefusedError: nobody is where the socket is connected to.
            OperationCancelled, BusyError, ClosedError, OSError: see `reactor.dispatch.perform`.
        """
        if not 0 < max_bytes <= self._most:
            max_bytes = self._bounded(max_bytes)
        return perform(self._read, self._recv, max_bytes)

    def recvfrom(self, max_bytes: int, /) -> Awaitable[tuple[bytes, Any]]:
        """As `recv`, and tells the address of the sender; "" of a Unix socket without a name."""
        if not 0 < max_bytes <= self._most:
            max_bytes = self._bounded(max_bytes)
        return perform(self._read, self._recvfrom, max_bytes)

    def _bounded(self, size: int) -> int:
        if size < 1:
            raise ValueError(f"cannot receive {size} bytes of a datagram: it is 1 or more")
        return self._most

    # -- Sending

    def send(self, data: Buffer, /) -> Awaitable[int]:
        """Send one datagram to where the socket is connected to; returns its size in bytes.

        While there is no room it waits. Systems that cannot say when there is (macOS, the BSDs) fail
        with ENOBUFS instead.

        Raises:
            OSError: it is too large (EMSGSIZE), the socket is not connected (EDESTADDRREQ, ENOTCONN),
                nobody is there (ECONNREFUSED). Nothing was sent, and the socket stays as it is.
            OperationCancelled, BusyError, ClosedError: see `reactor.dispatch.perform`.
        """
        if self._pause is not None:
            self._check_rested(self._write)
        return perform(self._write, self._send, data)

    def sendto(self, data: Buffer, address: Any, /) -> Awaitable[int]:
        """As `send`, to `address`; that of a Unix socket whose queue is full is waited for."""
        if self._unix:
            return self._until_room(self._write, self._send_named, (data, address))
        return perform(self._write, self._send_by_address, (data, address))

    def _send_by_address(self, packet: tuple[Buffer, Any], flags: int) -> int:
        data, address = packet
        return self._sendto(data, flags, address)

    def _send_named(self, packet: tuple[Buffer, Any], flags: int) -> int:
        try:
            return self._send_by_address(packet, flags)
        except BlockingIOError as exc:
            # Or one's own buffer is full, which ends as soon.
            raise QueueFullError from exc


def _recv_named(sock: Any, size: int, flags: int) -> tuple[bytes, Any]:
    data, address = sock.recvfrom(size, flags)
    return data, display_address(address)
