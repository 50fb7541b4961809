"""What the suites of loops measure: ``python -m bench.loop_worker LIBRARY`` answers lines with JSON.

``what`` is answered with the suites that the library has, or why there are none; ``run SUITE SECONDS``
with how many operations it did in how many seconds. It ends with its input.

The suites are written once, over what each library calls posting, spawning and so on: a batch of
operations, then a turn of the loop, until the time is over.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import sys
import threading
from typing import TYPE_CHECKING, Any

from .meter import Meter
from .process import peak_memory

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

BATCH = 1000
PENDING = 100_000

#: Seed of the deadlines of what is pending, the same for everybody.
_SEED = 6


def nothing() -> None:
    """Do nothing."""


async def anothing() -> None:
    """Do nothing, as a task."""


class Library:
    """What the suites ask of a library; what it leaves out, its suites leave out."""

    def __init__(self) -> None:
        self.open()

    def open(self) -> None:
        """Import it."""

    # Each is None where the library has no such thing.
    post: Callable[..., object] | None = None
    post_from_thread: Callable[..., object] | None = None
    call_later: Callable[..., Any] | None = None
    spawn: Callable[..., object] | None = None
    pause: Callable[[], Awaitable[object]] | None = None
    timeout: Callable[[float], Any] | None = None

    def run_calls(self, first: Callable[[], object]) -> None:
        """Run the loop from a first call on, until `stop`."""
        raise NotImplementedError

    def stop(self) -> None:
        """End `run_calls`."""
        raise NotImplementedError

    def run_main(self, main: Callable[[], Awaitable[object]]) -> None:
        """Run an async function to its end, and the tasks that it has spawned."""
        raise NotImplementedError


class Reactor(Library):
    """Ours."""

    def open(self) -> None:
        """Make a context, which stays the same for all suites."""
        import reactor

        self._reactor = reactor
        self._context = context = reactor.IoContext()
        self._guard: Any = None
        self.post = self.post_from_thread = context.post
        self.call_later = context.call_later
        self.spawn = context.spawn
        self.pause = lambda: reactor.sleep(0)
        self.timeout = reactor.timeout

    def run_calls(self, first: Callable[[], object]) -> None:
        """As `Library.run_calls`."""
        self._context.post(first)
        with self._context.work_guard():
            self._context.run()
        self._context.restart()

    def stop(self) -> None:
        """As `Library.stop`."""
        self._context.stop()

    def run_main(self, main: Callable[[], Awaitable[object]]) -> None:
        """As `Library.run_main`."""
        self._context.spawn(main)
        self._context.run()


class Asyncio(Library):
    """asyncio, and what takes its place."""

    def open(self) -> None:
        """Make a loop, which stays the same for all suites."""
        import asyncio

        self._asyncio = asyncio
        self._loop = loop = self.make()
        self.post = loop.call_soon
        self.post_from_thread = loop.call_soon_threadsafe
        self.call_later = loop.call_later
        self.spawn = lambda function: asyncio.create_task(function())
        self.pause = lambda: asyncio.sleep(0)
        self.timeout = asyncio.timeout

    def make(self) -> Any:
        """Return a new loop."""
        return self._asyncio.new_event_loop()

    def run_calls(self, first: Callable[[], object]) -> None:
        """As `Library.run_calls`."""
        self._loop.call_soon(first)
        self._loop.run_forever()

    def stop(self) -> None:
        """As `Library.stop`."""
        self._loop.stop()

    def run_main(self, main: Callable[[], Awaitable[object]]) -> None:
        """As `Library.run_main`."""
        self._loop.run_until_complete(main())


class Uvloop(Asyncio):
    """asyncio on libuv."""

    def make(self) -> Any:
        """Return a new loop."""
        import uvloop

        return uvloop.new_event_loop()


class Trio(Library):
    """trio, whose tasks live in a nursery."""

    def open(self) -> None:
        """Import it."""
        import trio

        self._trio = trio
        self.pause = trio.lowlevel.checkpoint
        self.timeout = trio.fail_after
        self._nursery: Any = None
        self.spawn = self._spawn

    def _spawn(self, function: Callable[[], Awaitable[object]]) -> None:
        self._nursery.start_soon(function)  # of the `run_main` under way

    def run_main(self, main: Callable[[], Awaitable[object]]) -> None:
        """As `Library.run_main`."""

        async def inside() -> None:
            async with self._trio.open_nursery() as self._nursery:
                await main()

        self._trio.run(inside)


class Curio(Library):
    """curio, which spawns by a call that is awaited."""

    def open(self) -> None:
        """Import it."""
        import curio

        self._curio = curio
        self.pause = lambda: curio.sleep(0)
        self.timeout = curio.timeout_after

    def run_main(self, main: Callable[[], Awaitable[object]]) -> None:
        """As `Library.run_main`."""
        self._curio.run(main)


#: What the tables call them.
LIBRARIES: dict[str, type[Library]] = {
    "reactor": Reactor,
    "asyncio": Asyncio,
    "uvloop": Uvloop,
    "trio": Trio,
    "curio": Curio,
}


# -- The suites: each takes a library and a meter


def _batches(library: Library, meter: Meter, post: Any, batch: Callable[[], object]) -> None:
    """Make batch after batch, each in a call of its own behind what the one before has posted."""
    done = 0

    def step() -> None:
        nonlocal done
        if meter.more(done):
            batch()
            done = BATCH
            post(step)
        else:
            library.stop()

    library.run_calls(step)


def post(library: Library, meter: Meter) -> None:
    """Post from a call."""
    give: Any = library.post

    def batch() -> None:
        for _ in range(BATCH):
            give(nothing)

    _batches(library, meter, give, batch)


def post_threads(library: Library, meter: Meter) -> None:
    """Post from another thread, a batch at a time."""
    give: Any = library.post_from_thread

    def poster() -> None:
        made = threading.Event()
        done = 0
        while meter.more(done):
            for _ in range(BATCH):
                give(nothing)
            give(made.set)
            made.wait()
            made.clear()
            done = BATCH
        give(library.stop)

    thread = threading.Thread(target=poster)
    library.run_calls(thread.start)
    thread.join()


def spawn(library: Library, meter: Meter) -> None:
    """Spawn a batch of tasks, and let them run."""
    give: Any = library.spawn
    pause: Any = library.pause

    async def main() -> None:
        done = 0
        while meter.more(done):
            for _ in range(BATCH):
                give(anothing)
            await pause()
            done = BATCH

    library.run_main(main)


def switch(library: Library, meter: Meter) -> None:
    """Switch between two tasks; where tasks cannot be spawned by a call, one with itself."""
    pause: Any = library.pause

    over = False

    async def other() -> None:
        while not over:
            await pause()

    async def main() -> None:
        nonlocal over
        tasks = 1
        if library.spawn is not None:
            library.spawn(other)
            tasks = 2
        done = 0
        while meter.more(done):
            for _ in range(BATCH):
                await pause()
            done = BATCH * tasks
        over = True

    library.run_main(main)


def timers(library: Library, meter: Meter) -> None:
    """Put calls off and cancel them, with others pending."""
    later: Any = library.call_later
    draw = random.Random(_SEED)
    pending = [later(1000 + 1000 * draw.random(), nothing) for _ in range(PENDING)]

    def batch() -> None:
        for _ in range(BATCH):
            later(1500, nothing).cancel()

    _batches(library, meter, library.post, batch)
    for one in pending:
        one.cancel()


def timeout(library: Library, meter: Meter) -> None:
    """Pass through a block with a timeout that never fires."""
    limit: Any = library.timeout
    pause: Any = library.pause

    async def main() -> None:
        asynchronous = hasattr(limit(30), "__aenter__")
        done = 0
        while meter.more(done):
            done = BATCH
            if asynchronous:
                for _ in range(BATCH):
                    async with limit(30):
                        await pause()
            else:
                for _ in range(BATCH):
                    with limit(30):
                        await pause()

    library.run_main(main)


#: Suite -> what it does, and what a library must have for it.
SUITES: dict[str, tuple[Callable[[Library, Meter], None], tuple[str, ...]]] = {
    "post": (post, ("post",)),
    "post-threads": (post_threads, ("post_from_thread",)),
    "spawn": (spawn, ("spawn", "pause")),
    "switch": (switch, ("pause",)),
    "timers": (timers, ("call_later", "post")),
    "timeout": (timeout, ("timeout", "pause")),
}


def main(name: str) -> None:
    """Answer lines until the input ends."""
    library: Library | None = None
    why = ""
    try:
        library = LIBRARIES[name]()
    except ImportError as exc:
        why = f"{exc.name or name} is not installed"
    for line in sys.stdin:
        command, *words = line.split()
        answer: object
        if library is None:
            answer = why
        elif command == "what":
            answer = [
                suite
                for suite, (_, needs) in SUITES.items()
                if all(getattr(library, need) is not None for need in needs)
            ]
        else:
            meter = Meter(float(words[1]))
            SUITES[words[0]][0](library, meter)
            answer = {**meter.result(), "peak_rss": peak_memory(os.getpid())}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main(sys.argv[1])
