"""The server on anyio, which runs on asyncio."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import anyio

from .echo import Library
from .settings import BACKLOG, widen

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from .settings import Settings

_LIBRARY = Library(
    timeout=anyio.fail_after,
    gone=(OSError, anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError),
)


def serve(settings: Settings) -> None:
    """Serve with a stream of anyio's for each connection."""
    anyio.run(functools.partial(_main, settings))


def serve_datagrams(settings: Settings) -> None:
    """Serve datagrams with a socket of anyio's, which chooses the size of its receives."""
    anyio.run(_datagrams, settings)


async def _datagrams(settings: Settings) -> None:
    async with await anyio.create_udp_socket(local_host="127.0.0.1") as sock:
        raw = sock.extra(anyio.abc.SocketAttribute.raw_socket)  # noqa: S610 - not of Django
        widen(raw)
        settings.tell(raw.getsockname())
        async for data, (host, port) in sock:
            await sock.sendto(data, host, port)


async def _main(settings: Settings) -> None:
    handle = _LIBRARY.handler(settings)

    def serve_one(stream: Any) -> Coroutine[Any, Any, None]:
        return handle(stream.receive, stream.send, stream.aclose, settings)

    listener: Any
    if settings.path is None:
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1", backlog=BACKLOG)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610 - not of Django
        settings.tell(("127.0.0.1", port))
    else:
        listener = await anyio.create_unix_listener(settings.path, backlog=BACKLOG)
        settings.tell(settings.path)
    await listener.serve(serve_one)
