"""Timers and wakers of the kqueue backend on the model: never early, never lost, and no spin."""

from __future__ import annotations

import pytest

from reactor import sleep, to_thread

with_timer = pytest.mark.parametrize("spec", ["kqueue+pipe+timer"])
with_pipe = pytest.mark.parametrize("spec", ["kqueue+pipe"])


# -- Time


def test_a_wait_is_neither_early_nor_many(ground):
    """timer.never-early, timer.no-spin-before-deadline: kevent(2) takes nanoseconds."""

    async def main():
        for seconds in (0.0000004, 0.0003, 0.0015, 1.0004):
            begin, before = ground.kernel.monotonic(), ground.waits
            await sleep(seconds)
            assert begin + seconds <= ground.kernel.monotonic() < begin + seconds + 0.0001
            assert ground.waits - before <= 2

    ground.run(main)


@with_timer
def test_a_kernel_timer_is_neither_early_nor_many(ground):
    """Whole milliseconds, rounded up; NetBSD refuses none at all."""

    async def main():
        for seconds in (0.0003, 0.0015, 0.0021, 1.0004):
            begin, before = ground.kernel.monotonic(), ground.waits
            await sleep(seconds)
            assert begin + seconds <= ground.kernel.monotonic() <= begin + seconds + 0.001
            assert ground.waits - before <= 2

    ground.run(main)


@with_timer
def test_a_kernel_timer_moves_to_an_earlier_deadline(ground):
    """timer.earlier-than-current-sleep: adding again does not change the period everywhere."""

    async def main():
        begin = ground.kernel.monotonic()
        late = ground.context.spawn(sleep, 1000)
        await sleep(0)
        await sleep(0)
        await to_thread(ground.kernel.pause, 1)  # the leader waits for the late one meanwhile
        await sleep(5)
        assert ground.kernel.monotonic() == pytest.approx(begin + 6)
        late.cancel()

    ground.run(main)


@with_timer
def test_a_kernel_timer_goes_off_once(ground):
    """timer.kernel-timer-drained: nobody waits for time any more."""

    async def main():
        await sleep(0.01)
        before = ground.waits
        await to_thread(ground.kernel.pause, 3600)
        assert ground.waits - before <= 3

    ground.run(main)


def test_ten_days_are_longer_than_a_kernel_waits(ground):
    """timer.far-future: OpenBSD cuts a wait at 24 hours."""

    async def main():
        begin = ground.kernel.monotonic()
        await sleep(10 * 86_400)
        assert ground.kernel.monotonic() == pytest.approx(begin + 10 * 86_400)

    ground.run(main)


# -- Waking


def post_from_a_thread(ground):
    """Wake the leader from another thread, three times, and leave it alone then."""
    ran: list[int] = []

    async def main():
        def posts():
            for number in range(3):
                ground.kernel.pause(100)
                ground.context.post(ran.append, number)

        await to_thread(posts)
        await sleep(0)
        before = ground.waits
        await sleep(100)
        assert ground.waits - before <= 3

    ground.run(main)
    assert ran == [0, 1, 2]


def test_another_thread_wakes_the_leader_once(ground):
    """wake.post-from-thread, wake.no-spin-after, wake.mechanism-parity."""
    post_from_a_thread(ground)


@with_pipe
def test_another_thread_wakes_the_leader_by_a_pipe(ground):
    post_from_a_thread(ground)


@with_pipe
def test_a_wake_up_that_a_signal_interrupts_is_made_again(ground):
    """partial.eintr: the leader sleeps without limit, and nothing else would wake it."""
    ran: list[int] = []
    guard = ground.context.work_guard()

    def posts():
        ground.kernel.pause(1)
        ground.system.interrupted = 1
        ground.context.post(ran.append, 1)
        ground.context.post(guard.release)

    thread = ground.kernel.spawn("poster", posts)
    ground.context.run()
    thread.join()
    assert ran == [1]
