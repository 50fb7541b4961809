"""Tasks: how they begin, are cancelled, end, and who hears of it."""

from __future__ import annotations

import gc
import types
import weakref
from typing import TYPE_CHECKING, Any

import pytest

import reactor
from reactor import (
    Cause,
    ContextClosedError,
    Event,
    IoContext,
    OperationCancelled,
    ReactorError,
    Task,
    current_context,
    current_task,
)
from tests.reactor.scheduling import SPECS, forever, live, run, started, turns

if TYPE_CHECKING:
    from collections.abc import Awaitable, Generator


@pytest.fixture(params=SPECS)
def context(request):
    with live(request.param) as made:
        yield made


async def value(given):
    await reactor.sleep(0)
    return given


async def at_once(given):
    return given


async def failing(message="it failed"):
    await reactor.sleep(0)
    raise LookupError(message)


# -- Its end


def test_awaiting_a_task_gives_its_result(context):
    async def main():
        return await current_context().spawn(value, 42)

    task = context.spawn(main)
    context.run()
    assert task.done
    assert not task.cancelled
    assert task.result() == 42
    assert task.exception() is None


def test_a_task_may_be_awaited_by_many_and_again_when_it_is_done():
    async def main():
        event = Event()

        async def wait():
            await event.wait()
            return object()

        task = await started(wait)

        async def join():
            return await task

        joiners = [await started(join) for _ in range(3)]
        event.set()
        results = [await joiner for joiner in joiners]
        assert results == [task.result()] * 3
        assert await task is await task is task.result()

    run(main)


def test_awaiting_a_failed_task_raises_what_it_raised():
    async def main():
        task = current_context().spawn(failing)
        with pytest.raises(LookupError, match="it failed") as caught:
            await task
        assert task.exception() is caught.value
        with pytest.raises(LookupError) as again:
            task.result()
        assert again.value is caught.value
        assert not task.cancelled

    run(main)


def test_a_task_has_no_outcome_before_it_is_done(context):
    task = context.spawn(forever, name="sleeper")
    for ask in (task.result, task.exception):
        with pytest.raises(ReactorError, match="task sleeper is not done"):
            ask()
    context.poll()
    with pytest.raises(ReactorError, match="not done"):
        task.result()


def test_a_failure_that_nobody_hears_comes_out_of_run_and_the_others_go_on(context):
    """Law 10."""
    others = [context.spawn(value, number) for number in range(3)]
    failed = context.spawn(failing)
    with pytest.raises(LookupError, match="it failed"):
        context.run()
    assert failed.done
    context.run()
    assert [task.result() for task in others] == [0, 1, 2]


def test_a_failure_that_somebody_awaits_does_not_come_out_of_run(context):
    heard = []

    async def listen(task):
        try:
            await task
        except LookupError as exc:
            heard.append(str(exc))

    context.spawn(listen, context.spawn(failing))
    context.run()
    assert heard == ["it failed"]


def test_a_listener_that_has_gone_does_not_hear(context):
    """Its wait was cancelled before the failure: that must surface all the same."""
    event = Event(context=context)

    async def fail_later():
        await event.wait()
        raise LookupError("late")

    async def listen():
        await task

    task = context.spawn(fail_later)
    listener = context.spawn(listen)
    context.poll()
    listener.cancel()
    context.poll()
    assert listener.done
    event.set()
    with pytest.raises(LookupError, match="late"):
        context.run()


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_exception_that_is_no_exception_comes_out_too(context, error):
    async def fail():
        await reactor.sleep(0)
        raise error

    task = context.spawn(fail)
    with pytest.raises(error):
        context.run()
    assert isinstance(task.exception(), error)
    assert context.run() == 0


def test_a_cancelled_task_is_no_failure(context):
    context.spawn(forever).cancel()
    context.run()


def test_a_stop_iteration_cannot_pass_for_a_result(context):
    async def stop():
        raise StopIteration(7)

    task = context.spawn(stop)
    with pytest.raises(RuntimeError, match="StopIteration"):
        context.run()
    with pytest.raises(RuntimeError, match="StopIteration"):
        task.result()


def test_awaiting_a_done_task_gives_others_a_turn_to_cancel():
    """Even with nothing to wait for, a task in a cancelled scope learns it at the await."""

    async def main():
        task = current_context().spawn(value, 1)
        await task
        with reactor.CancelScope() as scope:
            scope.cancel()
            await task
            pytest.fail("an await in a cancelled scope went on")
        assert scope.cancelled_caught

    run(main)


# -- Cancel


def test_a_cancelled_task_runs_its_cleanup_and_is_cancelled(context):
    steps: list[object] = []

    async def main():
        try:
            await forever()
        except OperationCancelled as exc:
            steps.append(exc.cause)
            raise
        finally:
            steps.append("cleanup")

    task = context.spawn(main)
    context.poll()
    assert task.cancel() is True
    assert not task.done
    context.run()
    assert task.done
    assert task.cancelled
    assert steps == [Cause.CANCEL, "cleanup"]
    with pytest.raises(OperationCancelled):
        task.result()
    assert isinstance(task.exception(), OperationCancelled)
    assert "cancelled" in repr(task)


def test_a_task_cancelled_before_its_first_step_still_gets_one(context):
    """It may have been given something to clean up; its first wait then ends at once."""
    steps = []

    async def main():
        steps.append("begin")
        try:
            await forever()
        finally:
            steps.append("cleanup")

    task = context.spawn(main)
    assert task.cancel() is True
    assert context.run() == 1
    assert steps == ["begin", "cleanup"]
    assert task.cancelled


def test_cancel_is_idempotent_and_says_no_when_the_task_is_done(context):
    waits = []

    async def main():
        for _ in range(2):
            try:
                await forever()
            except OperationCancelled as exc:
                waits.append(exc.cause)

    task = context.spawn(main)
    context.poll()
    assert [task.cancel(), task.cancel()] == [True, True]
    assert context.run() == 1
    assert waits == [Cause.CANCEL] * 2
    assert task.done
    assert not task.cancelled, "it returned"
    assert task.cancel() is False


def test_every_operation_of_a_cancelled_task_ends_at_once():
    """Law 4: catching it once does not lose it."""

    async def main():
        refused = []

        async def stubborn():
            for _ in range(5):
                try:
                    await forever()
                except OperationCancelled as exc:
                    refused.append(exc.cause)
            return "stopped at last"

        task = await started(stubborn)
        task.cancel()
        assert await task == "stopped at last"
        assert refused == [Cause.CANCEL] * 5

    run(main)


def test_a_task_that_goes_on_waiting_though_cancelled_lets_others_run():
    """Law 6: catching the cancellation in a loop is rude, but no reason to starve the others."""

    async def main():
        rounds = 0
        enough = False

        async def rude():
            nonlocal rounds
            while not enough:
                try:
                    await forever()
                except OperationCancelled:
                    rounds += 1
                    assert rounds < 10_000, "it had the loop to itself"

        task = await started(rude)
        task.cancel()
        await turns(5)
        enough = True
        await task
        assert rounds >= 2

    run(main)


def test_a_task_may_cancel_itself():
    async def main():
        async def suicidal():
            assert current_task().cancel() is True
            await reactor.sleep(0)
            pytest.fail("it went on")

        task = await started(suicidal)
        assert task.cancelled

    run(main)


def test_cancelling_who_waits_does_not_cancel_who_is_waited_for():
    async def main():
        task = await started(forever)

        async def join():
            await task

        joiner = await started(join)
        joiner.cancel()
        with pytest.raises(OperationCancelled):
            await joiner
        assert not task.done
        assert not task.cancelled
        task.cancel()

    run(main)


def test_awaiting_a_cancelled_task_tells_so_but_is_not_absorbed_by_a_scope_of_the_waiter():
    """The cancellation was the other's: a scope that was not cancelled must not eat it."""

    async def main():
        task = await started(forever)
        task.cancel()
        with pytest.raises(OperationCancelled) as caught, reactor.CancelScope() as scope:
            await task
        assert caught.value.cause is Cause.CANCEL
        assert not caught.value.scoped
        assert isinstance(caught.value.__cause__, OperationCancelled)
        assert not scope.cancelled_caught

    run(main)


def test_awaiting_a_task_that_a_deadline_cancelled_tells_the_cause():
    async def late():
        with reactor.CancelScope(deadline=0.0):
            try:
                await forever()
            except OperationCancelled as exc:
                raise OperationCancelled(exc.cause) from exc

    async def main():
        with pytest.raises(OperationCancelled) as caught:
            await current_context().spawn(late)
        assert caught.value.cause is Cause.DEADLINE

    run(main)


# -- What may be awaited, and what may be spawned


class Foreign:
    """An awaitable of some other library."""

    def __await__(self) -> Generator[Any, Any, str]:
        yield "a future of theirs"
        return "never"


def test_awaiting_something_foreign_is_a_clear_error_at_the_await():
    async def main():
        with pytest.raises(
            ReactorError, match=r"task mine awaited 'a future of theirs', which is not an operation"
        ):
            await Foreign()
        await reactor.sleep(0)
        return "goes on"

    async def outer():
        return await current_context().spawn(main, name="mine")

    assert run(outer) == "goes on"


def test_an_unheard_foreign_await_fails_the_task(context):
    async def main():
        await Foreign()

    context.spawn(main)
    with pytest.raises(ReactorError, match="not an operation of this library"):
        context.run()


@pytest.mark.parametrize(
    ("function", "args"),
    [
        (None, ()),
        (42, ()),
        ("name", ()),
        (lambda: 42, ()),
        (print, ()),
        (value, ()),  # an argument is missing
        (lambda: None, ("too many",)),
    ],
    ids=["None", "int", "str", "lambda", "print", "few", "many"],
)
def test_spawning_what_is_no_async_function_is_a_type_error(context, capsys, function, args):
    with pytest.raises(TypeError):
        context.spawn(function, *args)
    assert context.task_count == 0
    assert context.run() == 0


def test_the_error_says_what_came_back(context):
    with pytest.raises(TypeError, match=r"expected an async function, but .* returned 42"):
        context.spawn(lambda: 42)


def test_a_coroutine_object_is_not_what_spawn_takes(context):
    coroutine = value(1)
    with pytest.raises(TypeError, match="expected an async function and its arguments"):
        context.spawn(coroutine)
    coroutine.close()


class Doubled:
    """Something awaitable that is not a coroutine."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __await__(self) -> Generator[Any, Any, int]:
        return self._double().__await__()

    async def _double(self) -> int:
        await reactor.sleep(0)
        return 2 * self._number


@types.coroutine
def generated() -> Generator[Any, Any, str]:
    yield from reactor.sleep(0)
    return "generated"


def test_whatever_is_awaitable_can_be_spawned(context):
    def returning() -> Awaitable[int]:
        return value(3)

    tasks: list[Task[Any]] = [
        context.spawn(value, 1),
        context.spawn(Doubled, 21),
        context.spawn(generated),
        context.spawn(returning),
        context.spawn(lambda: value(4)),
    ]
    context.run()
    assert [task.result() for task in tasks] == [1, 42, "generated", 3, 4]


def test_a_closed_context_spawns_nothing():
    context = IoContext()
    context.close()
    called = []

    async def main():
        pytest.fail("it ran")

    def make():
        called.append(1)
        return main()

    with pytest.raises(ContextClosedError, match="closed"):
        context.spawn(make)
    assert not called, "no coroutine is made that would never be awaited"


# -- Who it is


def test_the_current_task_is_the_one_that_runs():
    async def main():
        seen = []

        async def look():
            seen.append(current_task())
            await reactor.sleep(0)
            seen.append(current_task())

        task = current_context().spawn(look)
        mine = current_task()
        await task
        assert seen == [task, task]
        assert current_task() is mine
        assert mine is not task

    run(main)


def test_there_is_no_current_task_outside(context):
    with pytest.raises(ReactorError, match="inside a task"):
        current_task()
    context.post(current_task)
    with pytest.raises(ReactorError, match="inside a task"):
        context.run()


def test_a_call_that_a_task_posts_is_not_part_of_the_task(context):
    async def main():
        current_context().post(current_task)

    context.spawn(main)
    with pytest.raises(ReactorError, match="inside a task"):
        context.run()


def test_a_task_is_named_after_its_function_or_as_one_likes(context):
    assert context.spawn(value, 1).name == "value"
    assert context.spawn(value, 1, name="mine").name == "mine"
    assert context.spawn(Doubled, 1).name == "Doubled"
    task = context.spawn(lambda: value(1))
    assert task.name.endswith("<lambda>")
    assert repr(context.spawn(value, 1, name="x")) == "<Task x running>"
    context.run()
    assert repr(task).endswith(" done>")


def test_a_task_that_is_done_goes_without_the_collector(context):
    """Its context variables know it, and it knows them: a circle, which its end breaks."""
    gone = [weakref.ref(context.spawn(function, 1)) for function in (value, at_once)]
    gc.collect()
    gc.disable()
    try:
        context.run()
        assert [ref() for ref in gone] == [None, None]
    finally:
        gc.enable()


def test_a_task_that_is_done_is_forgotten(context):
    task = context.spawn(value, 1)
    context.run()
    assert context.task_count == 0
    gone = weakref.ref(task)
    del task
    gc.collect()
    assert gone() is None
