"""What all of the echo servers have in common: where they listen, and how much they receive."""

from __future__ import annotations

import contextlib
import functools
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

#: Connections that may wait to be accepted.
BACKLOG: Final = 1024

#: Room for datagrams that wait to be received, in bytes: one of each client, with what the system
#: counts beside. Linux gives no more than net.core.rmem_max, twice.
_ROOM: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Settings:
    """How a server serves.

    Attributes:
        receive: what it asks a receive for, in bytes.
        limit: timeout around each receive in seconds; None for a server without.
        path: of the Unix socket that it listens on; None for a TCP port of this machine.
        http: whether it answers requests of HTTP, and is no echo.
    """

    receive: int = 4096
    limit: float | None = None
    path: str | None = None
    http: bool = False

    def listener(self) -> socket.socket:
        """Listen, say where, and return the socket, which does not block.

        What it accepts sends at once (TCP_NODELAY), as the system gives that on: otherwise some
        libraries would, and others would not.
        """
        if self.path is None:
            sock = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        else:
            sock = socket.socket(socket.AF_UNIX)
            sock.bind(self.path)
            sock.listen(BACKLOG)
        sock.setblocking(False)
        self.tell(sock.getsockname())
        return sock

    def receiving(self, recv: Callable[[int], bytes]) -> Callable[[int], bytes]:
        """Return what receives on a connection what is to be sent: `recv` itself for an echo."""
        if not self.http:
            return recv
        from .with_h11 import Conversation

        return functools.partial(Conversation().receive, recv)

    def datagrams(self) -> socket.socket:
        """Bind to a UDP port, say which, and return the socket, which does not block."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("127.0.0.1", 0))
        widen(sock)
        sock.setblocking(False)
        self.tell(sock.getsockname())
        return sock

    def tell(self, name: object) -> None:
        """Say where the server listens: the port of a socket's name, 0 for a path."""
        print(name[1] if isinstance(name, tuple) else 0, flush=True)


def widen(sock: socket.socket) -> None:
    """Let as many datagrams wait as all clients together have on the way."""
    with contextlib.suppress(OSError):  # FreeBSD refuses more than it gives
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _ROOM)
