"""Programs around scopes and deadlines, which a task enters and leaves without the mutex."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import reactor

from .registry import program

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from reactor.stream import StreamSocket

    from ..stage import Stage


@program()
def cancel_outside_vs_leave(stage: Stage) -> None:
    """A scope is cancelled while its task leaves, or enters, one inside: the task hears of it."""
    sock, _ = stage.socket(stage.context())
    outer = reactor.CancelScope()

    async def main() -> None:
        with outer:
            with reactor.timeout(60):
                pass
            await stage.say("recv", sock.recv, 10)

    _cancelled(stage, main, outer, "cancelled by cancel")


@program()
def cancel_vs_leave(stage: Stage) -> None:
    """A scope is cancelled while its task leaves it: what comes behind it is not cut."""
    sock, remote = stage.socket(stage.context())
    remote.inbox.append(b"x")
    scope = reactor.CancelScope()

    async def main() -> None:
        with scope:
            pass
        await stage.say("recv", sock.recv, 10)

    _cancelled(stage, main, scope, "b'x'")


@program()
def cancel_vs_enter(stage: Stage) -> None:
    """A block whose deadline has passed is cancelled while its task enters it: it has one cause."""
    context = stage.context()
    sock, _ = stage.socket(context)
    block = reactor.timeout_at(context.time())

    async def main() -> None:
        cause, told = "", False
        try:
            with block:
                try:
                    await sock.recv(10)
                except reactor.OperationCancelled as exc:
                    cause = exc.cause_name
                    raise
        except TimeoutError:
            told = True
        stage.expect(cause, "missing completion", "it was not cut")
        stage.expect(told == (cause == "deadline"), "wrong result", f"{cause}, told: {told}")

    context.spawn(main)
    stage.run(context)
    stage.thread("cancel", block.cancel)
    stage.rests(context)


@program()
def reschedule_vs_enter(stage: Stage) -> None:
    """A deadline is moved by another thread while the task enters its block: the new one counts."""
    sock, block = _moved(stage)

    async def main() -> None:
        with block:
            await sock.recv(10)

    _cut(stage, main, 5)


@program()
def reschedule_vs_enter_inside(stage: Stage) -> None:
    """A deadline is moved by another thread while the task enters a block inside."""
    sock, block = _moved(stage)

    async def main() -> None:
        with block, reactor.CancelScope():
            await sock.recv(10)

    _cut(stage, main, 5)


@program()
def reschedule_vs_leave(stage: Stage) -> None:
    """A deadline is moved by another thread while the task enters and leaves blocks inside."""
    sock, block = _moved(stage)

    async def main() -> None:
        with block, reactor.CancelScope():
            with reactor.timeout(50):
                pass
            await sock.recv(10)

    _cut(stage, main, 5)


@program("*2")
def alarm_vs_next_timeout(stage: Stage) -> None:
    """What is left of one timeout comes due while the task, on another thread, enters the next."""
    context = stage.context()
    sock, _ = stage.socket(context)
    event = reactor.Event(context=context)

    async def main() -> None:
        with reactor.timeout(1):
            pass
        await event.wait()
        with reactor.timeout(5):
            await sock.recv(10)

    elsewhere = stage.context()
    elsewhere.call_later(1, event.set)
    stage.thread("later", elsewhere.run)
    _cut(stage, main, 6, begun=True)


@program()
def ring_vs_next_timeout(stage: Stage) -> None:
    """What a task waits for comes with the deadline of its block: the next block is not cut."""
    context = stage.context()
    sock, _ = stage.socket(context)
    event = reactor.Event(context=context)

    async def main() -> None:
        with contextlib.suppress(TimeoutError), reactor.timeout(1):
            await event.wait()
        with reactor.timeout(5):
            await sock.recv(10)

    elsewhere = stage.context()
    elsewhere.call_later(1, event.set)
    stage.thread("later", elsewhere.run)
    _cut(stage, main, 6, begun=True)


def _cancelled(
    stage: Stage, main: Callable[[], Awaitable[None]], scope: reactor.CancelScope, said: str
) -> None:
    """Run `main` in the first context beside a thread that cancels `scope`; check how "recv" ends."""
    context = stage.contexts[0]
    context.spawn(main)
    stage.run(context)
    stage.thread("cancel", scope.cancel)
    stage.check(stage.ended, "recv", said)
    stage.rests(context)


def _moved(stage: Stage) -> tuple[StreamSocket, reactor.timeout_at]:
    """Return a silent socket, and a block with a deadline 60 s away, which a thread makes 5."""
    begin = stage.execution.now
    block = reactor.timeout_at(begin + 60)
    sock, _ = stage.socket(stage.context())
    stage.thread("reschedule", block.reschedule, begin + 5)
    return sock, block


def _cut(
    stage: Stage, main: Callable[[], Awaitable[None]], after: float, *, begun: bool = False
) -> None:
    """Run `main` in the first context, and check that it is cut by a deadline so many seconds from now.

    Args:
        stage: the program's.
        main: what is run.
        after: the seconds.
        begun: it has got as far as it can before the race begins.
    """
    context = stage.contexts[0]
    begin = stage.execution.now
    ended: list[float] = []

    async def cut() -> None:
        try:
            await main()
        except TimeoutError:
            ended.append(stage.execution.now - begin)

    context.spawn(cut)
    if begun:
        context.poll()
    stage.run(context)
    stage.check(lambda: stage.expect(ended == [after], "late timer", f"cut at {ended}"))
    stage.rests(context)
