"""What is explored: small programs, each around one race of the scheduler's signalling."""

from __future__ import annotations

import functools
import types
from dataclasses import dataclass
from typing import TYPE_CHECKING

import reactor

from .control import ExploreError
from .ground import ScriptedWaker

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from reactor.operation import Operation

    from .stage import Stage


@dataclass(frozen=True)
class Program:
    """A program.

    Attributes:
        name: what the command line calls it.
        about: the race, in one sentence.
        setup: given a `Stage`, makes the threads and the checks.
    """

    name: str
    about: str
    setup: Callable[[Stage], None]


PROGRAMS: dict[str, Program] = {}


def program(*variants: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add a program to the list.

    Args:
        variants: once for each: the backend, which `setup` is given as second argument, and behind
            a ``*`` how many threads `Stage.run` starts, one if there is none.
    """

    def add(setup: Callable[..., None]) -> Callable[..., None]:
        name = setup.__name__.replace("_", "-")
        about = " ".join((setup.__doc__ or "").split())
        for variant in variants or ("",):
            backend, _, runners = variant.partition("*")
            suffix = f"{runners}-runners" if runners else ""
            full = "-".join(filter(None, (name, backend, suffix)))

            def call(stage: Stage, backend: str = backend, runners: str = runners) -> None:
                stage.runners = int(runners or 1)
                if backend:
                    setup(stage, backend)
                else:
                    setup(stage)

            PROGRAMS[full] = Program(full, about, call)
        return setup

    return add


def get(name: str) -> Program:
    """Return the program of that name.

    Raises:
        ExploreError: there is none.
    """
    if name not in PROGRAMS:
        raise ExploreError(f"there is no program {name!r}; there are: {', '.join(PROGRAMS)}")
    return PROGRAMS[name]


# -- Posting and sleeping


@program("edge", "level")
def post_vs_sleep(stage: Stage, backend: str) -> None:
    """A post comes while the leader goes to sleep."""
    context = stage.context(backend)
    guard = context.work_guard()
    stage.thread("run", context.run)
    stage.thread("post", context.post, stage.handler("h", guard.release))
    stage.rests(context, "h")


@program()
def post_post_leader(stage: Stage) -> None:
    """Two threads post to a leader that goes to sleep: one wake-up must not swallow the other."""
    context = stage.context()
    last = stage.last_of(2, context.work_guard().release)
    stage.thread("run", context.run)
    for name in ("a", "b"):
        stage.thread(f"post-{name}", context.post, stage.handler(name, last))
    stage.rests(context, "a", "b")


@program()
def post_vs_leader_and_follower(stage: Stage) -> None:
    """A post comes while one thread goes to lead and another to follow."""
    context = stage.context()
    guard = context.work_guard()
    stage.thread("run-1", context.run)
    stage.thread("run-2", context.run)
    stage.thread("post", context.post, stage.handler("h", guard.release))
    stage.rests(context, "h")


@program("", "*2")
def post_twice_from_one_thread(stage: Stage) -> None:
    """A second post comes while the first wake-up is on its way: the flag must have been lowered."""
    context = stage.context()
    last = stage.last_of(2, context.work_guard().release)

    def post() -> None:
        context.post(stage.handler("a", last))
        context.post(stage.handler("b", last))

    stage.run(context)
    stage.thread("post", post)
    stage.rests(context, "a", "b")


@program("", "*2")
def waker_fails_once(stage: Stage) -> None:
    """The write to the waker fails once: the next post must write again (corosio ca33581)."""
    context = stage.context()
    guard = context.work_guard()
    waker = context.backend.waker
    assert isinstance(waker, ScriptedWaker)
    waker.failures = 1

    def post() -> None:
        context.post(stage.handler("a"))
        waker.failures = 0
        context.post(stage.handler("b", guard.release))

    stage.run(context)
    stage.thread("post", post)
    stage.rests(context, "a", "b")


@program()
def handler_posts_while_others_sleep(stage: Stage) -> None:
    """A handler posts two more: threads that sleep help, and nothing stays in the queue."""
    context = stage.context()
    guard = context.work_guard()
    last = stage.last_of(2, guard.release)

    def more() -> None:
        context.post(stage.handler("a", last))
        context.post(stage.handler("b", last))

    context.post(stage.handler("first", more))
    stage.thread("run-1", context.run)
    stage.thread("run-2", context.run)
    stage.rests(context, "first", "a", "b")


# -- Stopping, and running out of work


@program()
def stop_vs_sleep(stage: Stage) -> None:
    """A stop comes while the leader goes to sleep."""
    context = stage.context()
    context.work_guard()
    stage.thread("run", context.run)
    stage.thread("stop", context.stop)
    stage.check(lambda: stage.expect(context.stopped, "wrong result", "stop was forgotten"))


@program()
def stop_vs_two_runners(stage: Stage) -> None:
    """A stop reaches the leader and the follower, wherever they are."""
    context = stage.context()
    context.work_guard()
    stage.thread("run-1", context.run)
    stage.thread("run-2", context.run)
    stage.thread("stop", context.stop)
    stage.check(lambda: stage.expect(context.stopped, "wrong result", "stop was forgotten"))


@program()
def stop_vs_post(stage: Stage) -> None:
    """What was posted beside a stop has run, or is still there after a restart."""
    context = stage.context()
    guard = context.work_guard()

    def check() -> None:
        guard.release()
        context.restart()
        context.poll()
        stage.once("h")
        stage.finished(context)

    stage.thread("run", context.run)
    stage.thread("post", context.post, stage.handler("h"))
    stage.thread("stop", context.stop)
    stage.check(check)


@program("", "*2")
def post_then_stop_vs_sleep(stage: Stage) -> None:
    """What one thread posts before it stops has run, or is still there after a restart."""
    context = stage.context()
    guard = context.work_guard()

    def post_and_stop() -> None:
        context.post(stage.handler("h"))
        context.stop()

    def check() -> None:
        guard.release()
        context.restart()
        context.poll()
        stage.once("h")
        stage.finished(context)

    stage.run(context)
    stage.thread("stop", post_and_stop)
    stage.check(check)


@program("", "*2")
def restart_after_stop(stage: Stage) -> None:
    """After stop and restart the context serves as before."""
    context = stage.context()
    guard = context.work_guard()

    def run_again() -> None:
        context.run()
        context.restart()
        context.run()

    def stop_and_post() -> None:
        context.stop()
        context.post(stage.handler("h", guard.release))

    stage.run(context, run_again)
    stage.thread("stop", stop_and_post)
    stage.rests(context, "h")


@program("", "*2")
def last_work_vs_new_work(stage: Stage) -> None:
    """The last work ends beside a post: either `run` runs it, or it is there for the next one."""
    context = stage.context()
    context.post(stage.handler("old"))

    def check() -> None:
        context.poll()
        stage.once("old", "new")
        stage.finished(context)

    stage.run(context)
    stage.thread("post", context.post, stage.handler("new"))
    stage.check(check)


@program()
def last_work_posts_more(stage: Stage) -> None:
    """The last handler posts another beside a second thread that looks whether there is work."""
    context = stage.context()
    context.post(stage.handler("a", lambda: context.post(stage.handler("b"))))
    for name in ("run-1", "run-2"):
        stage.thread(name, context.run)
    stage.rests(context, "a", "b")


@program()
def guards_released_together(stage: Stage) -> None:
    """Two guards are released at once: the count of work is not torn, and `run` returns."""
    context = stage.context()
    guards = [context.work_guard() for _ in range(2)]
    stage.thread("run", context.run)
    for index, guard in enumerate(guards):
        stage.thread(f"release-{index + 1}", guard.release)
    stage.rests(context)


@program()
def handler_raises_with_work_queued(stage: Stage) -> None:
    """An exception leaves one `run`; what is queued behind it runs all the same."""
    context = stage.context()

    def fail() -> None:
        raise ArithmeticError("on purpose")

    context.post(stage.handler("bad", fail))
    context.post(stage.handler("good"))
    raised: list[str] = []

    def run() -> None:
        try:
            context.run()
        except ArithmeticError:
            raised.append("once")
            context.run()

    stage.thread("run-1", run)
    stage.thread("run-2", run)
    stage.rests(context, "bad", "good")
    stage.check(lambda: stage.expect(raised == ["once"], "swallowed", f"it came out {raised}"))


@program()
def run_one_beside_run(stage: Stage) -> None:
    """`run_one` takes one handler and leaves; nobody sleeps over the other."""
    context = stage.context()
    last = stage.last_of(2, context.work_guard().release)
    context.post(stage.handler("a", last))
    context.post(stage.handler("b", last))
    stage.thread("run", context.run)
    stage.thread("run-one", context.run_one)
    stage.rests(context, "a", "b")


@program()
def run_one_leads_and_leaves(stage: Stage) -> None:
    """`run_one` may have been the leader: who stays must take over."""
    context = stage.context()
    last = stage.last_of(2, context.work_guard().release)

    def post() -> None:
        context.post(stage.handler("a", last))
        context.post(stage.handler("b", last))

    stage.thread("run", context.run)
    stage.thread("run-one", context.run_one)
    stage.thread("post", post)
    stage.rests(context, "a", "b")


# -- Timers


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


# -- Operations of one descriptor


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
    sock, remote = stage.socket(context)
    with context.scheduler.mutex:
        sock._descriptor.register()  # by an earlier receive
    context.spawn(stage.say, "recv", sock.recv, 10)
    context.post(functools.partial(remote.arrive, b"x"))
    for name in ("run-1", "run-2"):
        stage.thread(name, context.run)
    stage.check(stage.ended, "recv", "b'x'")
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


# -- Tasks that wait for each other


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


# -- Closing the context


def _post_or_refused(stage: Stage, context: reactor.IoContext) -> None:
    try:
        context.post(stage.handler("h"))
    except reactor.ContextClosedError:
        stage.ran["refused"] += 1


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

    def run() -> None:
        try:
            context.run()
        except reactor.ContextClosedError:
            pass

    stage.thread("run", run)
    stage.thread("close", context.close)
    stage.thread("post", _post_or_refused, stage, context)
    stage.check(
        lambda: stage.expect(
            stage.ran["h"] + stage.ran["refused"] <= 1, "double completion", str(stage.ran)
        )
    )


@program()
def close_with_a_parked_receive(stage: Stage) -> None:
    """The context is closed while a receive parks: the task ends, with its operation cancelled."""
    context = stage.context()
    sock, _ = stage.socket(context)
    context.spawn(stage.say, "recv", sock.recv, 10)

    def run() -> None:
        try:
            context.run()
        except reactor.ContextClosedError:
            pass

    stage.thread("run", run)
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


# They join the list when they are imported.
from . import races, strands  # noqa: E402, F401 - it is those that are wanted, not the names
