"""Blocking calls on threads."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar

import pytest

import reactor
from reactor import (
    CancelScope,
    Cause,
    IoContext,
    OperationCancelled,
    ReactorError,
    System,
    current_context,
    current_task,
    to_thread,
)
from tests.reactor.scheduling import SAFETY, Signal, Worker, live, run, started, turns

variable = ContextVar("variable", default="unset")


class OneThread(System):
    """A pool of one thread, and a test sees the context shut it down."""

    def __init__(self):
        self.shutting_down = Signal()
        self.shutdown_waits: list[bool] = []

    def executor(self):
        system = self

        class Pool(ThreadPoolExecutor):
            def shutdown(self, wait=True, *, cancel_futures=False):
                system.shutdown_waits.append(wait)
                system.shutting_down.set()
                super().shutdown(wait, cancel_futures=cancel_futures)

        return Pool(max_workers=1)


class Blocking:
    """A function that begins, and ends when it is told to."""

    def __init__(self):
        self.begun = Signal()
        self.end = Signal()
        self.ended = 0

    def __call__(self):
        self.begun.set()
        self.end.wait()
        self.ended += 1
        return "ended"


def test_the_result_comes_back(spec):
    async def main():
        assert await to_thread(divmod, 17, 5) == (3, 2)
        assert await to_thread(dict[str, int]().get, "no such key") is None

    run(main, spec)


def test_the_function_is_called_once(spec):
    calls: list[int] = []

    async def main():
        for number in range(3):
            await to_thread(calls.append, number)

    run(main, spec)
    assert calls == [0, 1, 2]


@pytest.mark.parametrize("error", [LookupError("of the function"), SystemExit(3)])
def test_an_exception_comes_back(spec, error):
    def fail():
        raise error

    async def main():
        with pytest.raises(type(error)) as caught:
            await to_thread(fail)
        assert caught.value is error
        assert await to_thread(int, "7") == 7

    run(main, spec)


def test_what_cannot_be_called_is_a_type_error(spec):
    async def main():
        with pytest.raises(TypeError):
            await to_thread(None)  # type: ignore[arg-type]

    run(main, spec)


def test_the_loop_goes_on_meanwhile_and_is_woken_at_the_end(spec):
    async def main():
        blocking = Blocking()
        task = await started(to_thread, blocking)
        blocking.begun.wait()
        await turns(5)
        assert not task.done
        blocking.end.set()
        assert await task == "ended"

    run(main, spec)


def test_it_is_another_thread_and_no_task_of_the_context(spec):
    def look():
        with pytest.raises(ReactorError):
            current_context()
        return threading.get_ident()

    async def main():
        assert await to_thread(look) != threading.get_ident()

    run(main, spec)


def test_the_function_sees_the_variables_of_the_task_and_changes_only_its_own(spec):
    def look():
        seen = variable.get()
        variable.set("changed on the thread")
        return seen

    async def main():
        variable.set("set by the task")
        assert await to_thread(look) == "set by the task"
        assert variable.get() == "set by the task"

    run(main, spec)


def test_several_run_at_once(spec):
    """Each waits for all the others."""

    async def main():
        barrier = threading.Barrier(3)
        tasks = [await started(to_thread, barrier.wait, SAFETY) for _ in range(3)]
        assert sorted([await task for task in tasks]) == [0, 1, 2]

    run(main, spec)


def test_more_calls_than_threads_all_get_their_turn(spec):
    async def main():
        async with reactor.TaskGroup() as group:
            tasks = [group.spawn(to_thread, pow, number, 2) for number in range(50)]
        assert [task.result() for task in tasks] == [number**2 for number in range(50)]

    run(main, spec)


# -- Cancelling


def test_a_cancel_leaves_the_function_running_and_close_waits_for_it(spec):
    system = OneThread()
    blocking = Blocking()
    context = IoContext(spec, system=system)
    task = context.spawn(to_thread, blocking)
    context.poll()
    blocking.begun.wait()
    task.cancel()
    context.run()
    assert task.cancelled
    assert blocking.ended == 0
    closer = Worker(context.close)
    system.shutting_down.wait()
    assert system.shutdown_waits == [True]
    assert blocking.ended == 0
    blocking.end.set()
    closer.end()
    assert blocking.ended == 1


def test_closing_ends_the_wait_and_then_waits_for_the_function(spec):
    system = OneThread()
    blocking = Blocking()
    causes = []

    async def main():
        try:
            await to_thread(blocking)
        except OperationCancelled as exc:
            causes.append(exc.cause)
            raise

    context = IoContext(spec, system=system)
    context.spawn(main)
    context.poll()
    blocking.begun.wait()
    closer = Worker(context.close)
    system.shutting_down.wait()
    assert causes == [Cause.CLOSE]
    blocking.end.set()
    closer.end()
    assert blocking.ended == 1


def test_what_a_cancelled_function_raises_is_unheard(spec):
    blocking = Blocking()

    def fail():
        blocking()
        raise LookupError("too late")

    with live(spec) as context:
        task = context.spawn(to_thread, fail)
        context.poll()
        blocking.begun.wait()
        task.cancel()
        context.run()
        blocking.end.set()
    assert blocking.ended == 1


def test_closing_does_not_start_what_still_waits_for_a_thread(spec):
    system = OneThread()
    blocking = Blocking()
    context = IoContext(spec, system=system)
    context.spawn(to_thread, blocking)
    started_too: list[int] = []
    context.spawn(to_thread, started_too.append, 1)
    context.poll()
    blocking.begun.wait()
    closer = Worker(context.close)
    system.shutting_down.wait()
    blocking.end.set()
    closer.end()
    assert blocking.ended == 1
    assert started_too == []


def test_a_call_in_a_cancelled_scope_starts_no_thread(spec):
    class NoThreads(System):
        def executor(self):
            raise AssertionError("a pool was made")

    async def main():
        called: list[int] = []
        with CancelScope() as scope:
            scope.cancel()
            await to_thread(called.append, 1)
        assert scope.cancelled_caught
        current_task().cancel()
        with pytest.raises(OperationCancelled):
            await to_thread(called.append, 1)
        assert called == []

    with live(spec, NoThreads()) as context:
        context.spawn(main)
        context.run()


def test_a_timeout_ends_the_wait_alone(spec):
    blocking = Blocking()

    async def main():
        async def call():
            with reactor.timeout(1000) as scope:
                scopes.append(scope)
                await to_thread(blocking)

        scopes: list[CancelScope] = []
        task = await started(call)
        blocking.begun.wait()
        scopes[0].reschedule(0.0)
        with pytest.raises(TimeoutError):
            await task
        assert blocking.ended == 0
        blocking.end.set()

    run(main, spec)
    assert blocking.ended == 1


def test_a_result_that_came_first_is_kept(spec):
    """The call is over and the loop has been told; a cancel then takes nothing away."""
    with live(spec) as context:
        scopes: list[CancelScope] = []

        async def main():
            with CancelScope() as scope:
                scopes.append(scope)
                return await to_thread(lambda: "kept")

        task = context.spawn(main)
        while not context.counters().claims_ready:
            context.run_one(0)
            assert not task.done or context.counters().claims_ready
        scopes[0].cancel()
        context.run()
        assert task.result() == "kept"


# -- Around it


def test_no_pool_is_made_before_it_is_needed(spec):
    with live(spec) as context:
        context.spawn(turns)
        context.run()
        assert context._executor is None


def test_a_pool_that_cannot_be_made_is_the_callers_error(spec):
    class Poor(System):
        def executor(self):
            raise RuntimeError("can't start new thread")

    async def main():
        with pytest.raises(RuntimeError, match="can't start new thread"):
            await to_thread(print)
        await reactor.sleep(0)

    with live(spec, Poor()) as context:
        context.spawn(main)
        context.run()


def test_it_is_for_tasks_only(spec):
    coroutine = to_thread(print)
    with pytest.raises(ReactorError, match="inside a task"):
        coroutine.send(None)
