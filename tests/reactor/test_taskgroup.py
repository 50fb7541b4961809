"""Task groups: nobody outlives the block, and nothing that fails in it is swallowed (law 10)."""

from __future__ import annotations

import pytest

import reactor
from reactor import (
    CancelScope,
    Cause,
    ContextClosedError,
    Event,
    IoContext,
    OperationCancelled,
    ReactorError,
    TaskGroup,
    current_context,
    current_task,
)
from tests.reactor.scheduling import (
    WatchedSystem,
    Worker,
    forever,
    live,
    run,
    started,
    turns,
    watched,
)


async def failing(error):
    await reactor.sleep(0)
    raise error


async def sore_loser(error):
    """Fails because it is cancelled."""
    try:
        await forever()
    except OperationCancelled:
        raise error from None


class Log:
    """Tasks that wait for ever and say how they ended."""

    def __init__(self):
        self.ended: list[str] = []
        self.causes: list[Cause] = []

    async def wait(self, name, cleanup=0.0):
        try:
            await forever()
        except OperationCancelled as exc:
            self.causes.append(exc.cause)
            with CancelScope(shield=True):
                await reactor.sleep(cleanup)
            raise
        finally:
            self.ended.append(name)


@pytest.fixture
def log():
    return Log()


# -- Waiting


def test_the_block_ends_when_its_last_task_has(spec, clock):
    async def main():
        ended = []

        async def sleeper(seconds):
            await reactor.sleep(seconds)
            ended.append(seconds)
            return seconds

        async with TaskGroup() as group:
            tasks = [group.spawn(sleeper, seconds) for seconds in (3, 1, 2)]
            ended.append("block")
        assert ended == ["block", 1, 2, 3]
        assert clock.monotonic() == pytest.approx(1003.0)
        assert [task.result() for task in tasks] == [3, 1, 2]

    run(main, spec, clock)


def test_an_empty_group_is_no_trouble(spec):
    async def main():
        async with TaskGroup():
            pass
        async with TaskGroup() as group:
            await group.spawn(reactor.sleep, 0)

    run(main, spec)


def test_a_child_may_spawn_siblings_while_the_block_waits(spec):
    async def main():
        seen = []

        async def child(depth):
            seen.append(depth)
            await reactor.sleep(0)
            if depth < 5:
                group.spawn(child, depth + 1)

        async with TaskGroup() as group:
            group.spawn(child, 0)
        assert seen == list(range(6))

    run(main, spec)


def test_groups_nest(spec, clock):
    async def main():
        async with TaskGroup() as outer:
            outer.spawn(reactor.sleep, 5)
            async with TaskGroup() as inner:
                inner.spawn(reactor.sleep, 1)
            assert clock.monotonic() == pytest.approx(1001.0)
        assert clock.monotonic() == pytest.approx(1005.0)

    run(main, spec, clock)


def test_a_spawned_task_has_its_name(spec):
    async def main():
        async with TaskGroup() as group:
            assert group.spawn(forever).name == "forever"
            assert group.spawn(forever, name="mine").name == "mine"
            group.cancel()

    run(main, spec)


# -- Failing


def test_a_failure_cancels_the_others_and_comes_out_as_a_group(spec, log):
    async def main():
        error = LookupError("one")
        with pytest.raises(ExceptionGroup, match="tasks of a group failed") as caught:
            async with TaskGroup() as group:
                group.spawn(log.wait, "a")
                group.spawn(failing, error)
                group.spawn(log.wait, "b")
                await forever()
        assert caught.value.exceptions == (error,)
        assert sorted(log.ended) == ["a", "b"]
        assert log.causes == [Cause.CANCEL] * 2

    run(main, spec)


def test_a_failure_while_the_block_waits_does_the_same(spec, log):
    async def main():
        error = LookupError("one")
        with pytest.raises(ExceptionGroup) as caught:
            async with TaskGroup() as group:
                group.spawn(log.wait, "a")
                group.spawn(failing, error)
        assert caught.value.exceptions == (error,)
        assert log.ended == ["a"]

    run(main, spec)


def test_a_failing_block_cancels_its_tasks_and_fails_with_them(spec, log):
    async def main():
        error = LookupError("the block")
        with pytest.raises(ExceptionGroup) as caught:
            async with TaskGroup() as group:
                group.spawn(log.wait, "a")
                await turns()
                raise error
        assert caught.value.exceptions == (error,)
        assert log.ended == ["a"]

    run(main, spec)


def test_every_failure_is_in_the_group(spec):
    """Also those of tasks, and of the block, that fail because they are cancelled."""

    async def main():
        errors = [ValueError("first"), KeyError("second"), LookupError("third"), OSError("block")]
        with pytest.raises(ExceptionGroup) as caught:
            async with TaskGroup() as group:
                group.spawn(sore_loser, errors[1])
                group.spawn(sore_loser, errors[2])
                group.spawn(failing, errors[0])
                await sore_loser(errors[3])
        assert caught.value.exceptions[0] is errors[0]
        assert set(caught.value.exceptions) == set(errors)

    run(main, spec)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_exception_that_is_no_exception_comes_out_as_it_is(spec, log, kind):
    async def main():
        with pytest.raises(kind):
            async with TaskGroup() as group:
                group.spawn(log.wait, "a")
                group.spawn(failing, kind())
        with pytest.raises(BaseExceptionGroup) as caught:
            async with TaskGroup() as group:
                group.spawn(sore_loser, ValueError())
                group.spawn(failing, kind())
        assert [type(error) for error in caught.value.exceptions] == [kind, ValueError]
        assert log.ended == ["a"]

    run(main, spec)


def test_a_failure_of_a_child_does_not_come_out_of_run_as_well(spec):
    with live(spec) as context:

        async def main():
            with pytest.raises(ExceptionGroup):
                async with TaskGroup() as group:
                    group.spawn(failing, LookupError())

        context.spawn(main)
        context.run()


def test_a_failed_group_fails_the_group_around_it(spec, log):
    async def inner():
        async with TaskGroup() as group:
            group.spawn(failing, LookupError("deep"))

    async def main():
        with pytest.raises(ExceptionGroup) as caught:
            async with TaskGroup() as group:
                group.spawn(log.wait, "a")
                group.spawn(inner)
        (error,) = caught.value.exceptions
        assert isinstance(error, ExceptionGroup)
        assert isinstance(error.exceptions[0], LookupError)
        assert log.ended == ["a"]

    run(main, spec)


def test_a_failure_is_not_chained_to_the_cancellation_that_it_caused(spec):
    async def main():
        with pytest.raises(ExceptionGroup) as caught:
            async with TaskGroup() as group:
                group.spawn(failing, LookupError())
                await forever()
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__

    run(main, spec)


# -- Cancelling


def test_a_cancelled_child_is_no_failure_and_leaves_the_others_alone(spec, log):
    async def main():
        event = Event()
        async with TaskGroup() as group:
            victim = group.spawn(log.wait, "victim")
            other = group.spawn(event.wait)
            await turns()
            victim.cancel()
            await turns()
            assert victim.cancelled
            assert not other.done
            event.set()
        assert not other.cancelled

    run(main, spec)


@pytest.mark.parametrize("where", ["block", "child", "call", "waiting"])
def test_cancel_ends_the_group_without_an_error(spec, log, where):
    async def main():
        async def canceller():
            group.cancel()
            await forever()

        async with TaskGroup() as group:
            tasks = [group.spawn(log.wait, name) for name in "ab"]
            await turns()
            if where == "child":
                tasks.append(group.spawn(canceller))
            elif where in {"call", "waiting"}:
                current_context().post(group.cancel)
            else:
                group.cancel()
            if where != "waiting":
                await forever()
                pytest.fail("the block went on")
        assert sorted(log.ended) == ["a", "b"]
        assert all(task.cancelled for task in tasks)
        await reactor.sleep(0)

    run(main, spec)


def test_cancel_from_another_thread(spec, log):
    with live(spec) as context:
        groups: list[TaskGroup] = []

        async def main():
            async with TaskGroup() as group:
                groups.append(group)
                group.spawn(log.wait, "a")
                await forever()
            return "ended"

        task = context.spawn(main)
        context.poll()
        runner = Worker(context.run)
        groups[0].cancel()
        runner.end()
        assert task.result() == "ended"
        assert log.ended == ["a"]


def test_a_child_of_a_cancelled_group_begins_and_is_cut_at_its_first_wait(spec):
    async def main():
        begun = []

        async def child():
            begun.append(1)
            await reactor.sleep(0)
            pytest.fail("it went on")

        async with TaskGroup() as group:
            group.cancel()
            task = group.spawn(child)
        assert begun == [1]
        assert task.cancelled

    run(main, spec)


def test_a_cancellation_from_outside_waits_for_the_children(spec, clock, log):
    """Their cleanup may take its time; the block does not end before."""

    async def grouped():
        async with TaskGroup() as group:
            group.spawn(log.wait, "slow", 3.0)
            group.spawn(log.wait, "fast", 1.0)

    async def main():
        task = await started(grouped)
        task.cancel()
        with pytest.raises(OperationCancelled):
            await task
        assert log.ended == ["fast", "slow"]
        assert clock.monotonic() == pytest.approx(1003.0)

    run(main, spec, clock)


@pytest.mark.parametrize("where", ["block", "end"])
def test_a_timeout_around_a_group_ends_it_and_says_so(spec, clock, log, where):
    async def main():
        with pytest.raises(TimeoutError), reactor.timeout(2):
            async with TaskGroup() as group:
                group.spawn(log.wait, "a", 1.0)
                if where == "block":
                    await forever()
        assert log.ended == ["a"]
        assert log.causes == [Cause.DEADLINE]
        assert clock.monotonic() == pytest.approx(1003.0)

    run(main, spec, clock)


def test_a_failure_goes_before_a_cancellation_from_outside(spec, clock):
    async def main():
        with CancelScope() as scope, pytest.raises(ExceptionGroup):
            async with TaskGroup() as group:
                group.spawn(sore_loser, LookupError())
                await turns()
                scope.cancel()

    run(main, spec, clock)


def test_the_block_is_not_cut_when_a_child_merely_ends(spec):
    async def main():
        async with TaskGroup() as group:
            group.spawn(reactor.sleep, 0)
            await turns(5)
        assert not current_task().cancelled

    run(main, spec)


def test_a_cancellation_that_is_not_the_groups_goes_through_it(spec, log):
    """As of a task awaited in the block: the group ends its children, and does not absorb it."""

    async def main():
        other = await started(forever)
        other.cancel()
        with pytest.raises(OperationCancelled):
            async with TaskGroup() as group:
                group.spawn(log.wait, "a")
                await turns()
                await other
        assert log.ended == ["a"]

    run(main, spec)


def test_closing_the_context_ends_a_group_with_its_children(spec, log):
    with live(spec) as context:

        async def main():
            async with TaskGroup() as group:
                group.spawn(log.wait, "a")
                group.spawn(log.wait, "b")

        task = context.spawn(main)
        context.poll()
    assert sorted(log.ended) == ["a", "b"]
    assert log.causes == [Cause.CLOSE] * 2
    assert task.cancelled
    assert context.task_count == 0


def test_a_block_that_is_closed_with_its_context_spawns_nothing_more(spec):
    called = []

    async def child():
        pytest.fail("it ran")

    def make():
        called.append(1)
        return child()

    with live(spec) as context:

        async def main():
            async with TaskGroup() as group:
                try:
                    await forever()
                finally:
                    with pytest.raises(ContextClosedError):
                        group.spawn(make)

        task = context.spawn(main)
        context.poll()
    assert task.cancelled
    assert not called, "no coroutine is made that would never be awaited"


# -- Used wrongly


def test_spawning_outside_the_block_is_refused(spec):
    async def main():
        group = TaskGroup()
        with pytest.raises(ReactorError, match="only inside the block"):
            group.spawn(forever)
        async with group:
            pass
        with pytest.raises(ReactorError, match="only inside the block"):
            group.spawn(forever)

    run(main, spec)


def test_a_group_is_entered_once(spec):
    async def main():
        group = TaskGroup()
        async with group:
            with pytest.raises(ReactorError, match="a task group can be entered only once"):
                await group.__aenter__()
        with pytest.raises(ReactorError, match="a task group can be entered only once"):
            await group.__aenter__()

    run(main, spec)


def test_spawning_what_is_no_async_function_is_a_type_error_and_the_group_is_intact(spec):
    async def main():
        async with TaskGroup() as group:
            with pytest.raises(TypeError, match="expected an async function"):
                group.spawn(lambda: 42)  # type: ignore[arg-type, return-value]
            task = group.spawn(reactor.sleep, 0)
        assert task.done

    run(main, spec)


def test_a_failure_that_the_block_awaits_is_listed_once(spec):
    """The block and the group hear of the same exception, in whatever order."""
    error = ArithmeticError("on purpose")

    async def main():
        with pytest.raises(ExceptionGroup) as caught:
            async with TaskGroup() as group:
                child = group.spawn(failing, error)
                await child
        assert caught.value.exceptions == (error,)

    run(main, spec)


def test_a_child_that_the_context_refuses_while_it_is_closed_is_no_child(spec):
    """Another thread closes between the group's look and the start: nobody would step the child."""
    system = WatchedSystem()
    context = IoContext(spec, system=system)
    closers = []
    ends = []

    def close_begins():
        closers.append(Worker(context.close))
        system.asleep.wait()  # it waits for this thread to leave `run`
        return forever()

    async def main():
        async with TaskGroup() as group:
            with pytest.raises(ContextClosedError):
                group.spawn(close_begins)
        ends.append("left")

    context.spawn(main)
    with watched(context):
        context.run()
        closers[0].end()
    assert ends == ["left"]
