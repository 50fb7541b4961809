"""Tasks: spawned, switched between, and released all at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .library import Library
    from .meter import Meter


def spawn(library: Library, meter: Meter, *, batch: int) -> None:
    """Spawn `batch` empty tasks, and let them run."""
    give: Any = library.spawn
    pause: Any = library.pause
    awaited = "spawn" in library.awaits
    empty = library.empty()

    async def main() -> None:
        meter.start()
        while meter.more():
            if awaited:
                for _ in range(batch):
                    await give(empty)
            else:
                for _ in range(batch):
                    give(empty)
            await pause()
            meter.stop(batch)
            meter.start()

    library.run_main(main)


def spawn_group(library: Library, meter: Meter, *, batch: int) -> None:
    """Spawn `batch` empty tasks into a group, and wait for its end."""
    make: Any = library.group
    awaited = "group" in library.awaits
    empty = library.empty()

    async def main() -> None:
        meter.start()
        while meter.more():
            async with make() as group:
                give = library.into_group(group)
                if awaited:
                    for _ in range(batch):
                        await give(empty)
                else:
                    for _ in range(batch):
                        give(empty)
            meter.stop(batch)
            meter.start()

    library.run_main(main)


def switch(library: Library, meter: Meter, *, batch: int) -> None:
    """Two tasks that let each other go first; an operation is one of them going on."""
    pause: Any = library.pause
    over = False
    others = 0

    async def other() -> None:
        nonlocal others
        while not over:
            await pause()
            others += 1

    async def main() -> None:
        nonlocal over
        await _spawn(library, other)
        await pause()
        meter.start()
        while meter.more():
            before = others
            for _ in range(batch):
                await pause()
            meter.stop(batch + others - before)
            meter.start()
        over = True

    library.run_main(main)


def ping_pong(library: Library, meter: Meter, *, batch: int, limit: bool = False) -> None:
    """Two tasks that hand a number to and fro through queues; an operation is one round trip.

    With `limit` the receive of one side is in a block with a timeout, which never fires.
    """
    make: Any = library.channel
    send: Any = None
    take: Any = None
    answer: Any = None
    receive: Any = None
    timeout: Any = library.timeout
    last = -1

    async def other() -> None:
        while (number := await take()) != last:
            await answer(number)

    async def plain() -> None:
        for number in range(batch):
            await send(number)
            await receive()

    async def limited() -> None:
        for number in range(batch):
            await send(number)
            with timeout(30):
                await receive()

    async def limited_async() -> None:
        for number in range(batch):
            await send(number)
            async with timeout(30):
                await receive()

    async def main() -> None:
        nonlocal send, take, answer, receive
        (send, take), (answer, receive) = make(), make()
        trips = plain
        if limit:
            # gevent's timeout is a plain context manager, and so is trio's.
            trips = limited_async if hasattr(timeout(30), "__aenter__") else limited
        await _spawn(library, other)
        meter.start()
        while meter.more():
            await trips()
            meter.stop(batch)
            meter.start()
        await send(last)

    library.run_main(main)


def fan_out(library: Library, meter: Meter, *, tasks: int) -> None:
    """One event releases `tasks` tasks; an operation is one of them going on."""
    make: Any = library.event
    awaited = "event_set" in library.awaits
    over = False
    gate: Any = None
    back: Any = None
    arrived = 0

    async def arrive() -> None:
        nonlocal arrived
        arrived += 1
        if arrived == tasks:
            arrived = 0
            await fire(back)

    async def fire(event: Any) -> None:
        told = event.set()
        if awaited:
            await told

    async def waiter() -> None:
        while not over:
            await arrive()
            await gate.wait()

    async def main() -> None:
        nonlocal over, gate, back
        gate, back = make(), make()
        for _ in range(tasks):
            await _spawn(library, waiter)
        await back.wait()
        meter.start()
        while meter.more():
            shut, gate, back = gate, make(), make()
            await fire(shut)
            await back.wait()
            meter.stop(tasks)
            meter.start()
        over = True
        await fire(gate)

    library.run_main(main)


async def _spawn(library: Library, function: Any) -> None:
    give: Any = library.spawn
    spawned = give(function)
    if "spawn" in library.awaits:
        await spawned
