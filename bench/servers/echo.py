"""What the coroutine libraries serve: one loop for all, which calls what the library gives it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from contextlib import AbstractAsyncContextManager, AbstractContextManager

    from .settings import Settings

    Handler = Callable[
        [
            Callable[[int], Awaitable[bytes]],
            Callable[[bytes], Awaitable[object]],
            Callable[[], Awaitable[object] | None],
            Settings,
        ],
        Coroutine[Any, Any, None],
    ]


@dataclass(frozen=True, slots=True)
class Library:
    """What a library gives the echo.

    Attributes:
        timeout: makes the block that ends after so many seconds, for ``with``.
        timeout_async: likewise for ``async with``, of a library that has it so.
        gone: what a connection raises that has ended in another way than with no data.
    """

    timeout: Callable[[float], AbstractContextManager[Any]] | None = None
    timeout_async: Callable[[float], AbstractAsyncContextManager[Any]] | None = None
    gone: tuple[type[Exception], ...] = (OSError,)

    def handler(self, settings: Settings) -> Handler:
        """Return what serves a connection: `echo` or `http`."""
        return self.http if settings.http else self.echo

    async def echo(
        self,
        recv: Callable[[int], Awaitable[bytes]],
        send: Callable[[bytes], Awaitable[object]],
        close: Callable[[], Awaitable[object] | None],
        settings: Settings,
    ) -> None:
        """Send back what comes until nothing comes any more, then close.

        It is the task of the connection itself: with a coroutine around it, each operation would pass
        through one more frame.
        """
        size, limit = settings.receive, settings.limit
        try:
            if limit is None:
                while data := await recv(size):
                    await send(data)
            elif (timeout := self.timeout) is not None:
                while True:
                    with timeout(limit):
                        data = await recv(size)
                    if not data:
                        break
                    await send(data)
            elif (timeout_async := self.timeout_async) is not None:
                while True:
                    async with timeout_async(limit):
                        data = await recv(size)
                    if not data:
                        break
                    await send(data)
        except self.gone:
            pass
        finally:
            await _end(close)

    async def http(
        self,
        recv: Callable[[int], Awaitable[bytes]],
        send: Callable[[bytes], Awaitable[object]],
        close: Callable[[], Awaitable[object] | None],
        settings: Settings,
    ) -> None:
        """Answer the requests that come, one after the other, then close."""
        from .with_h11 import Conversation

        size, talk = settings.receive, Conversation()
        try:
            while not talk.over and (data := await recv(size)):
                if answers := talk.take(data):
                    await send(answers)
        except self.gone:
            pass
        finally:
            await _end(close)


async def _end(close: Callable[[], Awaitable[object] | None]) -> None:
    ending = close()
    if ending is not None:
        await ending


async def datagrams(
    receive: Callable[[int], Awaitable[tuple[bytes, Any]]],
    send: Callable[[bytes, Any], Awaitable[object]],
    size: int,
) -> None:
    """Send back each datagram to who has sent it, for ever.

    Args:
        receive: receives one of so many bytes at most, and tells who has sent it.
        send: sends one to an address.
        size: what `receive` is asked for, in bytes.
    """
    while True:
        data, address = await receive(size)
        await send(data, address)
