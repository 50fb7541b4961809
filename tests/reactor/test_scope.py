"""Cancel scopes, timeouts and shields: cancellation is a property of a region (law 4)."""

from __future__ import annotations

import math

import pytest

import reactor
from reactor import (
    CancelScope,
    Cause,
    Event,
    OperationCancelled,
    Queue,
    ReactorError,
    StreamSocket,
    Timer,
    current_context,
    current_task,
    timeout,
    timeout_at,
)
from tests.reactor.scheduling import Worker, forever, live, run, started, turns

# -- Timeouts


def test_a_timeout_cuts_the_block_at_its_deadline(spec, clock):
    async def main():
        with pytest.raises(TimeoutError, match="deadline") as caught, timeout(5) as scope:
            await forever()
        assert clock.monotonic() == pytest.approx(1005.0)
        assert isinstance(caught.value.__cause__, OperationCancelled)
        assert caught.value.__cause__.cause is Cause.DEADLINE
        assert scope.cancel_called
        assert scope.cancelled_caught

    run(main, spec, clock)


def test_a_timeout_that_is_not_reached_leaves_nothing_behind(spec, clock):
    async def child(before):
        with timeout(5) as scope:
            assert current_context().timer_count == before + 1
            await reactor.sleep(1)
        assert not scope.cancel_called
        assert not scope.cancelled_caught
        assert current_context().timer_count == before
        await reactor.sleep(10)
        assert not scope.cancel_called

    async def main():
        before = current_context().timer_count
        await current_context().spawn(child, before)
        assert current_context().timer_count == before

    run(main, spec, clock)


def test_all_timeouts_of_a_task_are_one_timer(spec, clock):
    """Inside and behind one another, however far each goes."""

    async def child(before):
        for seconds in (50, 5, 500, 1, 50):
            with timeout(seconds), timeout(2 * seconds), timeout(seconds / 2):
                await reactor.sleep(0)
                assert current_context().timer_count == before + 1
        assert current_context().timer_count == before
        with timeout(50):  # and it stays armed until the task ends
            pass

    async def main():
        before = current_context().timer_count
        await current_context().spawn(child, before)
        assert current_context().timer_count == before

    run(main, spec, clock)


@pytest.mark.parametrize("pause", [0, 1, 4, 5, 6, 99])
def test_a_timeout_works_whatever_became_of_the_timer_of_the_one_before(spec, clock, pause):
    """It may still be armed, be due just then, or have found nothing to do."""

    async def child():  # with no other deadline around
        for limit in (5, 3, 20, 5):
            with timeout(5):
                await reactor.sleep(1)
            if pause:
                await reactor.sleep(pause)
            begin = clock.monotonic()
            with pytest.raises(TimeoutError), timeout(limit):
                await forever()
            assert clock.monotonic() == begin + limit

    async def main():
        await current_context().spawn(child)

    run(main, spec, clock)


def test_a_deadline_outside_counts_again_when_that_inside_is_left(spec, clock):
    async def main():
        begin = clock.monotonic()
        with pytest.raises(TimeoutError), timeout(10) as outer:
            for _ in range(3):
                with timeout(2):
                    await reactor.sleep(1)
            with timeout(100) as inner, CancelScope():
                with timeout(2):
                    await reactor.sleep(1)
                await forever()
        assert clock.monotonic() == begin + 10
        assert outer.cancelled_caught
        assert not inner.cancel_called

    run(main, spec, clock)


def test_a_deadline_outside_that_is_moved_meanwhile_counts_when_that_inside_is_left(spec, clock):
    async def main():
        begin = clock.monotonic()
        with pytest.raises(TimeoutError), timeout(100) as outer:
            with timeout(2):
                outer.reschedule(begin + 10)
                await reactor.sleep(1)
            with timeout(50):
                outer.reschedule(begin + 20)
                await reactor.sleep(12)
                outer.reschedule(begin + 15)
            await forever()
        assert clock.monotonic() == begin + 15

    run(main, spec, clock)


def test_the_time_counts_from_the_entry_of_the_block(spec, clock):
    async def main():
        scope = timeout(5)
        await reactor.sleep(100)
        with scope:
            assert scope.deadline == clock.monotonic() + 5
            await reactor.sleep(4)

    run(main, spec, clock)


def test_timeout_at_is_a_moment_on_the_clock_of_the_context(spec, clock):
    async def main():
        with pytest.raises(TimeoutError), timeout_at(1002.5) as scope:
            assert scope.deadline == 1002.5
            await forever()
        assert clock.monotonic() == 1002.5

    run(main, spec, clock)


def test_no_limit_is_no_limit(spec, clock):
    async def main():
        before = current_context().timer_count
        for scope in (timeout(None), timeout(math.inf), timeout_at(math.inf), CancelScope()):
            with scope:
                assert scope.deadline == math.inf
                assert current_context().timer_count == before
                await reactor.sleep(1e6)

    run(main, spec, clock)


@pytest.mark.parametrize("seconds", [0, -1, -1e18, -math.inf])
def test_a_timeout_that_is_over_already_cuts_the_first_operation(spec, clock, seconds):
    async def main():
        for scope in (timeout(seconds), timeout_at(clock.monotonic() + seconds)):
            reached = False
            with pytest.raises(TimeoutError), scope:
                reached = True
                await reactor.sleep(0)
                pytest.fail("the first operation was done")
            assert reached, "the block is entered all the same"
        assert clock.monotonic() == 1000.0

    run(main, spec, clock)


def test_a_block_that_waits_for_nothing_is_not_late(spec, clock):
    """No operation was cut, so there is nothing to tell."""

    async def main():
        with timeout(1) as scope:
            clock.advance(5)
        assert not scope.cancelled_caught
        with timeout(-1) as scope:
            pass
        assert scope.cancel_called
        assert not scope.cancelled_caught

    run(main, spec, clock)


@pytest.mark.parametrize(
    "make",
    [
        lambda: timeout(math.nan),
        lambda: timeout_at(math.nan),
        lambda: CancelScope(math.nan),
        lambda: CancelScope().reschedule(math.nan),
        lambda: timeout(1).reschedule(math.nan),
    ],
    ids=["timeout", "timeout_at", "CancelScope", "reschedule", "timeout.reschedule"],
)
def test_a_deadline_that_is_not_a_number_is_a_value_error(make):
    with pytest.raises(ValueError, match="NaN"):
        make()


def test_a_deadline_of_a_plain_scope_is_no_error(spec, clock):
    async def main():
        with CancelScope(1003.0) as scope:
            await forever()
        assert scope.cancelled_caught
        assert clock.monotonic() == 1003.0

    run(main, spec, clock)


def test_of_two_timeouts_the_shorter_one_speaks(spec, clock):
    async def main():
        with timeout(10) as outer:
            with pytest.raises(TimeoutError), timeout(1):
                await forever()
            await reactor.sleep(1)
        assert not outer.cancel_called
        with pytest.raises(TimeoutError), timeout(1), timeout(10) as inner:
            await forever()
        assert not inner.cancelled_caught
        assert clock.monotonic() == pytest.approx(1003.0)

    run(main, spec, clock)


def test_a_timeout_that_was_cancelled_by_hand_is_no_timeout_error(spec, clock):
    async def main():
        with timeout(10) as scope:
            scope.cancel()
            await forever()
        assert scope.cancelled_caught
        assert clock.monotonic() == 1000.0

    run(main, spec, clock)


def test_an_error_of_the_block_goes_before_its_timeout(spec, clock):
    async def main():
        with pytest.raises(LookupError), timeout(1) as scope:
            try:
                await forever()
            except OperationCancelled:
                raise LookupError from None
        assert scope.cancel_called
        assert not scope.cancelled_caught

    run(main, spec, clock)


# -- Rescheduling


def test_a_deadline_can_be_moved_either_way(spec, clock):
    async def main():
        for first, then in ((5, 8), (5, 2), (math.inf, 3), (1e18, 1)):
            begin = clock.monotonic()
            with CancelScope(begin + first) as scope:
                task = await started(mover, scope, begin + then)
                await forever()
            assert scope.deadline == begin + then
            assert clock.monotonic() == begin + then
            await task

    async def mover(scope, deadline):
        scope.reschedule(deadline)
        await reactor.sleep(0)

    run(main, spec, clock)


def test_a_deadline_can_be_lifted(spec, clock):
    async def main():
        before = current_context().timer_count
        with timeout(5) as scope:
            scope.reschedule(math.inf)
            assert current_context().timer_count == before
            await reactor.sleep(50)

    run(main, spec, clock)


def test_a_deadline_moved_into_the_past_cuts_the_next_operation_and_the_pending_one(spec, clock):
    async def main():
        with pytest.raises(TimeoutError), timeout(5) as scope:
            scope.reschedule(999.0)
            await reactor.sleep(0)
        with pytest.raises(TimeoutError), timeout(5) as scope:
            current_context().post(scope.reschedule, 999.0)
            await forever()
        assert clock.monotonic() == 1000.0

    run(main, spec, clock)


def test_a_deadline_set_before_the_block_is_kept(spec, clock):
    async def main():
        scope = CancelScope()
        scope.reschedule(1004.0)
        with scope:
            await forever()
        assert clock.monotonic() == 1004.0

    run(main, spec, clock)


def test_a_cancelled_scope_cannot_be_saved_by_a_later_deadline(spec, clock):
    async def main():
        before = current_context().timer_count
        with CancelScope() as scope:
            scope.cancel()
            scope.reschedule(2000.0)
            assert current_context().timer_count == before
            await forever()
        assert scope.cancelled_caught
        assert clock.monotonic() == 1000.0

    run(main, spec, clock)


def test_rescheduling_a_scope_that_was_left_arms_nothing(spec, clock):
    """As by a watchdog that did not know: a timer for a block that is gone would be a leak."""

    async def main():
        before = current_context().timer_count
        with timeout(5) as scope:
            await reactor.sleep(1)
        scope.reschedule(5000.0)
        assert current_context().timer_count == before
        scope.reschedule(1.0)
        assert not scope.cancel_called
        await reactor.sleep(1)

    run(main, spec, clock)


# -- Cancelling


def test_a_scope_absorbs_its_own_cancellation(spec):
    async def main():
        with CancelScope() as scope:
            scope.cancel()
            await forever()
            pytest.fail("it went on")
        assert scope.cancel_called
        assert scope.cancelled_caught
        await reactor.sleep(0)

    run(main, spec)


def test_a_scope_cancelled_before_it_is_entered_cuts_the_first_operation(spec):
    async def main():
        scope = CancelScope()
        scope.cancel()
        assert scope.cancel_called
        entered = False
        with scope:
            entered = True
            await reactor.sleep(0)
            pytest.fail("it went on")
        assert entered
        assert scope.cancelled_caught

    run(main, spec)


def test_a_scope_that_nothing_was_cut_in_caught_nothing(spec):
    async def main():
        with CancelScope() as scope:
            scope.cancel()
        assert scope.cancel_called
        assert not scope.cancelled_caught
        with CancelScope() as scope:
            await reactor.sleep(0)
        scope.cancel()  # too late
        await reactor.sleep(0)
        assert not scope.cancelled_caught

    run(main, spec)


def test_cancelling_twice_is_cancelling_once(spec):
    async def main():
        with CancelScope() as scope:
            scope.cancel()
            scope.cancel()
            await forever()
        assert scope.cancelled_caught
        scope.cancel()
        await reactor.sleep(0)

    run(main, spec)


def test_the_first_cause_stays(spec, clock):
    async def main():
        with CancelScope(1001.0) as scope:
            scope.cancel()
            with CancelScope(shield=True):
                await reactor.sleep(2)  # the deadline passes, and is no news
            with pytest.raises(OperationCancelled) as caught:
                await forever()
            assert caught.value.cause is Cause.CANCEL
        with pytest.raises(TimeoutError), timeout(1) as scope:
            with CancelScope(shield=True):
                await reactor.sleep(2)
            scope.cancel()  # too late to be the reason
            await forever()

    run(main, spec, clock)


def test_every_operation_in_a_cancelled_scope_ends_at_once_without_io(spec):
    """Law 4: whatever it is, and however often it is tried."""

    async def main():
        left, right = StreamSocket.pair()
        with left, right:
            await right.sendall(b"there")
            queue: Queue[int] = Queue()
            queue.put_nowait(1)
            event = Event()
            event.set()
            task = await started(reactor.sleep, 0)
            timer = Timer()
            ran: list[int] = []
            operations = [
                lambda: left.recv(100),
                lambda: left.recv_exactly(5),
                lambda: left.sendall(b"never"),
                lambda: left.send(b"never"),
                left.wait_readable,
                queue.get,
                lambda: queue.put(2),
                event.wait,
                timer.wait,
                lambda: reactor.sleep(0),
                lambda: reactor.sleep(1),
                lambda: reactor.sleep_until(0.0),
                lambda: task,
                lambda: reactor.to_thread(ran.append, 1),
            ]
            with CancelScope() as scope:
                scope.cancel()
                for _ in range(2):
                    for operation in operations:
                        with pytest.raises(OperationCancelled) as caught:
                            await operation()
                        assert caught.value.cause is Cause.CANCEL
                        assert caught.value.transferred == 0
            assert len(queue) == 1
            assert await left.recv(100) == b"there"
            await left.sendall(b"only this")
            assert await right.recv(100) == b"only this"
        return ran

    assert run(main, spec) == []


def test_a_cancel_that_races_an_inline_completion_is_not_lost(spec):
    """The operations complete without waiting, the scope is cancelled between two of them."""

    async def main():
        left, right = StreamSocket.pair()
        with left, right:
            await right.sendall(bytes(100))
            count = 0
            with CancelScope() as scope:
                for _ in range(100):
                    await left.recv(1)
                    count += 1
                    if count == 10:
                        scope.cancel()
            assert scope.cancelled_caught
            assert count == 10
            assert len(await left.recv(100)) == 90

    run(main, spec)


def test_a_completed_operation_keeps_its_result_though_cancelled_before_it_is_told(spec):
    """Law 3: what was received or handed over is not thrown away; the next operation is cut."""

    async def main():
        queue: Queue[str] = Queue()
        event = Event()
        results = []
        scopes = []

        async def waiter(wait):
            with CancelScope() as scope:
                scopes.append(scope)
                results.append(await wait())
                await reactor.sleep(0)
                pytest.fail("it went on")

        async with reactor.TaskGroup() as group:
            group.spawn(waiter, queue.get)
            group.spawn(waiter, event.wait)
            await turns()
            queue.put_nowait("item")
            event.set()
            for scope in scopes:
                scope.cancel()
        assert results == ["item", None]
        assert all(scope.cancelled_caught for scope in scopes)
        assert len(queue) == 0

    run(main, spec)


def test_one_of_several_tasks_is_cancelled_by_its_scope_alone(spec):
    async def main():
        scopes = []

        async def waiter():
            with CancelScope() as scope:
                scopes.append(scope)
                await event.wait()
                return "heard"
            return "cut"

        event = Event()
        tasks = [await started(waiter) for _ in range(3)]
        scopes[1].cancel()
        await turns()
        assert [task.done for task in tasks] == [False, True, False]
        event.set()
        assert [await task for task in tasks] == ["heard", "cut", "heard"]

    run(main, spec)


def test_a_scope_may_be_cancelled_from_another_thread(spec):
    with live(spec) as context:
        scopes: list[CancelScope] = []

        async def main():
            with CancelScope() as scope:
                scopes.append(scope)
                await forever()
            return scope.cancelled_caught

        task = context.spawn(main)
        context.poll()
        runner = Worker(context.run)
        scopes[0].cancel()
        runner.end()
        assert task.result() is True


# -- Nesting


def test_only_the_scope_that_was_cancelled_absorbs(spec):
    async def main():
        with CancelScope() as outer:
            with CancelScope() as inner:
                outer.cancel()
                await forever()
            pytest.fail("the inner one absorbed it")
        assert outer.cancelled_caught
        assert not inner.cancel_called
        assert not inner.cancelled_caught

        with CancelScope() as outer:
            with CancelScope() as inner:
                inner.cancel()
                await forever()
            await reactor.sleep(0)
        assert inner.cancelled_caught
        assert not outer.cancelled_caught

    run(main, spec)


def test_of_two_cancelled_scopes_the_outermost_absorbs(spec):
    async def main():
        with CancelScope() as outer:
            with CancelScope() as inner:
                inner.cancel()
                outer.cancel()
                await forever()
            pytest.fail("the outer one is cancelled too")
        assert outer.cancelled_caught
        assert not inner.cancelled_caught

    run(main, spec)


def test_the_cause_is_that_of_the_innermost_cancelled_scope(spec, clock):
    async def main():
        with CancelScope() as outer, CancelScope(999.0), CancelScope():
            with pytest.raises(OperationCancelled) as caught:
                await forever()
            assert caught.value.cause is Cause.DEADLINE
            outer.cancel()
            with pytest.raises(OperationCancelled) as caught:
                await forever()
            assert caught.value.cause is Cause.DEADLINE
        with CancelScope() as outer, CancelScope():
            outer.cancel()
            with pytest.raises(OperationCancelled) as caught:
                await forever()
            assert caught.value.cause is Cause.CANCEL

    run(main, spec, clock)


def test_what_was_cut_outside_a_scope_is_not_absorbed_by_one(spec):
    """A socket's `cancel` is no scope's: it comes out even where a scope is cancelled later."""

    async def main():
        left, right = StreamSocket.pair()
        with left, right:

            async def receive():
                with CancelScope() as scope:
                    try:
                        await left.recv(1)
                    finally:
                        scope.cancel()
                pytest.fail("absorbed")

            task = await started(receive)
            assert left.cancel() == 1
            with pytest.raises(OperationCancelled):
                await task

    run(main, spec)


def test_after_the_scope_life_goes_on(spec):
    async def main():
        for _ in range(3):
            with CancelScope() as scope:
                scope.cancel()
                await forever()
            left, right = StreamSocket.pair()
            with left, right:
                await right.sendall(b"x")
                assert await left.recv(1) == b"x"

    run(main, spec)


# -- Shields


def test_a_shield_keeps_the_outside_out(spec, clock):
    async def main():
        with CancelScope() as outer:
            outer.cancel()
            with CancelScope(shield=True) as shield:
                assert shield.shield
                await reactor.sleep(3)  # cleanup that has to wait
            assert clock.monotonic() == pytest.approx(1003.0)
            assert not shield.cancel_called
            await forever()
            pytest.fail("outside the shield it is cancelled")
        assert outer.cancelled_caught

    run(main, spec, clock)


def test_what_was_cancelled_behind_a_shield_does_no_io_after_it(spec):
    """The budget of inline operations ends with the shield (found by a generated program)."""

    async def main():
        left, right = StreamSocket.pair()
        await right.send(b"kept")
        with CancelScope() as scope:
            with CancelScope(shield=True):
                scope.cancel()
            await left.recv(4)
        assert scope.cancelled_caught
        assert await left.recv(4) == b"kept"

    run(main, spec)


def test_an_operation_behind_a_shield_is_not_disturbed_while_it_waits(spec, clock):
    async def main():
        with CancelScope(1001.0) as outer:
            with CancelScope(shield=True):
                await reactor.sleep(3)
            assert outer.cancel_called
            with pytest.raises(OperationCancelled) as caught:
                await reactor.sleep(0)
            assert caught.value.cause is Cause.DEADLINE
        assert clock.monotonic() == pytest.approx(1003.0)

    run(main, spec, clock)


def test_a_shield_does_not_protect_from_itself_or_from_what_is_inside(spec, clock):
    async def main():
        with CancelScope(shield=True) as shield:
            shield.cancel()
            await forever()
        assert shield.cancelled_caught
        with CancelScope(1002.0, shield=True) as shield:
            await forever()
        assert shield.cancelled_caught
        with CancelScope(shield=True) as shield:
            with CancelScope() as inner:
                inner.cancel()
                await forever()
            await reactor.sleep(0)
        assert not shield.cancelled_caught

    run(main, spec, clock)


def test_a_scope_inside_a_shield_is_shielded_too(spec):
    async def main():
        with CancelScope() as outer:
            outer.cancel()
            with CancelScope(shield=True), CancelScope():
                await reactor.sleep(0)
            with pytest.raises(OperationCancelled):
                await reactor.sleep(0)

    run(main, spec)


def test_a_task_cancel_waits_for_the_end_of_the_shield(spec, clock):
    async def main():
        steps = []

        async def careful():
            try:
                await forever()
            finally:
                with CancelScope(shield=True):
                    await reactor.sleep(2)
                    steps.append(clock.monotonic())
                with pytest.raises(OperationCancelled):
                    await reactor.sleep(0)
                steps.append("end")

        task = await started(careful)
        task.cancel()
        with pytest.raises(OperationCancelled):
            await task
        assert steps == [pytest.approx(1002.0), "end"]

    run(main, spec, clock)


def test_a_shield_does_not_hold_up_the_end_of_the_context(spec):
    """Closing passes shields: nothing that still waits then can ever end otherwise."""
    ended = []
    with live(spec) as context:

        async def shielded():
            with CancelScope(shield=True):
                try:
                    await forever()
                except OperationCancelled as exc:
                    ended.append(exc.cause)
                    raise

        task = context.spawn(shielded)
        context.poll()
    assert ended == [Cause.CLOSE]
    assert task.cancelled


# -- Used wrongly


def test_a_scope_is_entered_once(spec):
    async def main():
        for scope in (CancelScope(), timeout(5), timeout_at(1e9)):
            with scope, pytest.raises(ReactorError, match="only once"):
                scope.__enter__()
            with pytest.raises(ReactorError, match="only once"):
                scope.__enter__()

    run(main, spec)


def test_scopes_are_left_in_reverse_order(spec):
    async def main():
        scope = current_task().scope
        outer, inner = CancelScope(), CancelScope()
        outer.__enter__()
        inner.__enter__()
        with pytest.raises(ReactorError, match="reverse order"):
            outer.__exit__(None, None, None)
        # That changed nothing: in the right order they can be left.
        inner.__exit__(None, None, None)
        outer.__exit__(None, None, None)
        assert current_task().scope is scope
        await reactor.sleep(0)

    run(main, spec)


@pytest.mark.parametrize("make", [CancelScope, lambda: timeout(1), lambda: timeout_at(1)])
def test_a_scope_belongs_to_a_task(make):
    with pytest.raises(ReactorError, match="inside a task"):
        make().__enter__()


def test_law_1_what_its_socket_ended_is_not_ended_by_the_deadline_that_passes_meanwhile(
    spec, clock
):
    """`cancel` says that it ended one, so the receive must say so, though the time is over when it runs."""
    seen: list[object] = []

    async def main():
        left, right = StreamSocket.pair()
        with left, right:
            try:
                with reactor.timeout(1) as scope:
                    context = reactor.current_context()
                    context.post(lambda: seen.append(left.cancel()))
                    context.post(scope.reschedule, 0)
                    await left.recv(1)
            except OperationCancelled as exc:
                seen.append(exc.cause_name)

    run(main, spec, clock)
    assert seen == [1, "cancel"]
