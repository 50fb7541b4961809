"""Programs around timers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import reactor

from .registry import program

if TYPE_CHECKING:
    from ..stage import Stage


@program("edge", "edge-timer")
def earlier_timer_vs_wait(stage: Stage, backend: str) -> None:
    """A timer earlier than all others is armed while the leader works out how long to sleep."""
    context = stage.context(backend)
    begin = stage.execution.now
    woke: dict[int, float] = {}

    async def sleep(seconds: int) -> None:
        await reactor.sleep(seconds)
        woke[seconds] = stage.execution.now - begin

    for seconds in (10, 1):
        context.spawn(sleep, seconds)
    stage.thread("run-1", context.run)
    stage.thread("run-2", context.run)
    stage.rests(context)
    stage.check(lambda: stage.expect(woke == {1: 1, 10: 10}, "late timer", f"woke at {woke}"))


@program("", "*2")
def timer_cancel_vs_fire(stage: Stage) -> None:
    """A timer is cancelled while it fires: its waiter hears of it once."""
    context = stage.context()
    timer = reactor.Timer(context=context)
    timer.expires_after(0)
    context.spawn(stage.say, "wait", timer.wait)
    stage.run(context)
    stage.thread("cancel", timer.cancel)
    stage.rests(context)
    stage.check(stage.ended, "wait", "None", "cancelled by cancel")
