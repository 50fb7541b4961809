"""The servers on asyncio's interface: streams, a protocol, and the loop's calls for sockets."""

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
        if settings.http:
            await _LIBRARY.http(
                reader.read, functools.partial(_send, writer), writer.close, settings
            )
            return
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


async def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


class _Echo(asyncio.Protocol):
    """No coroutine, and no flow control either."""

    def connection_made(self, transport: Any) -> None:  # uvloop's is not an asyncio.Transport
        self._write = transport.write

    def data_received(self, data: bytes) -> None:
        self._write(data)


class _Http(_Echo):
    """Likewise."""

    def connection_made(self, transport: Any) -> None:
        from .with_h11 import Conversation

        super().connection_made(transport)
        self._transport, self._talk = transport, Conversation()

    def data_received(self, data: bytes) -> None:
        try:
            answers = self._talk.take(data)
        except OSError:
            self._transport.abort()
            return
        if answers:
            self._write(answers)
        if self._talk.over:
            self._transport.close()


async def _protocol(settings: Settings) -> None:
    loop = asyncio.get_running_loop()
    made = _Http if settings.http else _Echo
    server = await loop.create_server(made, sock=settings.listener())
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
    handle = _LIBRARY.handler(settings)
    async with asyncio.TaskGroup() as group:
        while True:
            client, _ = await loop.sock_accept(listener)
            recv = functools.partial(loop.sock_recv, client)
            send = functools.partial(loop.sock_sendall, client)
            group.create_task(handle(recv, send, client.close, settings))
