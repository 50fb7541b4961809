"""Programs around the operations of one descriptor: readiness, cancel and close."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import reactor
from reactor.descriptor import READ
from reactor.local import current_task

from .registry import program

if TYPE_CHECKING:
    from collections.abc import Callable

    from reactor.stream import StreamSocket

    from ..ground import FakeSocket
    from ..stage import Stage


@program("edge", "level", "edge*2", "level*2")
def readiness_vs_park(stage: Stage, backend: str) -> None:
    """Data arrives while a receive takes its place: the edge must not fall between the two."""
    context = stage.context(backend)
    sock, remote = stage.socket(context)
    context.spawn(stage.say, "recv", sock.recv, 10)
    stage.run(context)
    stage.thread("arrive", remote.arrive, b"x")
    stage.check(stage.ended, "recv", "b'x'")
    stage.rests(context)


@program()
def readiness_vs_who_leaves(stage: Stage) -> None:
    """What became ready for a thread that leaves at once is run by the one that stays."""
    context = stage.context()
    sock, remote = stage.socket(context)
    context.spawn(stage.say, "recv", sock.recv, 10)
    stage.thread("run", context.run)
    stage.thread("run-for", context.run_for, 0)
    stage.thread("arrive", remote.arrive, b"x")
    stage.check(stage.ended, "recv", "b'x'")
    stage.rests(context)


@program("edge", "level")
def cancel_vs_readiness(stage: Stage, backend: str) -> None:
    """A cancel meets data: the receive ends once, and the data is returned or still there."""
    context = stage.context(backend)
    sock, remote = stage.socket(context)
    task = context.spawn(stage.say, "recv", sock.recv, 10)

    def check() -> None:
        said = stage.ended("recv", "b'x'", "cancelled by cancel")
        left = list(remote.inbox)
        stage.expect(left == ([] if said == "b'x'" else [b"x"]), "lost byte", f"{said}, {left}")
        stage.finished(context)

    stage.thread("run", context.run)
    stage.thread("arrive", remote.arrive, b"x")
    stage.thread("cancel", task.cancel)
    stage.check(check)


@program()
def cancel_vs_cancel(stage: Stage) -> None:
    """The task and its socket are cancelled at once: the operation ends once."""
    context = stage.context()
    sock, _ = stage.socket(context)
    task = context.spawn(stage.say, "recv", sock.recv, 10)
    stage.thread("run", context.run)
    stage.thread("cancel-task", task.cancel)
    stage.thread("cancel-sock", sock.cancel)
    stage.check(stage.ended, "recv", "cancelled by cancel")
    stage.rests(context)


@program("edge", "level")
def cancel_vs_posted_cancel(stage: Stage, backend: str) -> None:
    """A task is cancelled from outside, its socket by a handler: the operation ends once."""
    context = stage.context(backend)
    sock, _ = stage.socket(context)
    task = context.spawn(stage.say, "recv", sock.recv, 10)
    context.post(sock.cancel)
    stage.thread("run", context.run)
    stage.thread("cancel-task", task.cancel)
    stage.check(stage.ended, "recv", "cancelled by cancel")
    stage.rests(context)


@program("edge", "level", "edge*2")
def close_vs_park(stage: Stage, backend: str) -> None:
    """A socket is closed while a receive takes its place on it."""
    context = stage.context(backend)
    sock, _ = stage.socket(context)
    context.spawn(stage.say, "recv", sock.recv, 10)
    stage.run(context)
    stage.thread("close", sock.close)
    stage.check(stage.ended, "recv", "cancelled by close", "ClosedError")
    stage.rests(context)


@program("edge", "level")
def close_vs_call(stage: Stage, backend: str) -> None:
    """A socket is closed while a thread is about to call on it: the number must not be gone."""
    context = stage.context(backend)
    sock, remote = stage.socket(context)
    remote.inbox.append(b"x")
    context.spawn(stage.say, "recv", sock.recv, 10)
    stage.run(context)
    stage.thread("close", sock.close)
    stage.check(stage.ended, "recv", "b'x'", "cancelled by close", "ClosedError")
    stage.check(lambda: stage.expect(remote.closed, "missing completion", "never closed"))
    stage.rests(context)


@program("", "*2")
def cancel_vs_yield(stage: Stage) -> None:
    """A task is cancelled while it yields: the cancel and its next turn meet."""
    context = stage.context()

    async def yield_twice() -> None:
        await reactor.sleep(0)
        await reactor.sleep(0)

    task = context.spawn(stage.say, "yield", yield_twice)
    stage.run(context)
    stage.thread("cancel", task.cancel)
    stage.check(stage.ended, "yield", "None", "cancelled by cancel")
    stage.rests(context)


@program()
def yield_between_runners(stage: Stage) -> None:
    """A task that yields is on the queue at once: another thread may step it before it is put away."""
    context = stage.context()

    async def yield_once() -> None:
        await reactor.sleep(0)

    task = context.spawn(stage.say, "yield", yield_once)
    for number in (1, 2, 3):  # one of them leads
        stage.thread(f"run-{number}", context.run)
    stage.check(stage.ended, "yield", "None")
    # Put down too late, it would hide what the task waits for next from a cancel.
    stage.check(
        lambda: stage.expect(task.operation is None, "stale operation", repr(task.operation))
    )
    stage.rests(context)


@program("edge", "level")
def close_vs_readiness_in_one_batch(stage: Stage, backend: str) -> None:
    """Who receives first closes the other, whose event is in the same batch."""
    context = stage.context(backend)
    pairs = [stage.socket(context) for _ in range(2)]

    async def receive(index: int) -> None:
        await stage.say(f"recv-{index}", pairs[index][0].recv, 10)
        pairs[1 - index][0].close()

    for index in range(2):
        context.spawn(receive, index)

    def arrive() -> None:
        for _, remote in pairs:
            remote.arrive(b"x")

    stage.run(context)
    stage.thread("arrive", arrive)
    stage.rests(context)
    for index in range(2):
        allowed = ("b'x'", "cancelled by close", "ClosedError")
        stage.check(stage.ended, f"recv-{index}", *allowed)


@program("edge", "level")
def two_edges_one_operation(stage: Stage, backend: str) -> None:
    """Two pieces arrive for one receive at once: neither edge is lost or counted twice."""
    context, (first, second) = _receive_two(stage, backend)
    stage.thread("run", context.run)
    stage.thread("arrive-1", first)
    stage.thread("arrive-2", second)


@program("edge", "level")
def two_edges_from_one_thread(stage: Stage, backend: str) -> None:
    """Two pieces arrive for one receive, one behind the other."""
    context, pieces = _receive_two(stage, backend)

    def arrive() -> None:
        for piece in pieces:
            piece()

    stage.thread("run", context.run)
    stage.thread("arrive", arrive)


def _receive_two(stage: Stage, backend: str) -> tuple[reactor.IoContext, list[Callable[[], None]]]:
    """Have a task receive two bytes; returns what makes each arrive."""
    context = stage.context(backend)
    sock, remote = stage.socket(context)
    pieces: list[bytes] = []

    async def receive() -> None:
        while sum(map(len, pieces)) < 2:
            pieces.append(await sock.recv(10))

    context.spawn(receive)
    stage.check(
        lambda: stage.expect(
            sorted(b"".join(pieces)) == list(b"xy"), "lost byte", f"received {pieces}"
        )
    )
    stage.rests(context)
    return context, [functools.partial(remote.arrive, data) for data in (b"x", b"y")]


@program("edge", "level")
def edge_during_an_empty_call(stage: Stage, backend: str) -> None:
    """A call finds nothing while another thread leads and takes in the edge of what comes then."""
    context = stage.context(backend)
    sock, remote = _watched(stage, context)
    context.spawn(stage.say, "recv", sock.recv, 10)
    _two_run(stage, context, functools.partial(remote.arrive, b"x"))
    stage.check(stage.ended, "recv", "b'x'")
    stage.rests(context)


@program("edge", "level")
def first_wait_to_send(stage: Stage, backend: str) -> None:
    """A send waits for the first time, so that it is watched for from now on, beside the room that comes."""
    context = stage.context(backend)
    sock, remote = _watched(stage, context)
    remote.room = False
    context.spawn(stage.say, "send", sock.sendall, b"x")
    _two_run(stage, context, remote.drain)
    stage.check(stage.ended, "send", "1")
    stage.rests(context)


def _watched(stage: Stage, context: reactor.IoContext) -> tuple[StreamSocket, FakeSocket]:
    """Return a socket that an earlier receive has had registered, and its other end."""
    sock, remote = stage.socket(context)
    with context.scheduler.mutex:
        sock._descriptor.register(READ)
    return sock, remote


def _two_run(stage: Stage, context: reactor.IoContext, news: Callable[[], object]) -> None:
    """Have two threads run what there is to do, and `news` after it."""
    context.post(news)
    for name in ("run-1", "run-2"):
        stage.thread(name, context.run)


@program("cancel", "scope", "close", "data", "scope*2", "data*2")
def park_without_mutex(stage: Stage, news: str) -> None:
    """A receive parks on a descriptor that is watched already, beside news for it."""
    context = stage.context()
    sock, remote = _watched(stage, context)
    sock._descriptor.read.seen = sock._descriptor.read.edges  # that receive left nothing
    task = context.spawn(stage.say, "recv", sock.recv, 10)
    operation = sock._descriptor.read.op

    def cancel() -> None:
        sock.cancel()
        remote.arrive(b"x")  # a cancel before the receive says nothing of it

    tell: dict[str, Callable[[], object]] = {
        "cancel": cancel,
        "scope": task.cancel,
        "close": sock.close,
        "data": functools.partial(remote.arrive, b"x"),
    }
    stage.run(context)
    stage.thread(news, tell[news])

    def check() -> None:
        ends = {"close": ("cancelled by close", "ClosedError"), "scope": ("cancelled by cancel",)}
        said = stage.ended("recv", *ends.get(news, ("b'x'", "cancelled by cancel")))
        # That data ended the wait, of an operation which had been told of the cancel before it.
        lost = said == "b'x'" and operation.late is not None and context.scheduler.readied
        if stage.runners == 1:  # others may take in the data before this one has looked again
            stage.expect(not lost, "lost cancel", "it waited on although it had been cancelled")

    stage.check(check)
    stage.rests(context)


@program()
def interest_vs_level_wait(stage: Stage) -> None:
    """A receive parks while another thread is in a level-triggered wait, which must hear of it."""
    context = stage.context("level")
    sock, remote = stage.socket(context)
    guard = context.work_guard()

    async def receive() -> None:
        await stage.say("recv", sock.recv, 10)
        guard.release()

    stage.thread("run-1", context.run)
    stage.thread("run-2", context.run)
    context.spawn(receive)
    remote.inbox.append(b"x")
    sock._descriptor.read.seen = sock._descriptor.read.edges  # it looked before, and found nothing
    stage.check(stage.ended, "recv", "b'x'")
    stage.rests(context)


@program("", "*2")
def cancel_in_scope_vs_readiness(stage: Stage) -> None:
    """The scope around a receive is cancelled while two threads run, one of them with its data."""
    context = stage.context()
    sock, remote = stage.socket(context)
    scope = reactor.CancelScope()

    async def receive() -> None:
        with scope:
            await stage.say("recv", sock.recv, 10)

    context.spawn(receive)
    remote.inbox.append(b"x")
    stage.run(context)
    stage.thread("cancel", scope.cancel)

    def check() -> None:
        said = stage.ended("recv", "b'x'", "cancelled by cancel")
        stage.expect(list(remote.inbox) == ([] if said == "b'x'" else [b"x"]), "lost byte", said)
        stage.finished(context)

    stage.check(check)


@program("", "*2")
def cancel_vs_stolen_data(stage: Stage) -> None:
    """A cancel meets readiness whose data is gone again: the receive must not park once more."""
    context = stage.context()
    sock, remote = stage.socket(context)
    context.spawn(stage.say, "recv", sock.recv, 10)
    context.poll()  # it is parked before the race begins: an idle socket forgets a cancel

    def arrive_and_go() -> None:
        remote.arrive(b"x")
        remote.steal()

    stage.run(context)
    stage.thread("arrive", arrive_and_go)
    stage.thread("cancel", sock.cancel)
    stage.check(stage.ended, "recv", "b'x'", "cancelled by cancel")
    stage.rests(context)


@program("edge", "level")
def close_vs_readiness(stage: Stage, backend: str) -> None:
    """A socket is closed while the leader is on its way with its event: nobody calls on it again."""
    context = stage.context(backend)
    sock, remote = stage.socket(context)

    async def receive() -> None:
        await stage.say("first", sock.recv, 10)
        await stage.say("second", sock.recv, 10)

    context.spawn(receive)
    context.poll()  # it is parked before the race begins
    stage.run(context)
    stage.thread("arrive", remote.arrive, b"x")
    stage.thread("close", sock.close)
    stage.check(stage.ended, "first", "b'x'", "cancelled by close")
    stage.check(stage.ended, "second", "ClosedError", "cancelled by close")
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
