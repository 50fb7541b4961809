"""Timers and sleeps in virtual time, on every backend (law 7)."""

from __future__ import annotations

import math

import pytest

import reactor
from reactor import Cause, OperationCancelled, StreamSocket, Timer, current_context
from reactor.scheduler import MAX_WAIT
from tests.reactor.scheduling import Worker, forever, live, run, started, turns, virtual

FOREVER = [1e18, math.inf]


@pytest.fixture
def context(spec, clock):
    with virtual(spec, clock) as made:
        yield made


async def how_it_ended(awaitable):
    """The cause of the cancellation, or None."""
    try:
        await awaitable
    except OperationCancelled as exc:
        return exc.cause
    return None


# -- Never early, and not late in virtual time


@pytest.mark.parametrize("early", [0.0, 1e-9, 0.0004, 0.01, 0.5])
def test_a_sleep_is_never_too_short_though_the_kernel_is_early(spec, clock, early):
    async def main():
        for seconds in (1e-9, 0.0003, 0.02, 1.0, 3600.0):
            clock.early(early, early / 2)
            deadline = clock.monotonic() + seconds
            await reactor.sleep(seconds)
            assert clock.monotonic() >= deadline
            clock.early(early)
            deadline = clock.monotonic() + seconds
            await reactor.sleep_until(deadline)
            assert clock.monotonic() >= deadline

    run(main, spec, clock)


def test_a_sleep_costs_one_wait_as_long_as_itself(context, clock):
    context.spawn(reactor.sleep, 0.25)
    context.run()
    assert clock.monotonic() == pytest.approx(1000.25)
    assert [wait for wait in clock.waits if wait] == [pytest.approx(0.25)]


def test_a_timer_fires_at_its_deadline(context, clock):
    timer = Timer(context=context)
    timer.expires_at(1005.0)
    assert timer.deadline == 1005.0

    async def wait():
        await timer.wait()
        assert clock.monotonic() == pytest.approx(1005.0)
        await timer.wait()  # the past now

    context.spawn(wait)
    context.run()
    assert clock.monotonic() == pytest.approx(1005.0)


def test_the_clock_of_the_context_is_that_of_its_system(context, clock):
    assert context.time() == 1000.0
    clock.advance(2.5)
    assert context.time() == 1002.5
    timer = Timer(context=context)
    timer.expires_after(1.5)
    assert timer.deadline == 1004.0


# -- Order


def test_equal_deadlines_fire_in_the_order_they_were_made(spec, clock):
    order = []

    async def sleeper(number):
        await reactor.sleep_until(1010.0)
        order.append(number)

    async def main():
        async with reactor.TaskGroup() as group:
            for number in range(100):
                group.spawn(sleeper, number)

    run(main, spec, clock)
    assert order == list(range(100))


def test_overdue_timers_fire_in_the_order_of_their_deadlines(spec, clock):
    order = []

    async def sleeper(seconds):
        await reactor.sleep(seconds)
        order.append(seconds)

    async def main():
        async with reactor.TaskGroup() as group:
            for seconds in (0.3, 0.1, 0.2, 0.05, 0.4):
                group.spawn(sleeper, seconds)
            await turns()
            clock.advance(1)

    run(main, spec, clock)
    assert order == [0.05, 0.1, 0.2, 0.3, 0.4]


# -- The past, now, and never


@pytest.mark.parametrize("seconds", [0, 0.0, -1e-9, -1, -1e18, -math.inf])
def test_the_past_is_due_at_the_next_turn(spec, clock, seconds):
    """It does not mean for ever, and it does not mean at once: everybody else has a turn first."""

    async def main():
        timer = Timer()
        timer.expires_after(seconds)
        for wait in (
            lambda: reactor.sleep(seconds),
            lambda: reactor.sleep_until(clock.monotonic() + seconds),
            timer.wait,
        ):
            others: list[str] = []
            current_context().post(others.append, "a call")
            current_context().spawn(turns, 1)
            await wait()
            assert others == ["a call"]

    run(main, spec, clock)
    assert clock.monotonic() == 1000.0


def test_one_may_sleep_zero_any_number_of_times_without_time_passing(spec, clock):
    async def main():
        for _ in range(1000):
            await reactor.sleep(0)

    run(main, spec, clock)
    assert clock.monotonic() == 1000.0
    assert set(clock.waits) == {0.0}


@pytest.mark.parametrize("seconds", FOREVER)
def test_the_far_future_never_fires_and_never_overflows(context, clock, seconds):
    """Ten virtual days pass, in waits of a day, and only what is due then fires."""
    timer = Timer(context=context)
    timer.expires_after(seconds)

    async def within():
        with reactor.timeout(seconds):
            await forever()

    tasks = [
        context.spawn(timer.wait),
        context.spawn(reactor.sleep, seconds),
        context.spawn(reactor.sleep_until, seconds),
        context.spawn(within),
    ]
    other = context.spawn(reactor.sleep, 10 * MAX_WAIT)
    assert context.run_for(11 * MAX_WAIT) == len(tasks) + 2
    assert other.done
    assert not any(task.done for task in tasks)
    assert max(wait for wait in clock.waits if wait is not None) == MAX_WAIT
    assert len(clock.waits) <= 15


def test_a_timer_that_was_never_set_never_fires(context):
    timer = Timer(context=context)
    assert timer.deadline == math.inf
    task = context.spawn(timer.wait)
    context.poll()
    assert not task.done
    assert "never fires" in context.dump().data["tasks"][0]["waits_for"]


def test_infinity_alone_makes_the_poller_wait_without_a_limit(spec):
    """Law 2: no wake-ups for a timer that never fires; the end comes from another thread."""
    with live(spec) as context:
        timer = Timer(context=context)
        task = context.spawn(timer.wait)
        asked = []
        real = context.backend.wait

        def wait(timeout):
            asked.append(timeout)
            if timeout is None:
                threads.append(Worker(timer.cancel))
            return real(timeout)

        threads: list[Worker] = []
        context.backend.wait = wait
        context.run()
        assert task.cancelled
        assert threads[0].end() == 1
        assert asked in ([0.0, None], [None])


@pytest.mark.parametrize("function", [reactor.sleep, reactor.sleep_until])
def test_sleeping_until_not_a_number_is_a_value_error(spec, clock, function):
    async def main():
        with pytest.raises(ValueError, match="NaN"):
            await function(math.nan)
        await reactor.sleep(1)

    run(main, spec, clock)


@pytest.mark.parametrize("method", ["expires_at", "expires_after"])
def test_setting_a_timer_to_not_a_number_is_a_value_error_and_changes_nothing(spec, clock, method):
    async def main():
        timer = Timer()
        timer.expires_at(1001.0)
        task = await started(timer.wait)
        with pytest.raises(ValueError, match="NaN"):
            getattr(timer, method)(math.nan)
        assert timer.deadline == 1001.0
        await task

    run(main, spec, clock)


# -- Cancel, and setting anew


def test_a_cancel_counts_the_waits_that_it_ends(spec, clock):
    async def main():
        timer = Timer()
        timer.expires_after(5)
        assert timer.cancel() == 0
        tasks = [await started(how_it_ended, timer.wait()) for _ in range(3)]
        assert timer.cancel() == 3
        assert timer.cancel() == 0, "they have been told already"
        assert [await task for task in tasks] == [Cause.CANCEL] * 3
        assert clock.monotonic() == 1000.0

    run(main, spec, clock)


def test_a_cancel_does_not_poison_the_next_wait(spec, clock):
    """Law 4. The deadline stays what it was."""

    async def main():
        timer = Timer()
        timer.expires_at(1005.0)
        task = await started(how_it_ended, timer.wait())
        timer.cancel()
        await timer.wait()
        assert clock.monotonic() >= 1005.0
        assert await task is Cause.CANCEL

    run(main, spec, clock)


@pytest.mark.parametrize("method", ["expires_at", "expires_after"])
def test_setting_a_timer_anew_ends_the_waits_for_the_old_deadline(spec, clock, method):
    async def main():
        timer = Timer()
        timer.expires_after(5)
        old = [await started(how_it_ended, timer.wait()) for _ in range(2)]
        assert getattr(timer, method)(1007.0 if method == "expires_at" else 7) == 2
        new = await started(how_it_ended, timer.wait())
        assert [await task for task in old] == [Cause.CANCEL] * 2
        assert clock.monotonic() == 1000.0
        assert await new is None
        assert clock.monotonic() == pytest.approx(1007.0)

    run(main, spec, clock)


def test_who_cancels_a_timer_that_is_due_can_rely_on_it(spec, clock):
    """A wait that is due and has not been told counts as pending, in the order of the deadlines."""

    async def main():
        first, second = Timer(), Timer()
        counts = []

        async def wait_and_cancel():
            await first.wait()
            counts.append(second.cancel())
            counts.append(first.cancel())  # the one that is firing

        first.expires_at(1001.0)
        second.expires_at(1001.0)
        canceller = await started(wait_and_cancel)
        other = await started(how_it_ended, second.wait())
        await canceller
        assert await other is Cause.CANCEL
        assert counts == [1, 0]

    run(main, spec, clock)


def test_one_of_several_waiters_may_go_and_the_others_stay(spec, clock):
    async def main():
        timer = Timer()
        timer.expires_after(5)
        tasks = [await started(how_it_ended, timer.wait()) for _ in range(3)]
        tasks[1].cancel()
        await tasks[1]
        assert timer.cancel() == 2
        assert [await task for task in tasks] == [Cause.CANCEL] * 3

    run(main, spec, clock)


def test_an_ended_wait_leaves_no_timer_behind(context):
    timer = Timer(context=context)
    timer.expires_after(5)
    waits = [context.spawn(timer.wait), context.spawn(reactor.sleep, 5), context.spawn(forever)]
    context.poll()
    assert context.timer_count == 3
    for wait in waits:
        wait.cancel()
    context.run()
    assert context.timer_count == 0
    assert timer.cancel() == 0
    timer.expires_after(0)
    context.spawn(timer.wait)
    context.run()
    assert not timer._waits, "a timer that is used again and again would grow"


def test_a_wait_in_a_cancelled_scope_arms_nothing(spec, clock):
    async def main():
        before = current_context().timer_count
        timer = Timer()
        with reactor.CancelScope() as scope:
            scope.cancel()
            for wait in (timer.wait, lambda: reactor.sleep(5), lambda: reactor.sleep(0)):
                with pytest.raises(OperationCancelled):
                    await wait()
                assert current_context().timer_count == before
        assert clock.monotonic() == 1000.0

    run(main, spec, clock)


# -- Where it belongs


def test_a_timer_needs_a_context():
    with pytest.raises(reactor.ReactorError, match="context="):
        Timer()


def test_a_posted_call_may_make_one(context):
    made: list[Timer] = []
    context.post(lambda: made.append(Timer()))
    context.run()
    made[0].expires_after(1)
    context.spawn(made[0].wait)
    context.run()
    assert context.time() == pytest.approx(1001.0)


def test_a_new_earliest_deadline_shortens_the_wait_in_progress(spec):
    """Another thread sets it while the leader is in the kernel; nothing else wakes that one."""
    with live(spec) as context:
        scopes: list[reactor.CancelScope] = []

        async def long():
            with reactor.CancelScope(context.time() + 3600) as scope:
                scopes.append(scope)
                await forever()
            return scope.cancelled_caught

        task = context.spawn(long)
        context.poll()
        real = context.backend.wait
        threads: list[Worker] = []

        def wait(timeout):
            if not threads and timeout != 0:
                threads.append(Worker(lambda: scopes[0].reschedule(context.time() + 0.005)))
            return real(timeout)

        context.backend.wait = wait
        context.run()
        threads[0].end()
        assert task.result() is True


def test_io_goes_on_beside_far_timers(spec, clock):
    async def main():
        left, right = StreamSocket.pair()
        with left, right:
            task = await started(left.recv, 10)
            current_context().spawn(reactor.sleep, 1e18)
            await turns()
            await right.sendall(b"x")
            assert await task == b"x"

    run(main, spec, clock)
