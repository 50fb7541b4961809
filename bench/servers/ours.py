"""The server on the reactor."""

from __future__ import annotations

import functools
import socket
from typing import TYPE_CHECKING

import reactor

from .echo import Library, datagrams
from .settings import BACKLOG

if TYPE_CHECKING:
    from .settings import Settings

_LIBRARY = Library(timeout=reactor.timeout)


def serve(settings: Settings, backend: str) -> None:
    """Serve on `backend`."""
    reactor.run(functools.partial(_main, settings), backend=backend)


def serve_datagrams(settings: Settings, backend: str) -> None:
    """Serve datagrams on `backend`."""
    reactor.run(functools.partial(_datagrams, settings), backend=backend)


async def _datagrams(settings: Settings) -> None:
    with reactor.DatagramSocket.from_socket(settings.datagrams()) as sock:
        await datagrams(sock.recvfrom, sock.sendto, settings.receive)


async def _main(settings: Settings) -> None:
    if settings.path is None:
        acceptor = reactor.listen_tcp(backlog=BACKLOG)
        acceptor.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    else:
        acceptor = reactor.listen_unix(settings.path, backlog=BACKLOG)
    settings.tell(acceptor.getsockname())
    handle = _LIBRARY.handler(settings)
    async with reactor.TaskGroup() as group:
        async for stream in acceptor:
            group.spawn(handle, stream.recv, stream.sendall, stream.close, settings)
