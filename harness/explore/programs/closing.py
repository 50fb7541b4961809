"""Programs around closing the context."""

from __future__ import annotations

import types
from typing import TYPE_CHECKING

import reactor

from .registry import program

if TYPE_CHECKING:
    from collections.abc import Generator

    from reactor.operation import Operation

    from ..stage import Stage


def _post_or_refused(stage: Stage, context: reactor.IoContext) -> None:
    try:
        context.post(stage.handler("h"))
    except reactor.ContextClosedError:
        stage.ran["refused"] += 1


def _run_until_closed(context: reactor.IoContext) -> None:
    try:
        context.run()
    except reactor.ContextClosedError:
        pass


def _at_most_once(stage: Stage) -> None:
    stage.expect(stage.ran["h"] + stage.ran["refused"] <= 1, "double completion", str(stage.ran))


@program()
def close_vs_post(stage: Stage) -> None:
    """A post beside close is refused or dropped; nothing is written to a waker that is gone."""
    context = stage.context()
    stage.thread("close", context.close)
    stage.thread("post", _post_or_refused, stage, context)
    stage.check(lambda: stage.expect(stage.ran["h"] == 0, "use after close", "a handler ran"))


@program()
def close_vs_run_and_post(stage: Stage) -> None:
    """Close waits for who runs; a post beside it runs before, is refused, or is dropped."""
    context = stage.context()
    context.work_guard()

    stage.thread("run", _run_until_closed, context)
    stage.thread("close", context.close)
    stage.thread("post", _post_or_refused, stage, context)
    stage.check(_at_most_once, stage)


@program()
def close_with_a_parked_receive(stage: Stage) -> None:
    """The context is closed while a receive parks: the task ends, with its operation cancelled."""
    context = stage.context()
    sock, _ = stage.socket(context)
    context.spawn(stage.say, "recv", sock.recv, 10)

    stage.thread("run", _run_until_closed, context)
    stage.thread("close", context.close)
    stage.check(stage.ended, "recv", "cancelled by close", "ClosedError")


@program()
def close_vs_spawn(stage: Stage) -> None:
    """A task spawned beside close is refused and never runs, or it is ended with the others."""
    context = stage.context()

    @types.coroutine  # no coroutine, of which the interpreter says that it was never awaited
    def child() -> Generator[Operation, None, None]:
        try:
            yield from reactor.sleep(1)
        finally:
            stage.ran["ended"] += 1

    def spawn() -> None:
        try:
            context.spawn(child)
        except reactor.ContextClosedError:
            stage.ran["refused"] += 1

    def check() -> None:
        left = list(context.scheduler.tasks)
        stage.expect(not left, "missing completion", f"nobody steps {left}")
        stage.expect(stage.ran.total() == 1, "wrong result", str(stage.ran))

    stage.thread("spawn", spawn)
    stage.thread("close", context.close)
    stage.check(check)


@program()
def scope_cancel_vs_resume(stage: Stage) -> None:
    """A scope ends a receive that another thread resumes at once: the scope must know it for its own."""
    context = stage.context()
    sock, _ = stage.socket(context)
    scope = reactor.CancelScope()

    async def receive() -> None:
        with scope:
            await sock.recv(10)

    context.spawn(stage.say, "block", receive)
    stage.thread("run", context.run)
    stage.thread(
        "poll-one", context.poll_one
    )  # takes the task without the mutex, while the other leads
    stage.thread("cancel", scope.cancel)
    stage.check(stage.ended, "block", "None")
    stage.rests(context)


@program()
def wake_up_on_its_way_vs_close(stage: Stage) -> None:
    """A post has decided to wake the leader, who returns by itself, runs out of work and is closed."""
    context = stage.context()
    sock, remote = stage.socket(context)
    context.spawn(stage.say, "recv", sock.recv, 10)

    def run_and_close() -> None:
        context.run()
        context.close()

    stage.thread("run", run_and_close)
    stage.thread("arrive", remote.arrive, b"x")
    stage.thread("post", _post_or_refused, stage, context)
    stage.check(stage.ended, "recv", "b'x'")
    stage.check(_at_most_once, stage)


@program()
def close_vs_running_handler(stage: Stage) -> None:
    """The context is closed while a handler runs: close returns when the handler has ended."""
    context = stage.context()
    closed: list[bool] = []
    context.post(stage.handler("h", lambda: closed.append(context.closed)))
    context.post(stage.handler("last", lambda: closed.append(context.closed)))

    stage.thread("run", _run_until_closed, context)
    stage.thread("close", context.close)
    stage.check(lambda: stage.expect(not any(closed), "use after close", f"closed: {closed}"))
