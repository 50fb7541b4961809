"""Programs around the turn of a strand: who has it is alone, and it is handed on whatever happens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import reactor

from .registry import program

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..stage import Stage


def _in_turn(stage: Stage, name: str, then: Callable[[], object]) -> Callable[[], None]:
    """Return a handler that lets others go on while it is inside, and says if it is not alone there."""

    def inside() -> None:
        stage.expect(
            not stage.ran["inside"], "overlap", f"{name} runs beside another of its strand"
        )
        stage.ran["inside"] += 1
        stage.execution.step("strand", True, f"{name} is inside")
        stage.ran["inside"] -= 1
        then()

    return stage.handler(name, inside)


@program()
def strand_post_vs_hand_on(stage: Stage) -> None:
    """A post to a strand comes while the one before ends: it gets the turn, from whom or from nobody."""
    context = stage.context()
    strand = reactor.Strand(context=context)
    last = stage.last_of(2, context.work_guard().release)
    strand.post(_in_turn(stage, "a", last))
    stage.thread("run", context.run)
    stage.thread("post", strand.post, _in_turn(stage, "b", last))
    stage.rests(context, "a", "b")


@program()
def strand_task_vs_post(stage: Stage) -> None:
    """A task of a strand goes on beside a posted call: its steps and the call exclude each other."""
    context = stage.context()
    strand = reactor.Strand(context=context)

    async def steps() -> None:
        _in_turn(stage, "first", lambda: None)()
        await reactor.sleep(0)
        _in_turn(stage, "second", lambda: None)()

    strand.spawn(steps)
    strand.post(_in_turn(stage, "call", lambda: None))
    for number in (1, 2):
        stage.thread(f"run-{number}", context.run)
    stage.rests(context, "first", "second", "call")


@program()
def strand_cancel_vs_turn(stage: Stage) -> None:
    """A task is cancelled while it waits for its turn: it gets it all the same, for its cleanup."""
    context = stage.context()
    strand = reactor.Strand(context=context)

    async def wait() -> None:
        try:
            await reactor.sleep(0)
        finally:
            _in_turn(stage, "cleanup", lambda: None)()

    task = strand.spawn(wait)
    strand.post(_in_turn(stage, "call", lambda: None))
    stage.thread("run", context.run)
    stage.thread("cancel", task.cancel)
    stage.rests(context, "cleanup", "call")
