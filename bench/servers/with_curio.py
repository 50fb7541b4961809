"""The server on curio."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import curio

from .echo import Library, datagrams

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from .settings import Settings

_LIBRARY = Library(timeout_async=curio.timeout_after, gone=(OSError, curio.TaskTimeout))


def serve(settings: Settings) -> None:
    """Serve with a `curio.io.Socket` for each connection."""
    curio.run(functools.partial(_main, settings))


def serve_datagrams(settings: Settings) -> None:
    """Serve datagrams with a `curio.io.Socket`."""
    curio.run(_datagrams, settings)


async def _datagrams(settings: Settings) -> None:
    async with curio.io.Socket(settings.datagrams()) as sock:
        await datagrams(sock.recvfrom, sock.sendto, settings.receive)


async def _main(settings: Settings) -> None:
    handle = _LIBRARY.handler(settings)

    def serve_one(client: Any, _: object) -> Coroutine[Any, Any, None]:
        return handle(client.recv, client.sendall, client.close, settings)

    await curio.network.run_server(curio.io.Socket(settings.listener()), serve_one)
