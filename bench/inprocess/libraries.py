"""The libraries: ours, and the peers with tasks and calls of their own."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from .library import Library
from .peers import Anyio, Curio, Gevent, Trio

if TYPE_CHECKING:
    from collections.abc import Callable


class Reactor(Library):
    """Ours."""

    def open(self) -> None:
        """Make a context, which stays the same for all rounds."""
        import reactor

        self._context = context = reactor.IoContext()
        self.post = self.post_from_thread = context.post
        self.call_later = getattr(context, "call_later", None)
        self.spawn = context.spawn
        self.group = reactor.TaskGroup
        self.pause = functools.partial(reactor.sleep, 0)
        self.timeout = reactor.timeout
        self.event = reactor.Event
        self._queue: Callable[[int], Any] = reactor.Queue
        self.channel = self._channel

    def _channel(self) -> Any:
        queue = self._queue(1)
        return queue.put, queue.get

    def into_group(self, group: Any) -> Callable[..., Any]:
        """As `Library.into_group`."""
        return group.spawn  # type: ignore[no-any-return]

    def close(self) -> None:
        """As `Library.close`."""
        self._context.close()

    def run_calls(self, first: Callable[[], object]) -> None:
        """As `Library.run_calls`."""
        self._context.post(first)
        with self._context.work_guard():
            self._context.run()
        self._context.restart()

    def stop(self) -> None:
        """As `Library.stop`."""
        self._context.stop()

    def run_main(self, main: Callable[[], Any]) -> None:
        """As `Library.run_main`."""
        self._context.spawn(main)
        self._context.run()


class Asyncio(Library):
    """asyncio, and what takes its place."""

    def open(self) -> None:
        """Make a loop, which stays the same for all rounds."""
        import asyncio

        self._asyncio = asyncio
        self._loop = loop = self.make()
        self.post = loop.call_soon
        self.post_from_thread = loop.call_soon_threadsafe
        self.call_later = loop.call_later
        # A task that nobody holds may be collected: the event loop keeps a weak reference only.
        # What is spawned here is on the queue of the loop until it ends, or waits for an event.
        create = asyncio.create_task
        self.spawn = lambda function: create(function())
        self.group = asyncio.TaskGroup
        self.pause = functools.partial(asyncio.sleep, 0)
        self.timeout = asyncio.timeout
        self.event = asyncio.Event
        self.channel = self._channel

    def make(self) -> Any:
        """Return a new loop."""
        return self._asyncio.new_event_loop()

    def _channel(self) -> Any:
        queue = self._asyncio.Queue[int](1)
        return queue.put, queue.get

    def into_group(self, group: Any) -> Callable[..., Any]:
        """As `Library.into_group`."""
        create = group.create_task
        return lambda function: create(function())

    def close(self) -> None:
        """As `Library.close`."""
        self._loop.close()

    def run_calls(self, first: Callable[[], object]) -> None:
        """As `Library.run_calls`."""
        self._loop.call_soon(first)
        self._loop.run_forever()

    def stop(self) -> None:
        """As `Library.stop`."""
        self._loop.stop()

    def run_main(self, main: Callable[[], Any]) -> None:
        """As `Library.run_main`."""

        async def inside() -> None:
            await main()
            await self._asyncio.sleep(0)  # the turn in which the others end

        self._loop.run_until_complete(inside())


class Uvloop(Asyncio):
    """asyncio on libuv."""

    def make(self) -> Any:
        """Return a new loop."""
        import uvloop

        return uvloop.new_event_loop()


#: What the tables call them, ours first.
LIBRARIES: dict[str, type[Library]] = {
    "reactor": Reactor,
    "asyncio": Asyncio,
    "uvloop": Uvloop,
    "trio": Trio,
    "curio": Curio,
    "gevent": Gevent,
    "anyio": Anyio,
}
