"""Steps on sockets."""

from __future__ import annotations

import errno
import socket
import struct
from typing import Any

from .answers import errno_name
from .bench import SIZES, Bench, Handle

_LINGER = struct.pack("ii", 1, 0)


class SocketSteps(Bench):
    """Each a call of a socket, with three numbers to choose from what there is."""

    def _new_tcp(self) -> Any:
        """Without Nagle's algorithm, which makes it a matter of time when a byte arrives; who is
        accepted inherits that from the listener.
        """  # noqa: D205 - one sentence
        sock = self._system.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def do_tcp(self, *_: int) -> Any:
        """A new TCP socket."""
        return self._add("tcp", self._new_tcp())

    def do_tcp_pair(self, *_: int) -> Any:
        """Two TCP sockets, connected."""
        listener = self._new_tcp()
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        client = self._new_tcp()
        begun = client.connect_ex(listener.getsockname()) in {0, errno.EINPROGRESS}
        self._readable_soon(listener.fileno())
        server, _address = self._system.accept(listener)
        listener.close()
        return begun, *self._add_pair("tcp", client, server)

    def do_tcp_listener(self, backlog: int, *_: int) -> Any:
        """A listening TCP socket."""
        sock = self._new_tcp()
        sock.bind(("127.0.0.1", 0))
        sock.listen(backlog % 3)
        self._addresses.append((socket.AF_INET, sock.getsockname()))
        return self._add_listener("tcp", sock)

    def _add_listener(self, kind: str, sock: Any) -> int:
        number = self._add(kind, sock)
        self._open[-1].listening = True
        return number

    def do_unix(self, *_: int) -> Any:
        """A new Unix stream socket."""
        return self._add("unix", self._system.socket(socket.AF_UNIX, socket.SOCK_STREAM))

    def do_unix_pair(self, *_: int) -> Any:
        """Two Unix stream sockets, connected."""
        pair = self._system.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        return self._add_pair("unix", *pair)

    def do_unix_listener(self, backlog: int, *_: int) -> Any:
        """A listening Unix socket."""
        sock = self._system.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        path = self._make_path()
        sock.bind(path)
        sock.listen(backlog % 3)
        self._addresses.append((socket.AF_UNIX, path))
        return self._add_listener("unix", sock)

    def do_dgram_pair(self, *_: int) -> Any:
        """Two Unix datagram sockets, connected."""
        pair = self._system.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        return self._add_pair("dgram", *pair)

    def do_udp_pair(self, *_: int) -> Any:
        """Two UDP sockets, the second connected to the first."""
        left, right = (self._system.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        left.bind(("127.0.0.1", 0))
        right.connect(left.getsockname())
        return self._add("udp", left), self._add("udp", right)

    def do_connect(self, which: int, where: int, *_: int) -> Any:
        """Connect to a listener, alive or gone, or to a port where nobody listens."""
        handle = self._pick(which, "tcp", "unix")
        if handle is None:
            return None
        family = handle.sock.family
        known = [address for kind, address in self._addresses if kind == family]
        if family == socket.AF_INET:
            known.append(self._dead.getsockname())
        return handle.sock.connect(known[where % len(known)]) if known else None

    def do_client(self, where: int, *_: int) -> Any:
        """A new socket, and connect it to a listener, alive or gone."""
        if not self._addresses:
            return None
        family, address = self._addresses[where % len(self._addresses)]
        sock = (
            self._new_tcp()
            if family == socket.AF_INET
            else self._system.socket(family, socket.SOCK_STREAM)
        )
        self._add("tcp" if family == socket.AF_INET else "unix", sock)
        code = sock.connect_ex(address)
        # Whether the handshake ends inside the call is no matter here; the step `connect` tells.
        return "begun" if code in {0, errno.EINPROGRESS} else errno_name(code)

    def do_abort(self, which: int, *_: int) -> Any:
        """Close with RST."""
        handle = self._pick(which, "tcp")
        if handle is not None:
            handle.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
            self._close(handle)

    def do_accept(self, which: int, *_: int) -> Any:
        """Accept, now and then on what does not listen."""
        streams = [item for item in self._open if item.kind in {"tcp", "unix"}]
        listeners = [item for item in streams if item.listening]
        found = listeners if which % 5 and listeners else streams
        if not found:
            return None
        handle = found[which % len(found)]
        return self._add(handle.kind, self._system.accept(handle.sock)[0])

    def do_send(self, which: int, size: int, *_: int) -> Any:
        """Send bytes, no two sends the same."""
        handle = self._pick_socket(which)
        if handle is None:
            return None
        data = self._payload(SIZES[size % 5])
        if not self._holds_more(handle):
            sent = handle.sock.send(data, self._flags)
            return ("tcp both ways", sent) if self._both_ways(handle) else sent
        try:
            handle.sock.send(data, self._flags)
        except BlockingIOError:
            pass
        return "sent, or not"

    def _holds_more(self, handle: Handle) -> bool:
        """Tell whether it is a TCP connection that may have a little room, now or in a moment."""
        return handle.kind == "tcp" and handle.out is not None and handle.out.touched

    def do_urgent(self, which: int, *_: int) -> Any:
        """Send one urgent byte."""
        handle = self._pick(which, "tcp")
        if handle is None or self._holds_more(handle):
            return None
        return handle.sock.send(self._payload(1), self._flags | socket.MSG_OOB)

    def do_recv(self, which: int, size: int, *_: int) -> Any:
        """Receive."""
        handle = self._pick_socket(which)
        return None if handle is None else handle.sock.recv(SIZES[size % 6])

    def do_peek(self, which: int, size: int, *_: int) -> Any:
        """Receive and leave it there."""
        handle = self._pick_socket(which)
        return None if handle is None else handle.sock.recv(SIZES[size % 6], socket.MSG_PEEK)

    def do_recv_urgent(self, which: int, *_: int) -> Any:
        """Receive the urgent byte."""
        handle = self._pick(which, "tcp")
        return None if handle is None else handle.sock.recv(1, socket.MSG_OOB)

    def do_shutdown(self, which: int, how: int, *_: int) -> Any:
        """Shut down a direction, or both."""
        handle = self._pick(which, "tcp", "unix")
        if handle is None:
            return None
        how %= 3
        if handle.into is not None and how != socket.SHUT_WR:
            if handle.into.touched:
                how = socket.SHUT_WR
            else:
                handle.into.shut = True
        return handle.sock.shutdown(how)

    def do_linger(self, which: int, *_: int) -> Any:
        """Have close send RST."""
        handle = self._pick(which, "tcp")
        if handle is not None:
            handle.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)

    def do_error(self, which: int, *_: int) -> Any:
        """SO_ERROR."""
        handle = self._pick_socket(which)
        return (
            None if handle is None else handle.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        )

    def do_peer(self, which: int, *_: int) -> Any:
        """Whether there is a peer's address."""
        handle = self._pick(which, "tcp", "unix")
        return None if handle is None else handle.sock.getpeername() is None
