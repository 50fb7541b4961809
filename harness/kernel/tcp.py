"""TCP over loopback: what two sockets see of each other, without the segments.

Every segment arrives inside the call that sends it, as on loopback. What the receiver has no room
for stays in the sender's buffer and moves on when there is room. The rules are those of
net/ipv4/tcp.c and tcp_input.c, and for the BSDs those of sys/kern/uipc_socket.c; where they part,
the dialect says which.
"""

from __future__ import annotations

import errno
import socket
from typing import Any

from .description import ERR, EVERYTHING, IN, OUT, fail
from .endpoint import SHUT_BOTH, SHUT_RECEIVE, SHUT_SEND, bind_name, is_local, unbind_name
from .tcpstate import Progress, State, TcpState

#: In these states a close with SO_LINGER 0 always sends RST (tcp_need_reset).
_OPEN = (State.ESTABLISHED, State.FIN_WAIT, State.CLOSE_WAIT)


class TcpSocket(TcpState):
    """One TCP socket."""

    # -- Listening and accepting

    def bind(self, address: Any) -> None:
        """bind(2)."""
        bind_name(self, address)

    def listen(self, backlog: int) -> None:
        """listen(2); Linux gives an unbound socket a port first."""
        if (
            self.state not in {State.CLOSED, State.LISTEN}
            or self.progress is not Progress.UNCONNECTED
        ):
            raise fail(errno.EINVAL)
        if self.name is None:
            bind_name(self, ("127.0.0.1", 0) if self.family == socket.AF_INET else ("::1", 0, 0, 0))
        self.backlog = max(backlog, 0)
        self.state = State.LISTEN

    def accept(self) -> TcpSocket:
        """accept(2)."""
        if self.state is not State.LISTEN:
            raise fail(errno.EINVAL)
        while self.queue:
            child = self.queue.popleft()
            child.listener = None
            if self.kernel.dialect.accept_wakes and self.queue:
                self.wake_readers()
            if child.was_reset and self.kernel.dialect.accept_aborted != "delivered":
                if self.kernel.dialect.accept_aborted == "error":
                    raise fail(errno.ECONNABORTED)
                continue
            child.nonblocking = self.nonblocking and self.kernel.dialect.accept_inherits_nonblock
            return child
        raise fail(errno.EAGAIN)

    # -- Connecting

    def connect(self, address: Any) -> None:
        """connect(2) of a non-blocking socket (__inet_stream_connect)."""
        if self.progress is Progress.CONNECTED:
            raise fail(errno.EISCONN)
        if self.progress is Progress.BROKEN:
            raise fail(errno.EINVAL)
        if self.progress is Progress.CONNECTING:
            if self.state is State.SYN_SENT:
                raise fail(errno.EALREADY)
            if self.state is State.CLOSED:
                if self.kernel.dialect.reconnect_error:
                    raise fail(self.kernel.dialect.reconnect_error)
                raise self._connect_failed()
            self.progress = Progress.CONNECTED
            if self.kernel.dialect.bsd:
                raise fail(errno.EISCONN)
            return
        if self.state is not State.CLOSED:
            raise fail(errno.EISCONN if not self.kernel.dialect.bsd else errno.EOPNOTSUPP)
        if not is_local(address[0]):
            raise fail(errno.ENETUNREACH)
        if self.name is None:
            bind_name(self, ("127.0.0.1", 0) if self.family == socket.AF_INET else ("::1", 0, 0, 0))
        self.peer_name = address
        self.state = State.SYN_SENT
        self.progress = Progress.CONNECTING
        self._syn(address, self.kernel.dialect.syn_retransmit)
        # Where it may be over inside the call it is so at times; the kernel's seed says when.
        inside = self.kernel.dialect.connect_inside and self.state is not State.SYN_SENT
        if inside and self.kernel.random.random() < 0.5:
            if self.error:
                raise fail(self.take_error())
            self.progress = Progress.CONNECTED
            return
        raise fail(errno.EINPROGRESS)

    def _connect_failed(self) -> OSError:
        code = self.take_error() or errno.ECONNABORTED
        self._disconnect()
        return fail(code)

    def _disconnect(self) -> None:
        """tcp_disconnect: a socket as new."""
        self.state = State.CLOSED
        self.progress = Progress.UNCONNECTED
        self.shut = 0
        self.ended = self.was_reset = False
        self.peer = None
        self.peer_name = None
        self.received.clear()
        self.unsent.clear()
        self.urgent = self.urgent_at = None
        self.urgent_unread = b""
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        if not self.kernel.dialect.bsd:
            self.wake(ERR)  # sk_error_report, whatever there is to report

    def connecting(self) -> bool:
        """Tell whether the answer has not come yet."""
        return self.state is State.SYN_SENT

    def _syn(self, address: Any, patience: float) -> None:
        """Ask the listener; a full queue does not answer, so ask again later."""
        self._retry = None
        found = self.kernel.names.get((self.family, socket.SOCK_STREAM, address[1]), [])
        listeners = [other for other in found if other.state is State.LISTEN]
        if not listeners:
            self._reset(errno.ECONNREFUSED)
            return
        listener: TcpSocket = (
            self.kernel.random.choice(listeners) if len(listeners) > 1 else listeners[0]
        )
        if len(listener.queue) > listener.backlog:
            self._retry = self.kernel.after(patience, lambda: self._syn(address, 2 * patience))
            return
        child = TcpSocket(self.kernel, self.family)
        child.options = dict(listener.options)
        child.linger_zero = listener.linger_zero
        child.name, child.peer_name = (address, self.name)
        child.progress = Progress.CONNECTED
        child.listener = listener
        join(self, child)
        listener.queue.append(child)
        self.wake()
        listener.wake_readers()
        if self.shut & SHUT_SEND and self.kernel.dialect.bsd:
            self._finish()  # TF_NEEDFIN; Linux sends none for a shutdown before the connect

    # -- Sending

    def send(self, data: bytes, flags: int = 0, address: Any = None) -> int:
        """tcp_sendmsg, or sosend."""
        if self.kernel.dialect.bsd:
            if self.shut & SHUT_SEND:
                raise fail(self._after_reset() or errno.EPIPE)
            self.raise_error()
            if self.state in {State.CLOSED, State.LISTEN}:
                raise fail(errno.ENOTCONN)
        elif self.state not in {State.ESTABLISHED, State.CLOSE_WAIT}:
            self.raise_error()
            if self.state is not State.SYN_SENT:
                raise fail(errno.EPIPE)
        if self.state is State.SYN_SENT:
            raise fail(errno.EAGAIN)
        if self.error or self.shut & SHUT_SEND:
            raise fail(self.take_error() or errno.EPIPE)
        if not data:
            return 0
        sent = 0
        while sent < len(data) and (room := self._room()) > 0:
            piece = data[sent : sent + room]
            sent += len(piece)
            if flags & socket.MSG_OOB and sent == len(data):
                self.urgent_at = len(self.unsent) + len(piece) - 1
            self.unsent += piece
            self._pump()
            if self.shut == SHUT_BOTH:
                break  # it was answered with RST
        if not sent:
            self._starved = True
            raise fail(errno.EAGAIN)
        return sent

    def _after_reset(self) -> int:
        """Return what the first send after a reset is told, where that is something of its own."""
        first = self.was_reset and not self._told
        self._told = True
        return self.kernel.dialect.send_on_reset if first else 0

    def _pump(self) -> None:
        """Move what is unsent to the peer, as far as it has room, and FIN behind it."""
        peer = self.peer
        if peer is None:
            return
        while self.unsent and (room := peer.receive_capacity() - len(peer.received)) > 0:
            piece = bytes(self.unsent[:room])
            del self.unsent[:room]
            mark, self.urgent_at = self.urgent_at, None
            if mark is not None and mark >= len(piece):
                self.urgent_at, mark = mark - len(piece), None
            if not peer._take_in(piece, mark):
                return
        if not self.unsent and self.state in {State.FIN_WAIT, State.LAST_ACK} and not peer.ended:
            peer._take_fin()

    def room_made(self) -> None:
        """The send buffer may have grown, or been emptied into the peer."""
        if self._starved and self._has_room():
            self._starved = False
            self.wake_writers()

    # -- What arrives

    def _take_in(self, data: bytes, mark: int | None) -> bool:
        """Take data in; False when it is answered with RST."""
        refused = self.orphan or (
            self.state is State.FIN_WAIT
            and bool(self.shut & SHUT_RECEIVE)
            and not self.kernel.dialect.bsd
        )
        if refused:
            other = self.peer
            if not self.orphan:
                if mark is not None:  # it is looked at before the data is
                    self._take_mark(len(self.received) + mark, data[mark : mark + 1])
                self._reset(errno.ECONNRESET)
            if other is not None:
                other._take_reset()
            self.peer = None
            return False
        self._acknowledged()
        if self.peer is not None and self.kernel.dialect.bsd:
            self.peer._expect_ack(self)
        if self.kernel.dialect.bsd and self.shut & SHUT_RECEIVE:
            return True  # sorflush: what comes after shutdown(SHUT_RD) is dropped
        begin = len(self.received)
        self.received += data
        if mark is not None:
            self._take_mark(begin + mark, data[mark : mark + 1])
        self.wake_readers()
        return True

    def _take_fin(self) -> None:
        peer = self.peer
        self._acknowledged()
        self.ended = True
        self.shut |= SHUT_RECEIVE
        # Its own FIN may still be behind data that the peer has no room for.
        closing = self.state is State.FIN_WAIT and peer is not None and not peer.ended
        if self.state is State.ESTABLISHED or closing:
            self.state = State.LAST_ACK if closing else State.CLOSE_WAIT
            self.wake(EVERYTHING if not self.kernel.dialect.bsd else IN)
            if peer is not None and not self.kernel.dialect.bsd:
                peer.wake()  # its FIN is acknowledged
            return
        # Both have ended: the one is in TIME-WAIT now, which nobody sees, the other done.
        for side in (self, peer):
            if side is not None:
                side.state = State.CLOSED
                side.shut = SHUT_BOTH
                side.peer = None
                side.wake(EVERYTHING if not side.kernel.dialect.bsd else IN)

    def _take_reset(self) -> None:
        if self.state is not State.CLOSED:
            broken = self.state is State.CLOSE_WAIT and not self.kernel.dialect.bsd
            self._reset(errno.EPIPE if broken else errno.ECONNRESET)

    def _reset(self, code: int) -> None:
        """tcp_reset: everything ends, with an error for who asks."""
        self.error = code
        self.was_reset = code != errno.ECONNREFUSED
        self.state = State.CLOSED
        self.shut = SHUT_BOTH
        self.unsent.clear()
        self.peer = None
        self.wake()

    def break_off(self, code: int) -> None:
        """The connection ends with an error that nobody sent, such as ETIMEDOUT."""
        self._reset(code)

    # -- Ending

    def shutdown(self, how: int) -> None:
        """inet_shutdown, or soshutdown."""
        how += 1
        if not 0 < how <= SHUT_BOTH:
            raise fail(errno.EINVAL)
        bsd = self.kernel.dialect.bsd
        if self.state is State.SYN_SENT and bsd:
            self.shut |= how  # tcp_usrclosed: FIN follows when the connection is there (TF_NEEDFIN)
            self.wake((IN if how & SHUT_RECEIVE else 0) | (OUT if how & SHUT_SEND else 0))
            return
        if self.progress is Progress.CONNECTING and not bsd:
            failed = self.state is State.CLOSED
            self.progress = Progress.BROKEN if failed else Progress.CONNECTED
        if self.state in {State.LISTEN, State.SYN_SENT}:
            if self.state is State.LISTEN and (bsd or not how & SHUT_RECEIVE):
                if bsd:
                    raise fail(errno.ENOTCONN)
            else:
                self._abandon()
            self.wake()
            return
        closed = self.state is State.CLOSED
        if closed and bsd:
            raise fail(errno.ENOTCONN)
        self.refuse_second_shutdown(how)
        self.shut |= how
        if bsd and how & SHUT_RECEIVE:
            self.received.clear()
        if how & SHUT_SEND:
            self._finish()
        if not bsd:
            self.wake()
        elif not self.kernel.dialect.own_shutdown_unseen:
            self.wake((IN if how & SHUT_RECEIVE else 0) | (OUT if how & SHUT_SEND else 0))
        if closed:
            raise fail(errno.ENOTCONN)

    def _abandon(self) -> None:
        """Stop listening, or connecting, and be as new."""
        error = errno.ECONNRESET if self.state is State.SYN_SENT else 0
        self._drop_queue()
        self._disconnect()
        self.error = error

    def _finish(self) -> None:
        """Send FIN behind everything else."""
        if self.state is State.ESTABLISHED:
            self.state = State.FIN_WAIT
        elif self.state is State.CLOSE_WAIT:
            self.state = State.LAST_ACK
        else:
            return
        self._pump()

    def _drop_queue(self) -> None:
        while self.queue:
            child = self.queue.popleft()
            child.orphan = True
            child._send_reset()

    def _send_reset(self) -> None:
        other, self.peer = self.peer, None
        self.state = State.CLOSED
        self.shut = SHUT_BOTH
        if other is not None:
            other._take_reset()

    def released(self) -> None:
        """tcp_close, or soclose."""
        self.orphan = True
        if self._retry is not None:
            self._retry.cancel()
        self._drop_queue()
        unbind_name(self)
        if self._closes_with_reset():
            self._send_reset()
            return
        self.shut = SHUT_BOTH
        self.received.clear()
        self._finish()
        if self.state in {State.LISTEN, State.SYN_SENT}:
            self.state = State.CLOSED

    def _closes_with_reset(self) -> bool:
        if self.received and self.kernel.dialect.unread_close_resets:
            return self.state in _OPEN or self.state is State.LAST_ACK
        if self.state is State.LAST_ACK:
            # tcp_disconnect: only while the FIN has not gone out; the BSDs' tcp_drop: always.
            return self.linger_zero and bool(self.unsent or self.kernel.dialect.bsd)
        return self.linger_zero and self.state in _OPEN

    def peer_address(self) -> Any:
        """getpeername(2)."""
        if self.peer_name is None or self.state in {State.CLOSED, State.SYN_SENT, State.LISTEN}:
            if self.was_reset and self.kernel.dialect.setsockopt_on_reset:
                raise fail(errno.EINVAL)
            raise fail(errno.ENOTCONN)
        return self.peer_name


def join(left: TcpSocket, right: TcpSocket) -> None:
    """Connect two sockets: the handshake is done."""
    left.peer, right.peer = right, left
    left.state = right.state = State.ESTABLISHED
