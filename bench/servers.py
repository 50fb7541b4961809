"""The echo servers that are compared: ``python -m bench.servers NAME`` prints its port and serves.

Each does what its library's own documentation shows for a fast echo: the same receive size, no
logging, no timeouts, TCP_NODELAY where the library sets it.
"""

from __future__ import annotations

import asyncio
import functools
import select
import socket
import sys
from typing import TYPE_CHECKING, Any

import reactor
from reactor import backends

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from .suite import Kind

#: What each server asks a receive for, in bytes.
RECEIVE = 4096

BACKLOG = 1024


def _listener() -> socket.socket:
    sock = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    _tell(sock.getsockname()[1])
    return sock


def _tell(port: int) -> None:
    print(port, flush=True)


def bare_epoll() -> None:
    """Serve from one loop over an edge-triggered epoll: what Python can do at most.

    It has no tasks, no timers, no cancel, and drops a connection that does not take its answer.
    """
    if sys.platform != "linux":
        raise SystemExit("epoll is Linux's")
    listener = _listener()
    listener.setblocking(False)
    poller = select.epoll()
    flags = select.EPOLLIN | select.EPOLLET
    poller.register(listener, select.EPOLLIN)
    accepting = listener.fileno()
    connections = {}
    poll = poller.poll
    while True:
        for fd, _ in poll(-1, 1024):
            if fd == accepting:
                sock, _ = listener.accept()
                sock.setblocking(False)
                poller.register(sock, flags)
                connections[sock.fileno()] = (sock, sock.recv, sock.send)
                continue
            sock, recv, send = connections[fd]
            try:
                data = recv(RECEIVE)
                if data and send(data) == len(data):
                    continue
            except OSError:
                pass
            del connections[fd]
            sock.close()


def ours(backend: str) -> None:
    """Serve with the reactor."""
    reactor.run(_serve, backend=backend)


async def _serve() -> None:
    acceptor = reactor.listen_tcp(backlog=BACKLOG)
    _tell(acceptor.getsockname()[1])
    async with reactor.TaskGroup() as group:
        async for stream in acceptor:
            group.spawn(_echo, stream)


async def _echo(stream: reactor.StreamSocket) -> None:
    with stream:
        try:
            while data := await stream.recv(RECEIVE):
                await stream.sendall(data)
        except ConnectionError:
            pass


async def _echo_streams(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(RECEIVE):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


async def _streams() -> None:
    server = await asyncio.start_server(_echo_streams, "127.0.0.1", 0, backlog=BACKLOG)
    _tell(server.sockets[0].getsockname()[1])
    await server.serve_forever()


class _EchoProtocol(asyncio.Protocol):
    """Callbacks: no coroutine, and no flow control either."""

    def connection_made(self, transport: Any) -> None:  # uvloop's is not an asyncio.Transport
        self._write = transport.write

    def data_received(self, data: bytes) -> None:
        self._write(data)


async def _protocol() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_EchoProtocol, "127.0.0.1", 0, backlog=BACKLOG)
    _tell(server.sockets[0].getsockname()[1])
    await server.serve_forever()


def _uvloop(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    import uvloop

    uvloop.run(main())


#: What the tables call a server -> its kind, the module that it needs, and how it is run.
SERVERS: dict[str, tuple[Kind, str | None, Callable[[], object]]] = {
    **{
        f"reactor-{name}": ("reactor", None, functools.partial(ours, name))
        for name in backends.available()
    },
    **({"bare-epoll": ("limit", None, bare_epoll)} if sys.platform == "linux" else {}),
    "asyncio-streams": ("peer", None, lambda: asyncio.run(_streams())),
    "uvloop-streams": ("peer", "uvloop", lambda: _uvloop(_streams)),
    "uvloop-protocol": ("peer", "uvloop", lambda: _uvloop(_protocol)),
}

if __name__ == "__main__":
    SERVERS[sys.argv[1]][2]()
