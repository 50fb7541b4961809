"""What every kind of socket has: options, an address, an error that waits to be told."""

from __future__ import annotations

import errno
import socket
import struct
from typing import TYPE_CHECKING, Any

from .description import IN, OUT, Description, fail

if TYPE_CHECKING:
    from .kernel import Kernel

SHUT_RECEIVE, SHUT_SEND, SHUT_BOTH = 1, 2, 3

#: Sizes that SO_SNDBUF and SO_RCVBUF cannot go below; Linux doubles what it is given (socket(7)).
_LEAST = {socket.SO_SNDBUF: 4608, socket.SO_RCVBUF: 2304}


class Endpoint(Description):
    """Base of the sockets.

    Attributes:
        shut: SHUT_RECEIVE and SHUT_SEND, by whichever side.
        own_shut: the same, by shutdown(2) on this one.
        error: SO_ERROR, told once.
        name, peer_name: the addresses, in the form that `socket.socket` has.
        options: what setsockopt set, by level and option.
        bytes_sent, bytes_received: what calls of this side have moved.
        failures: what calls of this side failed with, other than that they would block: the call
            and the errno, as SO_ERROR told it too.
    """

    kind = "socket"

    def __init__(self, kernel: Kernel, family: int, type: int, proto: int = 0) -> None:  # noqa: A002 - as in `socket`
        super().__init__(kernel)
        self.family, self.type, self.proto = family, type, proto
        self.shut = 0
        self.own_shut = 0
        self.error = 0
        self.name: Any = None
        self.peer_name: Any = None
        self.linger_zero = False
        self.was_reset = False
        self.options: dict[tuple[int, int], Any] = {}
        self.bytes_sent = self.bytes_received = 0
        self.failures: list[tuple[str, int]] = []

    # -- Errors and options

    def take_error(self) -> int:
        """Return the pending error and forget it."""
        error, self.error = self.error, 0
        return error

    def raise_error(self) -> None:
        """Raise the pending error, if there is one, and forget it."""
        if self.error:
            raise fail(self.take_error())

    def getsockopt(self, level: int, option: int) -> int:
        """getsockopt(2), for integers."""
        if level == socket.SOL_SOCKET:
            if option == socket.SO_ERROR:
                code = self.take_error()
                if code:
                    self.failures.append(("so_error", code))
                return code
            if option == socket.SO_TYPE:
                return self.type
            if option == socket.SO_SNDBUF:
                return self.send_capacity()
            if option == socket.SO_RCVBUF:
                return self.receive_capacity()
        return int(self.options.get((level, option), 0))

    def setsockopt(self, level: int, option: int, value: int | bytes) -> None:
        """setsockopt(2)."""
        if self.was_reset and self.kernel.dialect.setsockopt_on_reset:
            raise fail(self.kernel.dialect.setsockopt_on_reset)
        if (level, option) == (socket.SOL_SOCKET, socket.SO_LINGER):
            assert isinstance(value, bytes)
            on, seconds = struct.unpack("ii", value)
            self.linger_zero = bool(on) and not seconds
            return
        if level == socket.SOL_SOCKET and option in _LEAST:
            assert isinstance(value, int)
            wanted = value if self.kernel.dialect.bsd else max(2 * value, _LEAST[option])
            if wanted <= 0:
                raise fail(errno.EINVAL)  # the BSDs
            value = wanted
        self.options[level, option] = value
        if option == socket.SO_SNDBUF and level == socket.SOL_SOCKET:
            self.room_made()

    def room_made(self) -> None:
        """There may be more room to send."""

    def send_capacity(self) -> int:
        """Return the size of the send buffer, in bytes."""
        return int(self.options.get((socket.SOL_SOCKET, socket.SO_SNDBUF), self.default_send()))

    def receive_capacity(self) -> int:
        """Return the size of the receive buffer, in bytes."""
        return int(self.options.get((socket.SOL_SOCKET, socket.SO_RCVBUF), self.default_receive()))

    def default_send(self) -> int:
        """The size of the send buffer of a new socket."""
        return self.kernel.dialect.unix_send

    def default_receive(self) -> int:
        """The size of the receive buffer of a new socket."""
        return self.kernel.dialect.unix_send

    def refuse_second_shutdown(self, how: int) -> None:
        """Raise what the dialect has for shutting down what this side has shut down already."""
        code = self.kernel.dialect.second_shutdown_error
        if code and how == SHUT_SEND and self.own_shut & how:
            raise fail(code)
        self.own_shut |= how

    # -- Calls that a kind may lack

    def bind(self, address: Any) -> None:
        """bind(2)."""
        raise fail(errno.EOPNOTSUPP)

    def listen(self, backlog: int) -> None:
        """listen(2)."""
        raise fail(errno.EOPNOTSUPP)

    def accept(self) -> Endpoint:
        """accept(2), the description that gets a number."""
        raise fail(errno.EOPNOTSUPP)

    def accept_ready(self) -> bool:
        """Tell whether a blocking accept would return."""
        return bool(self.mask() & IN)

    def connect(self, address: Any) -> None:
        """connect(2) of a non-blocking socket."""
        raise fail(errno.EOPNOTSUPP)

    def connecting(self) -> bool:
        """Tell whether a connect is still pending."""
        return False

    def send(self, data: bytes, flags: int = 0, address: Any = None) -> int:
        """sendto(2); BlockingIOError when it would block."""
        raise fail(errno.EOPNOTSUPP)

    def receive(self, size: int, flags: int = 0) -> tuple[bytes, Any]:
        """recvfrom(2); BlockingIOError when it would block."""
        raise fail(errno.EOPNOTSUPP)

    def shutdown(self, how: int) -> None:
        """shutdown(2)."""
        raise fail(errno.EOPNOTSUPP)

    def peer_address(self) -> Any:
        """getpeername(2)."""
        if self.peer_name is None:
            raise fail(errno.ENOTCONN)
        return self.peer_name

    def own_address(self) -> Any:
        """getsockname(2)."""
        if self.name is not None:
            return self.name
        if self.family == socket.AF_UNIX:
            return ""
        return ("0.0.0.0", 0) if self.family == socket.AF_INET else ("::", 0, 0, 0)  # noqa: S104 - the address of an unbound socket

    def read(self, size: int) -> bytes:
        """read(2)."""
        return self.receive(size)[0]

    def write(self, data: bytes) -> int:
        """write(2)."""
        return self.send(data)

    def wake_readers(self) -> None:
        """sock_def_readable, sorwakeup."""
        self.wake(IN | 0x2)

    def wake_writers(self) -> None:
        """sock_def_write_space, sowwakeup."""
        self.wake(OUT)


def bind_name(endpoint: Endpoint, address: Any) -> Any:
    """Give an Internet socket its address; port 0 lets the kernel choose.

    Raises:
        OSError: EADDRINUSE, EADDRNOTAVAIL, or EINVAL for a second time.
    """
    kernel = endpoint.kernel
    if endpoint.name is not None:
        raise fail(errno.EINVAL)
    host, port = address[:2]
    if not is_local(host):
        raise fail(errno.EADDRNOTAVAIL)

    def key(number: int) -> tuple[int, int, int]:
        return endpoint.family, endpoint.type, number

    port = port or kernel.free_port(key)
    others = kernel.names.setdefault(key(port), [])
    reuse = socket.SOL_SOCKET, getattr(socket, "SO_REUSEPORT", -1)
    if others and not all(other.options.get(reuse) for other in (*others, endpoint)):
        raise fail(errno.EADDRINUSE)
    others.append(endpoint)
    endpoint.name = (host, port, *address[2:])
    return endpoint.name


def unbind_name(endpoint: Endpoint) -> None:
    """Give an Internet address back."""
    if endpoint.name is not None:
        others = endpoint.kernel.names.get((endpoint.family, endpoint.type, endpoint.name[1]), [])
        if endpoint in others:
            others.remove(endpoint)


def is_local(host: str) -> bool:
    """Tell whether `host` is an address of the simulated machine, which has the loopback only."""
    return host.startswith("127.") or host in {"", "0.0.0.0", "::", "::1", "localhost"}  # noqa: S104 - compared, not bound
