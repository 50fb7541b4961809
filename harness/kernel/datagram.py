"""Datagram sockets: UDP over loopback, and pairs of Unix ones."""

from __future__ import annotations

import errno
import socket
from collections import deque
from typing import TYPE_CHECKING, Any

from .description import ERR, HUP, IN, OUT, RDHUP, Condition, fail
from .endpoint import SHUT_BOTH, SHUT_RECEIVE, SHUT_SEND, Endpoint, bind_name, is_local, unbind_name
from .packets import true_size

if TYPE_CHECKING:
    from .kernel import Kernel


class DatagramSocket(Endpoint):
    """A UDP socket, or one half of a Unix datagram pair."""

    kind = "datagram socket"

    def __init__(self, kernel: Kernel, family: int) -> None:
        super().__init__(kernel, family, socket.SOCK_DGRAM)
        self.peer: DatagramSocket | None = None  # of a pair
        self.queue: deque[tuple[bytes, Any]] = deque()

    def _size(self) -> int:
        return sum(len(data) for data, _ in self.queue)

    @property
    def _charges_sender(self) -> bool:
        """Of two that are connected to each other Linux looks at the sender's buffer only, and not
        at how long the other's queue is (unix_dgram_sendmsg).
        """  # noqa: D205 - one sentence
        return self.family == socket.AF_UNIX and not self.kernel.dialect.bsd

    def _used(self) -> int:
        return 0 if self.peer is None else sum(true_size(len(data)) for data, _ in self.peer.queue)

    def _full(self) -> bool:
        return self._size() >= self.receive_capacity()

    def _has_room(self) -> bool:
        """unix_writable; elsewhere EVFILT_WRITE and poll(2) do not look at the other's queue."""
        return not self._charges_sender or self._used() * 4 <= self.send_capacity()

    def mask(self) -> int:
        """datagram_poll, or sopoll."""
        mask = (IN if self.queue else 0) | (OUT if self._has_room() else 0)
        if self.error:
            mask |= (IN | OUT) if self.kernel.dialect.bsd else ERR
        if self.shut & SHUT_RECEIVE:
            mask |= IN | RDHUP
        if self.shut == SHUT_BOTH:
            mask |= HUP
        return mask

    def can_write(self) -> bool:
        """As `mask`; a pair's end has to know nothing else."""
        return bool(self.mask() & (OUT | ERR | HUP))

    def read_condition(self) -> Condition:
        """filt_soread."""
        eof = bool(self.shut & SHUT_RECEIVE)
        size = self._size() + len(self.queue) * self.kernel.dialect.datagram_overhead
        return Condition(bool(self.queue) or eof or bool(self.error), size, eof)

    def write_condition(self) -> Condition:
        """filt_sowrite."""
        eof = bool(self.shut & SHUT_SEND)
        return Condition(True, self.send_capacity(), eof)

    def bind(self, address: Any) -> None:
        """bind(2)."""
        if self.family == socket.AF_UNIX:
            raise fail(errno.EOPNOTSUPP)
        bind_name(self, address)

    def connect(self, address: Any) -> None:
        """connect(2): the one to talk with."""
        if self.family == socket.AF_UNIX or not is_local(address[0]):
            raise fail(errno.EOPNOTSUPP if self.family == socket.AF_UNIX else errno.ENETUNREACH)
        if self.name is None:
            bind_name(self, ("127.0.0.1", 0))
        self.peer_name = address

    def send(self, data: bytes, flags: int = 0, address: Any = None) -> int:
        """udp_sendmsg, unix_dgram_sendmsg."""
        if self.shut & SHUT_SEND:
            raise fail(errno.EPIPE)
        self.raise_error()
        if self._charges_sender and self._used() >= self.send_capacity():
            raise fail(errno.EAGAIN)
        target = self._target(address)
        if self.family != socket.AF_UNIX and len(data) > self.kernel.dialect.udp_most:
            raise fail(errno.EMSGSIZE)
        if self.family != socket.AF_UNIX:
            self._room_back()
        if target is None:
            if address is None:
                self.error = errno.ECONNREFUSED  # the ICMP answer, for the next call
                self.wake()
            return len(data)
        if target.shut & SHUT_RECEIVE:
            if self.family == socket.AF_UNIX:
                self._room_back()
                raise fail(errno.EPIPE)
            return len(data)
        if target._full() and not self._charges_sender:
            if self.family == socket.AF_UNIX:
                raise fail(self.kernel.dialect.datagram_full_error)
            return len(data)  # dropped
        target.queue.append((data, self.name))
        target.wake_readers()
        return len(data)

    def _room_back(self) -> None:
        """A packet, sent or refused, has left the send buffer: sock_wfree tells of the room."""
        if not self.kernel.dialect.bsd:
            self.wake_writers()

    def _target(self, address: Any) -> DatagramSocket | None:
        if self.family == socket.AF_UNIX:
            if self.peer is None:
                gone, self.was_reset = self.was_reset, False
                if gone and not self.kernel.dialect.bsd:
                    self.queue.clear()  # unix_dgram_disconnected
                # Since Linux 6.13 the packet is made before anybody looks whom it is for.
                self._room_back()
                raise fail(errno.ECONNREFUSED if gone else errno.ENOTCONN)
            return self.peer
        where = address or self.peer_name
        if where is None:
            raise fail(errno.EDESTADDRREQ)
        if self.name is None:
            bind_name(self, ("127.0.0.1", 0))
        for other in self.kernel.names.get((self.family, self.type, where[1]), []):
            if isinstance(other, DatagramSocket) and other.peer_name in (None, self.name):
                return other
        return None

    def receive(self, size: int, flags: int = 0) -> tuple[bytes, Any]:
        """recvfrom(2): one datagram, what does not fit is lost."""
        self.raise_error()
        if self.queue:
            data, sender = self.queue[0]
            if not flags & socket.MSG_PEEK:
                self.queue.popleft()
                if self.peer is not None and self.peer._has_room():
                    self.peer.wake_writers()
            return data[:size], sender
        if self.shut & SHUT_RECEIVE:
            return b"", None
        raise fail(errno.EAGAIN)

    def shutdown(self, how: int) -> None:
        """shutdown(2)."""
        how += 1
        if not 0 < how <= SHUT_BOTH:
            raise fail(errno.EINVAL)
        if self.peer is None and self.peer_name is None:
            raise fail(errno.ENOTCONN)
        self.shut |= how
        self.wake()
        if self.peer is not None:
            self.peer.shut |= (SHUT_RECEIVE if how & SHUT_SEND else 0) | (
                SHUT_SEND if how & SHUT_RECEIVE else 0
            )
            self.peer.wake()

    def released(self) -> None:
        """The other one of a pair has nobody to talk to."""
        unbind_name(self)
        if self.peer is not None:
            self.peer.was_reset = True
            self.peer.error = self.kernel.dialect.datagram_peer_gone_error
            self.peer.peer = None
            if self.queue or self.kernel.dialect.bsd:
                self.peer.wake_writers()  # what lay unread gives its room back: sock_wfree
            if self.peer.error:
                self.peer.wake()
