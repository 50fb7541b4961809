"""Unix stream sockets (net/unix/af_unix.c; sys/kern/uipc_usrreq.c).

There is no network in between: what is sent lies in the peer's queue, and is charged to the
sender's buffer until it is read. A connect is complete before anybody accepts.
"""

from __future__ import annotations

import errno
import os
import socket
from collections import deque
from typing import TYPE_CHECKING, Any

from .description import ERR, HUP, IN, OUT, RDHUP, Condition, fail
from .endpoint import SHUT_BOTH, SHUT_RECEIVE, SHUT_SEND, Endpoint

if TYPE_CHECKING:
    from .kernel import Kernel

#: Longest path, with its final zero: sun_path in <sys/un.h>.
PATH_MAX = {False: 108, True: 104}


class UnixSocket(Endpoint):
    """One Unix stream socket."""

    kind = "unix socket"

    def __init__(self, kernel: Kernel) -> None:
        super().__init__(kernel, socket.AF_UNIX, socket.SOCK_STREAM)
        self.peer: UnixSocket | None = None
        self.connected = False
        self.listening = False
        self.backlog = 0
        self.queue: deque[UnixSocket] = deque()
        # One item for each send: Linux gives its room back, and tells the sender so, when it has
        # been read whole (sk_wmem_alloc). And how much that is.
        self.pieces: deque[bytes] = deque()
        self._charges: deque[int] = deque()

    # -- Readiness

    @property
    def _unread(self) -> int:
        return sum(map(len, self.pieces))

    @property
    def _charged(self) -> int:
        return self._unread if self.kernel.dialect.bsd else sum(self._charges)

    def _room(self) -> int:
        used = 0 if self.peer is None else self.peer._charged
        return self.send_capacity() - used

    def _has_room(self) -> bool:
        dialect = self.kernel.dialect
        if dialect.bsd:
            return self._room() >= min(dialect.send_low_water, self.send_capacity())
        return (self.send_capacity() - self._room()) * 4 <= self.send_capacity()  # unix_writable

    def mask(self) -> int:
        """unix_poll, or sopoll."""
        if self.kernel.dialect.bsd:
            return (
                (IN if self.read_condition().active else 0)
                | (OUT if self.write_condition().active else 0)
                | (HUP if self.shut == SHUT_BOTH else 0)
                | (RDHUP if self.shut & SHUT_RECEIVE else 0)
            )
        return (
            (ERR if self.error else 0)
            | (HUP if self.shut == SHUT_BOTH or not (self.connected or self.listening) else 0)
            | (IN | RDHUP if self.shut & SHUT_RECEIVE else 0)
            | (IN if self.pieces or self.queue else 0)
            | (OUT if self._has_room() and not self.listening else 0)
        )

    def can_write(self) -> bool:
        """A blocking send goes on as soon as there is any room."""
        return bool(self.error) or bool(self.shut & SHUT_SEND) or self._room() > 0

    def read_condition(self) -> Condition:
        """filt_soread."""
        if self.listening:
            return Condition(bool(self.queue), len(self.queue))
        eof = bool(self.shut & SHUT_RECEIVE)
        size = self._unread
        return Condition(eof or size > 0 or bool(self.error), size, eof, self.error if eof else 0)

    def write_condition(self) -> Condition:
        """filt_sowrite."""
        room = max(self._room(), 0)
        if self.shut & SHUT_SEND:
            return Condition(True, room, True, self.error)
        return Condition(self.connected and self._has_room(), room)

    # -- Listening and connecting

    def bind(self, address: Any) -> None:
        """bind(2): makes the path."""
        path = os.fspath(address)
        if self.name is not None:
            raise fail(errno.EINVAL)
        if len(os.fsencode(path)) >= PATH_MAX[self.kernel.dialect.bsd]:
            raise OSError("AF_UNIX path too long")  # CPython says so itself
        if path in self.kernel.paths:
            raise fail(errno.EADDRINUSE)
        self.kernel.paths.add(path)
        self.kernel.names[socket.AF_UNIX, path] = [self]
        self.name = path

    def listen(self, backlog: int) -> None:
        """listen(2)."""
        if self.name is None or self.connected:
            raise fail(errno.EINVAL)
        self.listening = True
        self.backlog = max(backlog, 0)

    def accept(self) -> UnixSocket:
        """accept(2)."""
        if not self.listening:
            raise fail(errno.EINVAL)
        if not self.queue:
            # Only a call that would wait is told of the shutdown (unix_accept).
            ended = self.shut & SHUT_RECEIVE and not self.nonblocking
            raise fail(errno.EINVAL if ended else errno.EAGAIN)
        child = self.queue.popleft()
        if self.kernel.dialect.accept_wakes and self.queue:
            self.wake_readers()
        child.nonblocking = self.nonblocking and self.kernel.dialect.accept_inherits_nonblock
        return child

    def connect(self, address: Any) -> None:
        """connect(2), complete or failed at once."""
        path = os.fspath(address)
        if path not in self.kernel.paths:
            raise fail(errno.ENOENT)
        found = self.kernel.names.get((socket.AF_UNIX, path)) or [None]
        listener: UnixSocket | None = found[0]
        if listener is None:
            raise fail(errno.ECONNREFUSED)
        if not listener.listening or listener.shut & SHUT_RECEIVE:
            raise fail(errno.ECONNREFUSED)
        if len(listener.queue) > listener.backlog:
            raise fail(self.kernel.dialect.unix_full_queue_error)
        if self.listening:
            raise fail(errno.EINVAL)
        if self.connected:
            raise fail(errno.EISCONN)
        child = UnixSocket(self.kernel)
        child.name = self.peer_name = path
        child.peer_name = self.name
        join(self, child)
        listener.queue.append(child)
        listener.wake_readers()

    def peer_address(self) -> Any:
        """getpeername(2)."""
        if not self.connected or self.peer is None:
            raise fail(errno.ENOTCONN)
        return self.peer_name or ""

    # -- Data

    def send(self, data: bytes, flags: int = 0, address: Any = None) -> int:
        """unix_stream_sendmsg, or uipc_send."""
        if flags & socket.MSG_OOB:
            raise fail(errno.EOPNOTSUPP)
        if not self.connected:
            raise fail(errno.ENOTCONN)
        if self.shut & SHUT_SEND:
            raise fail(errno.EPIPE)
        if not data:
            return 0
        self.raise_error()
        peer = self.peer
        if peer is None or peer.shut & SHUT_RECEIVE:
            raise fail(errno.EPIPE)
        size = min(len(data), self._room())
        if size <= 0:
            raise fail(errno.EAGAIN)
        peer.pieces.append(data[:size])
        peer._charges.append(size)
        peer.wake_readers()
        return size

    def receive(self, size: int, flags: int = 0) -> tuple[bytes, Any]:
        """unix_stream_read_generic, or soreceive."""
        if flags & socket.MSG_OOB:
            raise fail(errno.EOPNOTSUPP)
        if not self.connected:
            raise fail(errno.ENOTCONN if self.kernel.dialect.bsd else errno.EINVAL)
        peek = flags & socket.MSG_PEEK
        data = b"".join(self.pieces)[:size] if peek else self._take_out(size)
        if data:
            return data, None
        self.raise_error()
        if self.shut & SHUT_RECEIVE:
            return b"", None
        raise fail(errno.EAGAIN)

    def _take_out(self, size: int) -> bytes:
        data = b""
        freed = False
        while self.pieces and len(data) < size:
            piece = self.pieces.popleft()
            taken = size - len(data)
            data += piece[:taken]
            if len(piece) > taken:
                self.pieces.appendleft(piece[taken:])
            else:
                self._charges.popleft()
                freed = True
        sender = self.peer
        if data and sender is not None:
            bsd = self.kernel.dialect.bsd
            if bsd or (freed and sender._has_room()):
                sender.wake_writers()
        return data

    def _drop(self) -> None:
        self.pieces.clear()
        self._charges.clear()

    def room_made(self) -> None:
        """SO_SNDBUF has changed: pollers look when they are asked."""

    # -- Ending

    def shutdown(self, how: int) -> None:
        """unix_shutdown, or uipc_shutdown: each side's end is the other's."""
        how += 1
        if not 0 < how <= SHUT_BOTH:
            raise fail(errno.EINVAL)
        bsd = self.kernel.dialect.bsd
        if bsd and not self.connected:
            raise fail(errno.ENOTCONN)
        self.shut |= how
        if bsd and how & SHUT_RECEIVE:
            self._drop()
        if not (bsd and self.kernel.dialect.own_shutdown_unseen):
            self.wake(
                (IN if how & SHUT_RECEIVE else 0) | (OUT if how & SHUT_SEND else 0) if bsd else 0
            )
        peer = self.peer
        if peer is None:
            return
        if how & SHUT_SEND:
            peer.shut |= SHUT_RECEIVE
        if how & SHUT_RECEIVE:
            peer.shut |= SHUT_SEND
        peer.wake((IN if how & SHUT_SEND else 0) | (OUT if how & SHUT_RECEIVE else 0) if bsd else 0)

    def _gone(self, *, unread: bool) -> None:
        """The peer has been closed."""
        self.shut = SHUT_BOTH
        if unread and not self.kernel.dialect.bsd:
            self.error = errno.ECONNRESET
        self.wake()

    def released(self) -> None:
        """unix_release_sock."""
        if self.name is not None and self.kernel.names.get((socket.AF_UNIX, self.name)) == [self]:
            self.kernel.names[socket.AF_UNIX, self.name] = []
        while self.queue:
            child = self.queue.popleft()
            child.shut = SHUT_BOTH
            if child.peer is not None:
                child.peer._gone(unread=True)
        if self.peer is not None:
            self.peer._gone(unread=bool(self.pieces))
        self.shut = SHUT_BOTH
        self._drop()


def join(left: UnixSocket, right: UnixSocket) -> None:
    """Connect two sockets."""
    left.peer, right.peer = right, left
    left.connected = right.connected = True
