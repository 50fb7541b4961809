"""More programs: each is here because a mutant survived those of `programs`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import reactor
from reactor.task import current_task

from .programs import program

if TYPE_CHECKING:
    from .stage import Stage


@program()
def wake_up_on_its_way_vs_close(stage: Stage) -> None:
    """A post has decided to wake the leader, who returns by itself, runs out of work and is closed."""
    context = stage.context()
    sock, remote = stage.socket(context)
    context.spawn(stage.say, "recv", sock.recv, 10)

    def run_and_close() -> None:
        context.run()
        context.close()

    def post() -> None:
        try:
            context.post(stage.handler("h"))
        except reactor.ContextClosedError:
            stage.ran["refused"] += 1

    stage.thread("run", run_and_close)
    stage.thread("arrive", remote.arrive, b"x")
    stage.thread("post", post)
    stage.check(stage.ended, "recv", "b'x'")
    stage.check(
        lambda: stage.expect(
            stage.ran["h"] + stage.ran["refused"] <= 1, "double completion", str(stage.ran)
        )
    )


@program()
def bounded_run_leads_and_leaves(stage: Stage) -> None:
    """The leader's time is up and it leaves: the follower must take over, for nobody else will."""
    context = stage.context()
    context.spawn(stage.say, "sleep", reactor.sleep, 10)
    stage.thread("run-for", context.run_for, 1)
    stage.thread("run", context.run)
    stage.check(stage.ended, "sleep", "None")
    stage.rests(context)


@program()
def cancel_vs_deferred_receive(stage: Stage) -> None:
    """A receive that let others go first is cancelled just as its turn comes."""
    context = stage.context()
    sock, remote = stage.socket(context)

    async def receive() -> Any:
        current_task().credit = 0
        return await sock.recv(10)

    context.spawn(stage.say, "recv", receive)
    stage.thread("run", context.run)
    stage.thread("cancel", sock.cancel)
    stage.thread("arrive", remote.arrive, b"x")
    stage.check(stage.ended, "recv", "b'x'", "cancelled by cancel")
    stage.rests(context)


@program()
def close_vs_running_handler(stage: Stage) -> None:
    """The context is closed while a handler runs: close returns when the handler has ended."""
    context = stage.context()
    closed: list[bool] = []
    context.post(stage.handler("h", lambda: closed.append(context.closed)))
    context.post(stage.handler("last", lambda: closed.append(context.closed)))

    def run() -> None:
        try:
            context.run()
        except reactor.ContextClosedError:
            pass

    stage.thread("run", run)
    stage.thread("close", context.close)
    stage.check(lambda: stage.expect(not any(closed), "use after close", f"closed: {closed}"))
