"""The server on trio."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import trio

from .echo import Library, datagrams

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from .settings import Settings

_LIBRARY = Library(
    timeout=trio.fail_after,
    gone=(OSError, trio.TooSlowError, trio.BrokenResourceError, trio.ClosedResourceError),
)


def serve(settings: Settings) -> None:
    """Serve with a `trio.SocketStream` for each connection."""
    trio.run(functools.partial(_main, settings))


def serve_datagrams(settings: Settings) -> None:
    """Serve datagrams with a socket of trio's."""
    trio.run(_datagrams, settings)


async def _datagrams(settings: Settings) -> None:
    with trio.socket.from_stdlib_socket(settings.datagrams()) as sock:
        await datagrams(sock.recvfrom, sock.sendto, settings.receive)


async def _main(settings: Settings) -> None:
    handle = _LIBRARY.handler(settings)

    def serve_one(stream: trio.SocketStream) -> Coroutine[Any, Any, None]:
        return handle(stream.receive_some, stream.send_all, stream.aclose, settings)

    listener = trio.SocketListener(trio.socket.from_stdlib_socket(settings.listener()))
    await trio.serve_listeners(serve_one, [listener])
