"""The echo servers on asyncio's interface: streams, a protocol, and the loop's calls for sockets."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, Any

from .echo import Library

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from .settings import Settings

    Main = Callable[[Settings], Coroutine[Any, Any, None]]

_LIBRARY = Library(timeout_async=asyncio.timeout)


def streams(settings: Settings, loop: str) -> None:
    """Serve with readers and writers."""
    _run(_streams, settings, loop)


def protocol(settings: Settings, loop: str) -> None:
    """Serve with callbacks."""
    _run(_protocol, settings, loop)


def sock(settings: Settings, loop: str) -> None:
    """Serve with `loop.sock_recv` and `loop.sock_sendall`."""
    _run(_sock, settings, loop)


def datagrams(settings: Settings, loop: str) -> None:
    """Serve datagrams with callbacks."""
    _run(_datagrams, settings, loop)


def _run(main: Main, settings: Settings, loop: str) -> None:
    if loop == "uvloop":
        import uvloop

        uvloop.run(main(settings))
    else:
        asyncio.run(main(settings))


async def _streams(settings: Settings) -> None:
    size, limit = settings.receive, settings.limit

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if limit is None:
                while data := await reader.read(size):
                    writer.write(data)
                    await writer.drain()
                return
            while True:
                async with asyncio.timeout(limit):
                    data = await reader.read(size)
                if not data:
                    return
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, sock=settings.listener())
    await server.serve_forever()


class _Echo(asyncio.Protocol):
    """No coroutine, and no flow control either."""

    def connection_made(self, transport: Any) -> None:  # uvloop's is not an asyncio.Transport
        self._write = transport.write

    def data_received(self, data: bytes) -> None:
        self._write(data)


async def _protocol(settings: Settings) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Echo, sock=settings.listener())
    await server.serve_forever()


class _EchoDatagrams(asyncio.DatagramProtocol):
    """The same for datagrams."""

    def connection_made(self, transport: Any) -> None:  # as above
        self._send = transport.sendto

    def datagram_received(self, data: bytes, address: Any) -> None:
        self._send(data, address)


async def _datagrams(settings: Settings) -> None:
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(_EchoDatagrams, sock=settings.datagrams())
    await asyncio.Event().wait()


async def _sock(settings: Settings) -> None:
    loop = asyncio.get_running_loop()
    listener = settings.listener()
    async with asyncio.TaskGroup() as group:
        while True:
            client, _ = await loop.sock_accept(listener)
            recv = functools.partial(loop.sock_recv, client)
            send = functools.partial(loop.sock_sendall, client)
            group.create_task(_LIBRARY.echo(recv, send, client.close, settings))
