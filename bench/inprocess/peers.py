"""The peers that are no asyncio: trio, curio, gevent, and anyio on top of asyncio."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from .library import Library, nothing

if TYPE_CHECKING:
    from collections.abc import Callable


class Trio(Library):
    """trio, whose tasks live in a nursery, and whose calls come in through a token."""

    def open(self) -> None:
        """Import it."""
        import trio

        self._trio = trio
        self._nursery: Any = None
        self._token: Any = None
        self._over: Any = None
        self.post = self.post_from_thread = self._post
        self.pause = trio.lowlevel.checkpoint
        self.timeout = trio.fail_after
        self.event = trio.Event
        self.group = trio.open_nursery
        self.spawn = self._spawn
        self.channel = self._channel

    def _post(self, function: Callable[[], object]) -> None:
        self._token.run_sync_soon(function)  # of the `run_calls` under way

    def _spawn(self, function: Callable[[], Any]) -> None:
        self._nursery.start_soon(function)  # of the `run_main` under way

    def _channel(self) -> Any:
        send, receive = self._trio.open_memory_channel(1)
        return send.send, receive.receive

    def run_calls(self, first: Callable[[], object]) -> None:
        """As `Library.run_calls`."""

        async def inside() -> None:
            self._token = self._trio.lowlevel.current_trio_token()
            self._over = self._trio.Event()
            self._token.run_sync_soon(first)
            await self._over.wait()

        self._trio.run(inside)

    def stop(self) -> None:
        """As `Library.stop`."""
        self._over.set()

    def run_main(self, main: Callable[[], Any]) -> None:
        """As `Library.run_main`."""

        async def inside() -> None:
            async with self._trio.open_nursery() as self._nursery:
                await main()

        self._trio.run(inside)


class Curio(Library):
    """curio, which awaits to spawn and to set an event, and takes no calls."""

    awaits = frozenset({"spawn", "group", "event_set"})

    def open(self) -> None:
        """Import it."""
        import curio

        self._curio = curio
        # Nobody joins the tasks, which curio wants to be told.
        self.spawn = functools.partial(curio.spawn, daemon=True)
        self.group = curio.TaskGroup
        self.pause = functools.partial(curio.sleep, 0)
        self.timeout = curio.timeout_after
        self.event = curio.Event
        self.channel = self._channel

    def _channel(self) -> Any:
        queue = self._curio.Queue(1)
        return queue.put, queue.get

    def into_group(self, group: Any) -> Callable[..., Any]:
        """As `Library.into_group`."""
        return group.spawn  # type: ignore[no-any-return]

    def run_main(self, main: Callable[[], Any]) -> None:
        """As `Library.run_main`."""
        self._curio.run(main)


def _drive(function: Callable[[], Any]) -> None:
    """Run an async function that switches greenlets where others await: it never yields."""
    try:
        function().send(None)
    except StopIteration:
        return
    raise AssertionError("it awaited something of another library")


def _awaited(call: Callable[..., object]) -> Callable[..., Any]:
    """Return a call that blocks its greenlet as something to await; a coroutine, about 0.1 us more."""

    async def wait(*args: Any) -> object:
        return call(*args)

    return wait


class _Event:
    """An event of gevent whose wait is awaited."""

    def __init__(self, event: Any) -> None:
        self.set = event.set
        self.wait = _awaited(event.wait)


class Gevent(Library):
    """gevent, whose greenlets switch without awaiting."""

    undo = "close"

    def open(self) -> None:
        """Import it."""
        import gevent
        import gevent.event
        import gevent.pool
        import gevent.queue

        self._gevent: Any = gevent
        self._loop = gevent.get_hub().loop
        self._over: Any = None
        self.post = self._loop.run_callback
        self.post_from_thread = self._loop.run_callback_threadsafe
        self.call_later = self._call_later
        self.spawn = self._spawn
        self.group = None  # gevent.pool.Group has no block that ends with its greenlets
        self.pause = functools.partial(_awaited(gevent.sleep), 0)
        self.timeout = gevent.Timeout
        self.event = self._event
        self.channel = self._channel

    def empty(self) -> Any:
        """As `Library.empty`."""
        return nothing

    def _spawn(self, function: Callable[[], Any]) -> None:
        if function is nothing:
            self._gevent.spawn(function)
        else:
            self._gevent.spawn(_drive, function)

    def _event(self) -> Any:
        return _Event(self._gevent.event.Event())

    def _channel(self) -> Any:
        queue = self._gevent.queue.Queue(1)
        return _awaited(queue.put), _awaited(queue.get)

    def _call_later(self, seconds: float, function: Callable[[], object]) -> Any:
        timer = self._loop.timer(seconds)
        timer.start(function)
        return timer

    def run_calls(self, first: Callable[[], object]) -> None:
        """As `Library.run_calls`."""
        self._over = self._gevent.event.Event()
        # While nothing is due, gevent takes a wait without a timer for a dead end, and raises.
        stay = self._loop.timer(1e6)
        stay.start(nothing)
        self._loop.run_callback(first)
        self._over.wait()
        stay.close()

    def stop(self) -> None:
        """As `Library.stop`."""
        self._over.set()

    def run_main(self, main: Callable[[], Any]) -> None:
        """As `Library.run_main`."""
        self._gevent.spawn(_drive, main).get()


class Anyio(Library):
    """anyio on asyncio, whose tasks live in groups."""

    def open(self) -> None:
        """Import it."""
        import anyio

        self._anyio = anyio
        self._group: Any = None
        self._streams: list[Any] = []
        self.spawn = self._spawn
        self.group = anyio.create_task_group
        self.pause = functools.partial(anyio.sleep, 0)
        self.timeout = anyio.fail_after
        self.event = anyio.Event
        self.channel = self._channel

    def _spawn(self, function: Callable[[], Any]) -> None:
        self._group.start_soon(function)  # of the `run_main` under way

    def _channel(self) -> Any:
        send, receive = self._anyio.create_memory_object_stream[int](1)
        self._streams += [send, receive]
        return send.send, receive.receive

    def run_main(self, main: Callable[[], Any]) -> None:
        """As `Library.run_main`."""

        async def inside() -> None:
            async with self._anyio.create_task_group() as self._group:
                await main()
            while self._streams:  # which would complain if they were just dropped
                self._streams.pop().close()

        self._anyio.run(inside)
