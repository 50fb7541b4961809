"""What a TCP socket is at a moment: what pollers see of it, and what a receive gets."""

from __future__ import annotations

import errno
import socket
from collections import deque
from enum import Enum
from typing import TYPE_CHECKING, Any

from .description import ERR, HUP, IN, OUT, PRI, RDHUP, Condition, fail
from .endpoint import SHUT_BOTH, SHUT_RECEIVE, SHUT_SEND, Endpoint

if TYPE_CHECKING:
    from .kernel import Kernel, Timer
    from .tcp import TcpSocket


class State(Enum):
    """The states of RFC 9293 that a program can tell apart on loopback."""

    CLOSED = "closed"
    LISTEN = "listen"
    SYN_SENT = "syn-sent"
    ESTABLISHED = "established"
    FIN_WAIT = "fin-wait"
    CLOSE_WAIT = "close-wait"
    LAST_ACK = "last-ack"


class Progress(Enum):
    """How connect(2) remembers what it has told (`sock->state` in net/ipv4/af_inet.c)."""

    UNCONNECTED = 0
    CONNECTING = 1
    CONNECTED = 2
    BROKEN = 3  # shut down after the connect had failed


class TcpState(Endpoint):
    """The state of one TCP socket; `TcpSocket` moves it."""

    kind = "tcp socket"

    def __init__(self, kernel: Kernel, family: int = socket.AF_INET) -> None:
        super().__init__(kernel, family, socket.SOCK_STREAM)
        self.state = State.CLOSED
        self.progress = Progress.UNCONNECTED
        self.peer: TcpSocket | None = None
        self.orphan = False  # no number refers to it any more
        self.queue: deque[TcpSocket] = deque()
        self.backlog = 0
        self.listener: TcpSocket | None = None  # whose queue it is in
        self.received = bytearray()
        self.unsent = bytearray()
        self.ended = False  # FIN received
        self.urgent: int | None = None  # where in `received` the urgent byte is
        self.urgent_unread = b""
        self.urgent_at: int | None = None  # where in `unsent` one is
        self._starved = False  # somebody wants to know when there is room (SOCK_NOSPACE)
        self._told = False  # a send has been told of a reset
        self._retry: Timer | None = None
        self._ack: Timer | None = None  # what the peer has not acknowledged yet, and will then

    def default_send(self) -> int:
        """The dialect's."""
        return self.kernel.dialect.tcp_send

    def default_receive(self) -> int:
        """The dialect's."""
        return self.kernel.dialect.tcp_receive

    # -- Readiness

    @property
    def _readable_size(self) -> int:
        """How many bytes a receive can get; one at an urgent mark is none."""
        at_mark = self.urgent == 0
        return len(self.received) - at_mark

    def _room(self) -> int:
        return self.send_capacity() - len(self.unsent)

    def _has_room(self) -> bool:
        if self.kernel.dialect.bsd:
            return self._room() >= min(self.kernel.dialect.send_low_water, self.send_capacity())
        # sk_stream_is_writeable: free space is at least half of what is used.
        return self._room() >= len(self.unsent) / 2

    def mask(self) -> int:
        """tcp_poll, or sopoll."""
        if self.state is State.LISTEN:
            return IN if self._waiting() else 0
        if self.kernel.dialect.bsd:
            return self._bsd_mask()
        mask = ERR if self.error else 0
        if self.shut == SHUT_BOTH or self.state is State.CLOSED:
            mask |= HUP
        if self.shut & SHUT_RECEIVE:
            mask |= IN | RDHUP
        if self.state is State.SYN_SENT:
            return mask
        if self._readable_size > 0:
            mask |= IN
        if self.shut & SHUT_SEND or self._has_room():
            mask |= OUT
        else:
            self._starved = True
        if self.urgent_unread:
            mask |= PRI
        return mask

    def _bsd_mask(self) -> int:
        readable, writable = self.read_condition(), self.write_condition()
        return (
            (IN if readable.active else 0)
            | (OUT if writable.active else 0)
            | (HUP if self.shut == SHUT_BOTH else 0)
            | (RDHUP if self.shut & SHUT_RECEIVE else 0)
            | (PRI if self.urgent_unread else 0)
        )

    def can_write(self) -> bool:
        """A blocking send goes on as soon as there is any room."""
        return self.state is not State.SYN_SENT and (
            bool(self.error) or bool(self.shut & SHUT_SEND) or self._room() > 0
        )

    def read_condition(self) -> Condition:
        """filt_soread."""
        if self.state is State.LISTEN:
            return Condition(self._waiting() > 0, self._waiting())
        eof = bool(self.shut & SHUT_RECEIVE)
        size = len(self.received)
        return Condition(
            eof or bool(self.error) or self._readable_size > 0, size, eof, self.error if eof else 0
        )

    def write_condition(self) -> Condition:
        """filt_sowrite."""
        if self.shut & SHUT_SEND:
            return Condition(True, max(self._room(), 0), True, self.error)
        if self.error:
            return Condition(True, max(self._room(), 0))
        connected = self.state not in {State.CLOSED, State.LISTEN, State.SYN_SENT}
        return Condition(connected and self._has_room(), max(self._room(), 0))

    def _waiting(self) -> int:
        if self.kernel.dialect.accept_aborted == "hidden":
            return sum(not child.was_reset for child in self.queue)
        return len(self.queue)

    # -- Receiving

    def receive(self, size: int, flags: int = 0) -> tuple[bytes, Any]:
        """tcp_recvmsg, or soreceive."""
        if self.state is State.LISTEN:
            raise fail(errno.ENOTCONN)
        if flags & socket.MSG_OOB:
            return self._receive_urgent(flags), None
        data = self._take_out(size, keep=bool(flags & socket.MSG_PEEK))
        if data:
            return data, None
        if self.ended and not self.kernel.dialect.bsd:
            return b"", None
        self.raise_error()
        if self.shut & SHUT_RECEIVE:
            return b"", None
        if self.state is State.CLOSED:
            raise fail(errno.ENOTCONN)
        raise fail(errno.EAGAIN)

    def _take_out(self, size: int, *, keep: bool) -> bytes:
        if self.urgent == 0 and self.received:
            # The urgent byte is passed over.
            if keep:
                return bytes(self.received[1 : size + 1])
            del self.received[0]
            self.urgent, self.urgent_unread = None, b""
        if self.urgent is not None:
            size = min(size, self.urgent)
        data = bytes(self.received[:size])
        if keep or not data:
            return data
        del self.received[:size]
        if self.urgent is not None:
            self.urgent -= len(data)
        if self.peer is not None:
            sender = self.peer
            freed = len(sender.unsent)
            sender._pump()
            if len(sender.unsent) != freed:
                sender.room_made()
            if self.kernel.dialect.bsd and len(sender.unsent) != freed:
                sender.wake_writers()
        return data

    def _receive_urgent(self, flags: int) -> bytes:
        byte = self.urgent_unread
        if not byte:
            raise fail(errno.EINVAL)
        if self.state is State.CLOSED and not self.ended:
            raise fail(errno.ENOTCONN)
        if not flags & socket.MSG_PEEK:
            self.urgent_unread = b""
        return byte

    # -- Acknowledgements and marks

    def _expect_ack(self, receiver: TcpState) -> None:
        """Data has gone out; its acknowledgement makes room, which wakes the writer."""
        if self._ack is None:
            dialect = self.kernel.dialect
            at_once = dialect.closing_acks_at_once and receiver.state is State.FIN_WAIT
            self._ack = self.kernel.after(0 if at_once else dialect.ack_delay, self._acknowledged)

    def _acknowledged(self) -> None:
        if self._ack is not None:
            self._ack.cancel()
            self._ack = None
            self.wake_writers()

    def _take_mark(self, position: int, byte: bytes) -> None:
        """tcp_check_urg: a new mark turns the byte at the old one into an ordinary one."""
        if self.urgent == 0 and position > 0 and self.received:
            # At the old mark: its byte is passed over now, or it would be read as data.
            del self.received[0]
            position -= 1
        self.urgent = position
        self.urgent_unread = byte
