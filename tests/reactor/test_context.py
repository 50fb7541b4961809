"""`IoContext`: running, stopping, giving it work, closing it; and `reactor.run`."""

from __future__ import annotations

import inspect
import math
import os
import sys
from contextvars import ContextVar

import pytest

import reactor
from reactor import (
    BackendError,
    Cause,
    ContextClosedError,
    IoContext,
    OperationCancelled,
    ReactorError,
    StreamSocket,
    System,
    Timer,
    backends,
    current_context,
)
from tests.reactor.scheduling import (
    SAFETY,
    WatchedWait,
    Worker,
    forever,
    live,
    turns,
    virtual,
    virtual_system,
)

variable = ContextVar("variable", default="unset")

#: Every way to run a context, as calls that return a count.
RUNS = {
    "run": lambda context: context.run(),
    "run_one": lambda context: context.run_one(),
    "run_one(0)": lambda context: context.run_one(0),
    "run_for": lambda context: context.run_for(1),
    "poll": lambda context: context.poll(),
    "poll_one": lambda context: context.poll_one(),
}


@pytest.fixture
def virtually(spec, clock):
    """A context in virtual time: whatever waits too long is seen on the clock."""
    with virtual(spec, clock) as made:
        yield made


@pytest.fixture(params=RUNS)
def any_run(request):
    return RUNS[request.param]


class Oops(Exception):
    """What handlers of these tests raise."""


def oops(text="oops"):
    raise Oops(text)


def nothing():
    """A handler."""


# -- run


def test_run_returns_the_number_of_handlers(context):
    """A handler is one posted call, or one step of a task."""
    assert context.run() == 0
    for _ in range(3):
        context.post(nothing)
    assert context.run() == 3
    context.spawn(turns, 4)
    assert context.run() == 5
    context.post(nothing)
    context.spawn(turns, 1)
    assert context.run() == 3
    assert context.counters().handlers == 11


def test_run_ends_when_there_is_no_work_left_and_not_before(virtually, clock):
    ends: list[str] = []

    async def main():
        await reactor.sleep(100)
        current_context().post(ends.append, "call")
        current_context().spawn(last)

    async def last():
        await reactor.sleep(100)
        ends.append("task")

    virtually.spawn(main)
    virtually.run()
    assert ends == ["call", "task"]
    assert clock.monotonic() == pytest.approx(1200.0)
    assert virtually.scheduler.signal.work == 0


def test_a_set_timer_or_an_open_socket_is_no_work(virtually, clock):
    timer = Timer(context=virtually)
    timer.expires_after(5)
    left, right = StreamSocket.pair(virtually)
    with left, right:
        assert virtually.run() == 0
        assert virtually.run_one() == 0
    assert clock.monotonic() == 1000.0


def test_run_may_be_called_again_and_again(context):
    for round_ in range(3):
        context.post(nothing)
        task = context.spawn(turns, 1)
        assert context.run() == 3
        assert task.done, round_


def test_a_handler_may_post_and_spawn_more(context):
    order = []

    def more(depth):
        order.append(depth)
        if depth < 5:
            context.post(more, depth + 1)

    context.post(more, 0)
    assert context.run() == 6
    assert order == list(range(6))


# -- run_one, run_for, poll, poll_one


def test_run_one_runs_one(context):
    ran: list[object] = []
    for number in range(3):
        context.post(ran.append, number)
    for count in range(1, 4):
        assert context.run_one() == 1
        assert ran == list(range(count))
    assert context.run_one() == 0


def test_run_one_waits_for_its_handler(virtually, clock):
    virtually.spawn(reactor.sleep, 50)
    assert virtually.run_one() == 1
    assert clock.monotonic() == 1000.0
    assert virtually.run_one() == 1
    assert clock.monotonic() == 1050.0


def test_run_one_waits_for_no_longer_than_it_is_told(virtually, clock):
    virtually.spawn(reactor.sleep, 50)
    assert virtually.run_one(0) == 1
    assert virtually.run_one(0) == 0
    assert clock.monotonic() == 1000.0
    assert virtually.run_one(20) == 0
    assert clock.monotonic() == 1020.0
    assert virtually.run_one(math.inf) == 1
    assert clock.monotonic() == 1050.0


def test_run_one_takes_what_its_last_moment_brings(virtually, clock):
    """The timer and the limit fall together: the handler is there in time."""
    virtually.spawn(reactor.sleep, 50)
    virtually.run_one()
    assert virtually.run_one(50) == 1
    assert clock.monotonic() == 1050.0


def test_run_for_runs_what_falls_into_its_time(virtually, clock):
    tasks = [virtually.spawn(reactor.sleep, seconds) for seconds in (1, 2, 3)]
    assert virtually.run_for(2.5) == 5
    assert [task.done for task in tasks] == [True, True, False]
    assert clock.monotonic() == 1002.5
    assert virtually.run_for(2.5) == 1
    assert clock.monotonic() == 1003.0, "without work it returns before its time"


def test_run_for_ends_though_handlers_never_do(virtually, clock):
    def again():
        clock.advance(0.25)
        virtually.post(again)

    virtually.post(again)
    assert 4 <= virtually.run_for(1) <= 5


@pytest.mark.parametrize("seconds", [-1, -1e-9, -math.inf, math.nan])
def test_a_time_to_run_for_is_not_negative_and_a_number(context, seconds):
    context.post(nothing)
    with pytest.raises(ValueError, match="0 seconds or more"):
        context.run_for(seconds)
    with pytest.raises(ValueError, match="0 seconds or more"):
        context.run_one(seconds)
    assert context.run() == 1


def test_poll_runs_what_can_run_and_never_waits(virtually, clock):
    virtually.spawn(reactor.sleep, 50)
    virtually.spawn(turns, 2)
    virtually.post(nothing)
    assert virtually.poll() == 5
    assert virtually.poll() == 0
    assert clock.monotonic() == 1000.0
    assert set(clock.waits) == {0.0}
    clock.advance(50)
    assert virtually.poll() == 1
    assert virtually.task_count == 0
    assert virtually.poll() == 0


def test_poll_asks_the_poller(context):
    left, right = StreamSocket.pair(context)
    with left, right:
        task = context.spawn(left.recv, 10)
        assert context.poll() == 1
        context.spawn(right.send, b"x")
        assert context.poll() == 2
        assert task.result() == b"x"


def test_poll_one_runs_at_most_one(virtually, clock):
    virtually.spawn(reactor.sleep, 50)
    virtually.post(nothing)
    assert [virtually.poll_one() for _ in range(4)] == [1, 1, 0, 0]
    assert clock.monotonic() == 1000.0
    assert set(clock.waits) == {0.0}


def test_run_goes_on_where_the_others_left_off(context):
    ran: list[object] = []
    for number in range(5):
        context.post(ran.append, number)
    assert (context.run_one(), context.poll_one(), context.run()) == (1, 1, 3)
    assert ran == list(range(5))


# -- Nesting


def test_a_thread_cannot_run_a_context_inside_itself(context, any_run):
    context.post(any_run, context)
    context.post(nothing)
    with pytest.raises(ReactorError, match="already inside run"):
        context.run()
    assert context.run() == 1, "it is intact"


def test_a_context_can_be_run_inside_another(context):
    seen = []
    with live() as inner:

        def nested():
            inner.post(lambda: seen.append(current_context()))
            inner.run()
            seen.append(current_context())

        context.post(nested)
        context.run()
        assert seen == [inner, context]


def test_the_current_context_is_the_one_whose_run_the_thread_is_in(context):
    seen = []

    async def look():
        seen.append(current_context())
        await reactor.sleep(0)
        seen.append(current_context())

    with pytest.raises(ReactorError, match="context="):
        current_context()
    context.post(lambda: seen.append(current_context()))
    context.spawn(look)
    context.run()
    assert seen == [context] * 3
    with pytest.raises(ReactorError, match="context="):
        current_context()
    context.post(oops)
    with pytest.raises(Oops):
        context.run()
    with pytest.raises(ReactorError, match="context="):
        current_context()


# -- post


def test_posted_calls_run_in_the_order_in_which_they_were_posted(context):
    ran: list[object] = []
    for number in range(100):
        context.post(ran.append, number)
    context.run()
    assert ran == list(range(100))


def test_a_call_posted_by_a_handler_runs_after_what_is_queued(context):
    order = []

    def first():
        order.append("first")
        context.post(order.append, "posted by the first")

    context.post(first)
    context.post(order.append, "second")
    context.run()
    assert order == ["first", "second", "posted by the first"]


def test_tasks_and_calls_share_one_queue(context):
    order = []

    async def task(name):
        order.append(name)

    context.spawn(task, "task 1")
    context.post(order.append, "call")
    context.spawn(task, "task 2")
    context.run()
    assert order == ["task 1", "call", "task 2"]


def test_a_post_from_another_thread_wakes_a_run_that_waits(context):
    ran: list[object] = []
    waits = WatchedWait(context)
    with context.work_guard():
        runner = Worker(context.run)
        waits.blocking.wait()
        for number in range(5):
            context.post(ran.append, number)
            waits.blocking.wait()
            assert ran == list(range(number + 1))
    assert runner.end() == 5


def test_a_spawn_from_another_thread_wakes_a_run_that_waits(context):
    waits = WatchedWait(context)
    with context.work_guard():
        runner = Worker(context.run)
        waits.blocking.wait()
        task = context.spawn(turns, 1)
        waits.blocking.wait()
        assert task.done
    assert runner.end() == 2


@pytest.mark.parametrize("function", [None, 42, "print"])
def test_what_cannot_be_called_cannot_be_posted(context, function):
    with pytest.raises(TypeError, match="something to call"):
        context.post(function)
    assert context.run() == 0


# -- Nothing is swallowed (law 10)


def test_the_exception_of_a_posted_call_comes_out_of_run_and_the_loop_goes_on(context):
    ran: list[object] = []
    context.post(ran.append, 1)
    context.post(oops)
    context.post(ran.append, 2)
    task = context.spawn(turns, 2)
    with pytest.raises(Oops):
        context.run()
    assert ran == [1]
    assert context.run() == 4
    assert ran == [1, 2]
    assert task.done
    assert context.scheduler.signal.work == 0


def test_every_exception_comes_out_by_itself(context):
    for number in range(3):
        context.post(oops, str(number))
    for number in range(3):
        with pytest.raises(Oops, match=str(number)):
            context.run()
    assert context.run() == 0


def test_exceptions_come_out_of_whatever_runs_the_handler(context, any_run):
    context.post(oops)
    with pytest.raises(Oops):
        any_run(context)
    assert context.run() == 0
    assert context.counters().handlers == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit, StopIteration])
def test_whatever_a_call_raises_comes_out(context, error):
    def fail():
        raise error

    context.post(fail)
    context.post(nothing)
    with pytest.raises(error):
        context.run()
    assert context.run() == 1


def test_an_exception_of_the_poller_comes_out_and_the_next_turn_goes_on(context):
    real = context.backend.wait
    errors = [OSError("the poller broke"), KeyboardInterrupt()]

    def wait(timeout):
        if errors:
            raise errors.pop(0)
        return real(timeout)

    context.backend.wait = wait
    context.post(nothing)
    task = context.spawn(turns, 1)
    with pytest.raises(OSError, match="the poller broke"):
        context.run()
    with pytest.raises(KeyboardInterrupt):
        context.run()
    assert context.run() == 1
    assert task.done
    assert context.counters().handlers == 3


# -- stop and restart


def test_stop_lets_the_current_handler_end_and_no_other_begin(context):
    ran: list[object] = []

    def stop():
        context.stop()
        ran.append("stopped")

    context.post(stop)
    context.post(ran.append, "queued")
    assert not context.stopped
    assert context.run() == 1
    assert context.stopped
    assert ran == ["stopped"]


def test_what_was_queued_is_still_there_after_a_restart(context, any_run):
    context.post(context.stop)
    context.post(nothing)
    task = context.spawn(turns, 1)
    context.run()
    assert any_run(context) == 0
    context.restart()
    assert not context.stopped
    assert context.run() == 3
    assert task.done


def test_a_stop_holds_for_the_runs_to_come(virtually, clock, any_run):
    virtually.spawn(forever)
    virtually.stop()
    virtually.stop()
    assert any_run(virtually) == 0
    assert clock.waits == []
    virtually.restart()


def test_stop_from_another_thread_calls_the_leader_back(context):
    waits = WatchedWait(context)
    context.spawn(forever)
    runner = Worker(context.run)
    waits.blocking.wait()
    context.stop()
    assert runner.end() == 1
    assert context.stopped


def test_a_stopped_context_takes_work_for_later(context):
    context.stop()
    context.post(nothing)
    context.spawn(turns, 1)
    assert context.run() == 0
    context.restart()
    assert context.run() == 3


# -- work_guard


def test_a_guard_keeps_run_waiting_until_it_is_released(context):
    waits = WatchedWait(context)
    guard = context.work_guard()
    runner = Worker(context.run)
    waits.blocking.wait()
    guard.release()
    assert runner.end() == 0


def test_a_guard_is_released_once_and_its_block_does_it(context):
    with context.work_guard() as guard:
        other = context.work_guard()
        guard.release()
        guard.release()
        assert context.scheduler.signal.work == 1
    assert context.scheduler.signal.work == 1
    other.release()
    assert context.run() == 0


def test_a_guard_keeps_the_limited_runs_waiting_too(virtually, clock):
    with virtually.work_guard():
        assert virtually.run_for(5) == 0
        assert virtually.run_one(2) == 0
        assert clock.monotonic() == 1007.0
        assert virtually.poll() == virtually.poll_one() == 0
        assert clock.monotonic() == 1007.0
    assert virtually.run_for(5) == 0
    assert clock.monotonic() == 1007.0


def test_a_handler_may_release_the_last_guard(context):
    guard = context.work_guard()
    context.post(guard.release)
    assert context.run() == 1


# -- Context variables


def test_a_task_has_the_variables_of_its_spawner_and_keeps_its_own(context):
    seen = {}

    async def child(name):
        seen[name, "at first"] = variable.get()
        variable.set(f"of {name}")
        await reactor.sleep(0)
        seen[name, "then"] = variable.get()

    def spawn():
        variable.set("of the spawner")
        for name in ("a", "b"):
            context.spawn(child, name)
        variable.set("changed later")

    context.post(spawn)
    context.run()
    assert seen == {
        ("a", "at first"): "of the spawner",
        ("a", "then"): "of a",
        ("b", "at first"): "of the spawner",
        ("b", "then"): "of b",
    }
    assert variable.get() == "unset"


def test_a_call_has_the_variables_of_its_poster_and_keeps_its_own(context):
    seen = []

    def call(new):
        seen.append(variable.get())
        variable.set(new)

    async def main():
        variable.set("of the task")
        context.post(call, "x")
        context.post(call, "y")
        variable.set("changed later")
        await reactor.sleep(0)
        seen.append(variable.get())

    context.spawn(main)
    context.post(call, "z")
    context.post(call, "w")
    context.run()
    assert seen == ["unset", "unset", "of the task", "of the task", "changed later"]
    assert variable.get() == "unset"


# -- close


def test_close_is_idempotent(context):
    assert not context.closed
    context.close()
    assert context.closed
    context.close()
    with context:
        pass
    assert context.closed
    assert repr(context) == "<IoContext closed>"


def test_a_closed_context_takes_no_work_and_does_not_run(context, any_run):
    context.close()
    with pytest.raises(ContextClosedError, match="closed"):
        any_run(context)
    with pytest.raises(ContextClosedError, match="closed"):
        context.post(nothing)
    with pytest.raises(ContextClosedError, match="closed"):
        context.spawn(turns)
    with pytest.raises(ContextClosedError, match="closed"):
        StreamSocket(context=context)


def test_what_is_harmless_is_allowed_on_a_closed_context(context):
    guard = context.work_guard()
    context.close()
    guard.release()
    context.stop()
    context.restart()
    assert context.counters().handlers == 0
    assert context.dump().data["tasks"] == []
    assert context.work_guard().release() is None
    with pytest.raises(ContextClosedError):
        context.run()


@pytest.mark.parametrize("kind", ["call", "task"])
def test_a_handler_cannot_close_its_context(context, kind):
    async def task():
        context.close()

    if kind == "call":
        context.post(context.close)
    else:
        context.spawn(task)
    context.post(nothing)
    with pytest.raises(ReactorError, match="inside run"):
        context.run()
    assert not context.closed
    assert context.run() == 1, "it is intact"


def test_close_cancels_the_tasks_and_lets_their_cleanup_run(context):
    log: list[tuple[str, object]] = []

    async def main(name):
        try:
            await forever()
        except OperationCancelled as exc:
            log.append((name, exc.cause))
            try:
                await reactor.sleep(0)
            except OperationCancelled as again:
                log.append((name, again.cause))
            raise
        finally:
            log.append((name, "cleanup"))

    tasks = [context.spawn(main, name) for name in "ab"]
    context.poll()
    context.close()
    for name in "ab":
        assert [what for who, what in log if who == name] == [Cause.CLOSE, Cause.CLOSE, "cleanup"]
    assert all(task.cancelled for task in tasks)
    assert context.task_count == 0


def test_a_task_that_was_never_stepped_gets_to_its_cleanup_too(context):
    log = []

    async def main():
        try:
            await forever()
        finally:
            log.append("cleanup")

    context.spawn(main)
    context.close()
    assert log == ["cleanup"]


def test_cleanup_knows_its_context_and_may_not_give_it_work(context):
    log = []

    async def main():
        try:
            await forever()
        finally:
            log.append(current_context())
            for give in (lambda: context.post(nothing), lambda: context.spawn(turns)):
                with pytest.raises(ContextClosedError):
                    give()

    context.spawn(main)
    context.poll()
    context.close()
    assert log == [context]


def test_a_task_waiting_for_another_is_closed_with_it(context):
    async def join(task):
        try:
            await task
        finally:
            assert task.done

    inner = context.spawn(forever)
    middle = context.spawn(join, inner)
    outer = context.spawn(join, middle)
    context.poll()
    context.close()
    assert all(task.cancelled for task in (inner, middle, outer))


def test_a_task_that_swallows_its_cancellation_returns_its_result(context):
    async def main():
        try:
            await forever()
        except OperationCancelled:
            return "in spite of all"

    task = context.spawn(main)
    context.poll()
    context.close()
    assert task.result() == "in spite of all"


def test_a_task_that_swallows_every_cancellation_is_abandoned(context):
    attempts = 0
    log = []

    async def stubborn():
        nonlocal attempts
        variable.set("of the task")
        try:
            while True:
                try:
                    await forever()
                except OperationCancelled:
                    attempts += 1
        finally:
            log.append(variable.get())
            assert reactor.current_task() is tasks[0], "it is thrown away as the task that it is"

    async def polite():
        try:
            await forever()
        finally:
            log.append("cleanup")

    tasks = [context.spawn(stubborn), context.spawn(polite)]
    context.poll()
    context.close()
    assert attempts > 10
    assert sorted(log) == ["cleanup", "of the task"]
    assert all(task.cancelled for task in tasks)
    assert context.task_count == 0


def test_one_that_does_not_even_let_itself_be_thrown_away_is_an_error_of_close(context):
    enough = False

    async def immortal():
        while not enough:
            try:
                await forever()
            except BaseException:  # noqa: BLE001 - that is the point
                continue

    task = context.spawn(immortal)
    context.poll()
    try:
        with pytest.raises(RuntimeError, match="ignored GeneratorExit"):
            context.close()
    finally:
        enough = True  # or the interpreter complains when it collects the coroutine
    assert context.closed
    assert task.cancelled


@pytest.mark.parametrize("posted", [1, 10_000])
def test_close_drops_posted_calls_and_cleanup_runs_however_many_there_are(context, posted):
    log = []

    async def main():
        try:
            await forever()
        except OperationCancelled:
            log.append("cleanup")
            raise

    task = context.spawn(main)
    context.poll()
    for _ in range(posted):
        context.post(pytest.fail, "a posted call ran")
    context.close()
    assert log == ["cleanup"]
    assert task.cancelled


def test_close_closes_the_sockets_and_the_poller(context):
    left, right = StreamSocket.pair(context)
    descriptors = [left.fileno(), right.fileno(), context.backend.waker.fd]
    task = context.spawn(left.recv, 10)
    context.poll()
    assert context.descriptor_count == 2
    context.close()
    assert task.cancelled
    assert left.closed
    assert right.closed
    assert context.descriptor_count == 0
    for fd in descriptors:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)


def test_leaving_the_block_with_work_parked_ends_cleanly(spec):
    async def sleeper():
        with reactor.timeout(1000):
            await reactor.sleep(100)

    with live(spec) as context:
        left, _ = StreamSocket.pair(context)
        tasks = [context.spawn(what) for what in (forever, sleeper, lambda: left.recv(1))]
        context.poll()
        assert context.timer_count == 3
    assert all(task.cancelled for task in tasks)
    assert (context.task_count, context.timer_count, context.descriptor_count) == (0, 0, 0)


def test_an_error_of_the_block_goes_through_its_end(spec):
    async def main():
        await forever()

    with pytest.raises(Oops), live(spec) as context:
        task = context.spawn(main)
        context.poll()
        oops()
    assert task.cancelled


async def fails_on_close(error):
    try:
        await forever()
    except OperationCancelled:
        raise error from None


def test_one_failure_while_closing_comes_out_as_it_is(context):
    error = Oops("in the cleanup")
    left, right = StreamSocket.pair(context)
    context.spawn(fails_on_close, error)
    context.spawn(forever)
    context.poll()
    with pytest.raises(Oops) as caught:
        context.close()
    assert caught.value is error
    assert context.closed
    assert left.closed
    assert right.closed
    context.close()


def test_several_failures_while_closing_come_out_as_a_group(context):
    errors = [Oops("1"), ValueError("2"), Oops("3")]
    for error in errors:
        context.spawn(fails_on_close, error)
    context.poll()
    with pytest.raises(ExceptionGroup, match="while the context was closed") as caught:
        context.close()
    assert list(caught.value.exceptions) == errors
    assert context.closed


def test_a_group_with_an_exception_that_is_no_exception_is_a_base_group(context):
    for error in (KeyboardInterrupt(), Oops()):
        context.spawn(fails_on_close, error)
    context.poll()
    with pytest.raises(BaseExceptionGroup) as caught:
        context.close()
    assert not isinstance(caught.value, ExceptionGroup)


def test_a_failure_while_closing_that_somebody_awaits_is_heard_there(context):
    heard: list[object] = []

    async def join():
        with reactor.CancelScope(shield=True):
            try:
                await task
            except (Oops, OperationCancelled) as exc:
                heard.append(type(exc))

    async def main():
        async with reactor.TaskGroup() as group:
            group.spawn(fails_on_close, Oops())

    task = context.spawn(main)
    context.spawn(join)
    context.poll()
    with pytest.raises(ExceptionGroup, match="tasks of a group failed"):
        context.close()
    assert heard == [OperationCancelled], "who waited was cancelled as well"


def test_no_handler_runs_after_close(context):
    ran: list[object] = []
    timer = Timer(context=context)
    timer.expires_after(0)
    context.post(ran.append, 1)
    context.close()
    timer.cancel()
    assert ran == []
    assert context.timer_count == 0


# -- Looking at it


def test_it_counts_what_it_has(virtually, clock):
    left, right = StreamSocket.pair(virtually)
    virtually.spawn(reactor.sleep, 5)
    virtually.spawn(forever)
    assert (virtually.task_count, virtually.timer_count, virtually.descriptor_count) == (2, 0, 2)
    virtually.poll()
    assert (virtually.task_count, virtually.timer_count) == (2, 2)
    virtually.run_for(6)
    left.close()
    assert (virtually.task_count, virtually.timer_count, virtually.descriptor_count) == (1, 1, 1)
    right.close()


def test_its_clock_is_the_systems(virtually, clock):
    assert virtually.time() == 1000.0
    clock.advance(1.5)
    assert virtually.time() == 1001.5


# -- The backend


def test_the_backend_is_chosen_by_its_name(spec):
    with live(spec) as context:
        assert context.backend.name == spec.partition("+")[0]
        assert context.backend.spec.startswith(spec)
        assert repr(context) == f"<IoContext {context.backend.spec}>"


@pytest.mark.parametrize("name", backends.available())
def test_without_a_name_the_environment_chooses_the_backend(monkeypatch, name):
    monkeypatch.setenv("REACTOR_BACKEND", f"{name}+pipe")
    with live() as context:
        assert context.backend.spec.startswith(f"{name}+pipe")


@pytest.mark.parametrize("value", [None, ""])
def test_without_both_it_is_the_best_of_the_platform(monkeypatch, value):
    if value is None:
        monkeypatch.delenv("REACTOR_BACKEND", raising=False)
    else:
        monkeypatch.setenv("REACTOR_BACKEND", value)
    with live() as context:
        assert context.backend.name == backends.available()[0]
        if sys.platform == "linux":
            assert context.backend.name == "epoll"


def test_a_name_goes_before_the_environment(monkeypatch):
    monkeypatch.setenv("REACTOR_BACKEND", "nonsense")
    with live("select") as context:
        assert context.backend.name == "select"
    with pytest.raises(BackendError, match="nonsense"):
        IoContext()


@pytest.mark.parametrize("name", ["nonsense", "epol", "select+nonsense"])
def test_an_unknown_backend_is_an_error_that_lists_the_known(name):
    with pytest.raises(BackendError, match="allowed:"):
        IoContext(name)


# -- reactor.run


def test_run_returns_the_result(spec):
    async def main(a, b):
        await reactor.sleep(0)
        assert current_context().backend.spec.startswith(spec)
        return a + b

    assert reactor.run(main, 40, 2, backend=spec) == 42


def test_run_raises_what_the_function_raised(spec):
    error = Oops()

    async def main():
        await reactor.sleep(0)
        raise error

    with pytest.raises(Oops) as caught:
        reactor.run(main, backend=spec)
    assert caught.value is error


def test_run_closes_its_context(spec):
    async def main():
        return current_context()

    assert reactor.run(main, backend=spec).closed


def test_run_uses_the_system_that_it_is_given(spec, clock):
    async def main():
        await reactor.sleep(1e6)
        return current_context().system

    system = virtual_system(clock)
    assert reactor.run(main, backend=spec, system=system) is system
    assert clock.monotonic() >= 1e6


def test_run_cancels_what_is_left_and_lets_its_cleanup_run(spec):
    log = []

    async def leftover(name):
        try:
            await reactor.sleep(SAFETY)
        except OperationCancelled as exc:
            log.append((name, exc.cause))
            raise

    async def main():
        for name in "ab":
            current_context().spawn(leftover, name)
        await turns()
        return "the result"

    assert reactor.run(main, backend=spec) == "the result"
    assert sorted(log) == [("a", Cause.CLOSE), ("b", Cause.CLOSE)]


def test_run_does_not_wait_for_anything_else_than_its_function(spec, clock):
    async def main():
        current_context().spawn(reactor.sleep, 1e6)
        current_context().work_guard()
        await turns()

    reactor.run(main, backend=spec, system=virtual_system(clock))
    assert clock.monotonic() == 1000.0


def test_run_stopped_early_is_an_error(spec):
    async def main():
        current_context().stop()
        await reactor.sleep(SAFETY)

    with pytest.raises(ReactorError, match="stopped before the main task had ended"):
        reactor.run(main, backend=spec)


def test_run_ends_with_the_failure_of_a_task_that_nobody_hears(spec):
    log = []

    async def fail():
        oops("unheard")

    async def main():
        current_context().spawn(fail)
        try:
            await reactor.sleep(SAFETY)
        finally:
            log.append("cleanup of main")

    with pytest.raises(Oops, match="unheard"):
        reactor.run(main, backend=spec)
    assert log == ["cleanup of main"]


def test_run_of_a_cancelled_function_raises_the_cancellation(spec):
    async def main():
        reactor.current_task().cancel()
        await reactor.sleep(SAFETY)

    with pytest.raises(OperationCancelled):
        reactor.run(main, backend=spec)


def test_run_takes_async_functions_only(spec):
    with pytest.raises(TypeError, match="expected an async function"):
        reactor.run(lambda: 42, backend=spec)  # type: ignore[arg-type, return-value]


def test_runs_in_runs_do_not_disturb_each_other(spec):
    async def inner():
        await reactor.sleep(0)
        return current_context()

    async def main():
        before = current_context()
        assert reactor.run(inner, backend=spec) is not before
        assert current_context() is before
        await reactor.sleep(0)

    reactor.run(main, backend=spec)


def test_a_system_without_the_best_backend_gets_the_next(monkeypatch):
    class WithoutEpoll(System):
        def has(self, name):
            return name not in {"epoll", "kqueue"} and super().has(name)

    monkeypatch.delenv("REACTOR_BACKEND", raising=False)
    with live(system=WithoutEpoll()) as context:
        assert context.backend.name == backends.available(WithoutEpoll())[0]
        assert context.backend.name not in {"epoll", "kqueue"}


def plain_generator():
    yield


def test_a_plain_generator_function_is_no_async_function(context):
    """It looks like a coroutine, and awaits nothing: a ``yield`` that was meant to be an ``await``."""
    with pytest.raises(TypeError, match="expected an async function"):
        context.spawn(plain_generator)
    assert context.task_count == 0


def test_a_generator_that_is_a_coroutine_can_be_spawned(context):
    task = context.spawn(reactor.sleep, 0)
    context.run()
    assert task.result() is None


def test_a_task_that_is_spawned_while_the_context_is_closed_is_refused(spec):
    """The spawn had seen an open context; a task that comes after the last step is stepped by nobody."""
    context = IoContext(spec)
    made = []

    def close_first():
        context.close()
        made.append(turns())
        return made[0]

    with pytest.raises(ContextClosedError, match="this IoContext is closed"):
        context.spawn(close_first)
    assert context.task_count == 0
    assert inspect.getcoroutinestate(made[0]) == inspect.CORO_CLOSED
