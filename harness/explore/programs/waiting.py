"""Programs around tasks that wait for each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import reactor

from .registry import program

if TYPE_CHECKING:
    from ..stage import Stage


@program()
def join_vs_end(stage: Stage) -> None:
    """A task is awaited while it ends."""
    context = stage.context()

    async def child() -> str:
        return "done"

    task = context.spawn(child)

    async def join() -> str:
        return await task

    context.spawn(stage.say, "join", join)
    stage.thread("run-1", context.run)
    stage.thread("run-2", context.run)
    stage.check(stage.ended, "join", "'done'")
    stage.rests(context)


@program("", "*2")
def event_set_vs_wait(stage: Stage) -> None:
    """An event is set from outside while a task begins to wait for it."""
    context = stage.context()
    event = reactor.Event(context=context)
    context.spawn(stage.say, "wait", event.wait)
    stage.run(context)
    stage.thread("set", event.set)
    stage.check(stage.ended, "wait", "None")
    stage.rests(context)


@program()
def queue_put_vs_cancelled_get(stage: Stage) -> None:
    """An item is put while the one who waits for it is cancelled: it is handed over, or still there."""
    context = stage.context()
    queue: reactor.Queue[str] = reactor.Queue(context=context)
    task = context.spawn(stage.say, "get", queue.get)

    def check() -> None:
        said = stage.ended("get", "'item'", "cancelled by cancel")
        left = len(queue)
        stage.expect(left == (0 if said == "'item'" else 1), "lost item", f"{said}, {left} left")
        stage.finished(context)

    stage.thread("run", context.run)
    stage.thread("put", queue.put_nowait, "item")
    stage.thread("cancel", task.cancel)
    stage.check(check)
