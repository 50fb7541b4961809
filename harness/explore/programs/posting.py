"""Programs around posting, sleeping, stopping and running out of work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import reactor

from ..pollers import ScriptedWaker
from .registry import program

if TYPE_CHECKING:
    from ..stage import Stage


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


@program()
def bounded_run_leads_and_leaves(stage: Stage) -> None:
    """The leader's time is up and it leaves: the follower must take over, for nobody else will."""
    context = stage.context()
    context.spawn(stage.say, "sleep", reactor.sleep, 10)
    stage.thread("run-for", context.run_for, 1)
    stage.thread("run", context.run)
    stage.check(stage.ended, "sleep", "None")
    stage.rests(context)
