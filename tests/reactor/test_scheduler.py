"""The queue and its reactor turn, on one thread: fairness, budgets, and no wait too many."""

from __future__ import annotations

import errno
import itertools
from collections import deque
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

import pytest

import reactor
from harness.faults import FaultTable, Rule
from reactor import (
    ClosedError,
    Event,
    IoContext,
    OperationCancelled,
    StreamSocket,
    Timer,
    current_context,
)
from reactor.operation import BUDGET
from reactor.scheduler import MAX_WAIT
from tests.reactor.scheduling import (
    WatchedWait,
    Worker,
    forever,
    guarded,
    live,
    run,
    started,
    turns,
    virtual,
    virtual_system,
)

if TYPE_CHECKING:
    from collections.abc import Callable


# -- Inline completions: the budget


def test_100_receives_that_complete_inline_do_not_starve_a_timer(spec):
    """Law 6: the task whose data is all there goes to the tail of the queue every so often."""

    async def main():
        left, right = StreamSocket.pair()
        received = 0
        fired: list[int] = []

        async def receiver():
            nonlocal received
            for _ in range(100):
                assert await left.recv(1) == b"x"
                received += 1

        async def sleeper():
            await reactor.sleep_until(current_context().time())
            fired.append(received)

        async def timer():
            made = Timer()
            made.expires_after(0)
            await made.wait()
            fired.append(received)

        with left, right:
            await right.sendall(b"x" * 100)
            async with reactor.TaskGroup() as group:
                group.spawn(sleeper)
                group.spawn(timer)
                group.spawn(receiver)
                current_context().post(lambda: fired.append(received))
        assert received == 100
        assert len(fired) == 3
        assert max(fired) <= 2 * BUDGET + 1, f"others had their turn after {fired} of 100 receives"

    run(main, spec)


@pytest.mark.parametrize("size", [BUDGET - 1, BUDGET, BUDGET + 1, 5 * BUDGET])
def test_a_step_completes_a_budget_of_operations_and_no_more(spec, size):
    """What is within it costs one step: speculation is not given up either."""
    with live(spec) as context:
        left, right = StreamSocket.pair(context)

        async def main():
            for _ in range(size):
                await left.recv(1)

        right._sock.send(bytes(size))
        context.spawn(main)
        # The receive that a step was broken off before is no speculation when its turn comes.
        steps = 1 + -(-max(size - BUDGET, 0) // (BUDGET + 1))
        assert context.run() == steps
        counters = context.counters()
        assert (counters.speculative_misses, counters.parks) == (0, 0)


def test_100000_receives_that_complete_inline_do_not_overflow_the_stack(spec):
    async def main():
        left, right = StreamSocket.pair()
        count = 100_000

        async def sender():
            assert await right.sendall(bytes(count)) == count

        with left, right:
            async with reactor.TaskGroup() as group:
                group.spawn(sender)
                for _ in range(count):
                    assert len(await left.recv(1)) == 1
            with pytest.raises(TimeoutError), reactor.timeout(0):
                await left.recv(1)

    run(main, spec)


def test_a_chain_of_handlers_as_long_as_one_likes_does_not_overflow_the_stack(context):
    """Posts that post, events that set each other, tasks that await tasks: each is a new step."""

    async def link(waits_for, sets):
        await waits_for.wait()
        sets.set()

    def again(count):
        if count:
            context.post(again, count - 1)

    context.post(again, 5000)
    events = [Event(context=context) for _ in range(5001)]
    for pair in itertools.pairwise(events):
        context.spawn(link, *pair)
    context.post(events[0].set)
    context.run()
    assert events[-1].is_set()


# -- Nobody starves (law 6)


def test_handlers_that_never_end_do_not_starve_io_or_timers_or_calls(spec):
    async def main():
        busy = True
        ended: list[object] = []
        left, right = StreamSocket.pair()

        def call_again():
            if busy:
                current_context().post(call_again)

        async def yielding():
            while busy:
                await reactor.sleep(0)

        async def zero_timer():
            timer = Timer()
            while busy:
                timer.expires_after(0)
                await timer.wait()

        async def receive():
            ended.append(await left.recv(1))

        async def sleep():
            await reactor.sleep(1e-6)
            ended.append("timer")

        with left, right:
            async with reactor.TaskGroup() as group:
                current_context().post(call_again)
                group.spawn(yielding)
                group.spawn(zero_timer)
                await turns()
                tasks = [group.spawn(receive), group.spawn(sleep)]
                await turns()
                await right.sendall(b"x")
                current_context().post(ended.append, "call")
                for task in tasks:
                    await task
                busy = False
        assert sorted(ended, key=str) == [b"x", "call", "timer"]

    run(main, spec)


def test_io_that_is_always_ready_does_not_starve_the_others(spec):
    """Two tasks send and receive without end; a third needs only turns."""

    async def main():
        left, right = StreamSocket.pair()
        rounds = 0

        async def ping(sock):
            nonlocal rounds
            while True:
                await sock.sendall(b"x")
                await sock.recv(1)
                rounds += 1

        with left, right:
            async with reactor.TaskGroup() as group:
                group.spawn(ping, left)
                group.spawn(ping, right)
                await turns(20)
                group.cancel()
        assert rounds <= 200 * BUDGET

    run(main, spec)


def test_the_poller_is_asked_between_any_two_turns_of_a_task(context):
    """What was queued before the reactor turn runs before the next wait, what comes after, after."""
    waits = WatchedWait(context)
    order = []

    async def main():
        for _ in range(3):
            order.append(waits.calls)
            await reactor.sleep(0)

    context.spawn(main)
    context.run()
    assert order == [1, 2, 3]


# -- No spin (law 2)


def test_a_context_with_nothing_to_do_makes_one_wait(context):
    """It blocks without a limit, and is in it until something happens."""
    waits = WatchedWait(context)
    asked = []

    def before(timeout):
        asked.append(timeout)
        return timeout

    waits.before = before
    task = context.spawn(forever)
    runner = Worker(context.run)
    waits.blocking.wait()
    task.cancel()
    runner.end()
    assert asked == [None]
    assert context.counters().interrupts == 1
    assert context.counters().waits == waits.calls <= 4


def test_many_timers_with_one_deadline_are_one_wait(spec, clock):
    with virtual(spec, clock) as context:
        for _ in range(1000):
            context.spawn(reactor.sleep, 5)
        assert context.run() == 2000
        assert len([wait for wait in clock.waits if wait]) == 1
        assert context.counters().timers_fired == 1000


def test_no_wait_is_longer_than_a_poller_can_take(spec, clock):
    with virtual(spec, clock) as context:
        context.spawn(reactor.sleep, 2.5 * MAX_WAIT)
        context.run()
        assert [wait for wait in clock.waits if wait] == [MAX_WAIT, MAX_WAIT, MAX_WAIT / 2]
        assert context.counters().timers_fired == 1


def test_many_posts_while_the_leader_sleeps_are_one_interrupt(context):
    """What is queued behind a wake-up under way needs none of its own."""
    waits = WatchedWait(context)
    with context.work_guard():
        runner = Worker(context.run)
        waits.blocking.wait()
        with context.scheduler.mutex:  # the leader cannot come back before all are queued
            for _ in range(10):
                context.scheduler.push((copy_context(), list, ()))
        waits.blocking.wait()
        assert context.counters().interrupts == 1
    assert runner.end() == 10


@pytest.mark.parametrize("error", [errno.EAGAIN, errno.ENOSPC])
def test_a_wake_up_that_failed_is_tried_again_by_the_next(spec, error):
    """corosio ca33581 took EAGAIN for success, and coalesced every later wake-up away."""
    table = FaultTable()
    context = IoContext(spec, system=virtual_system(None, table))
    with guarded(context):
        waits = WatchedWait(context)
        ran: list[int] = []
        with context.work_guard():
            runner = Worker(context.run)
            waits.blocking.wait()
            rule = table.add(Rule("wake", errors=[error]))
            context.post(ran.append, 1)
            assert rule.times == 1
            context.post(ran.append, 2)
            waits.blocking.wait()
            assert ran == [1, 2]
        runner.end()


def test_a_poll_that_is_back_in_a_moment_is_not_interrupted(context):
    """Who queues something while the leader asks without blocking leaves the waker alone."""
    real = context.backend.wait
    ran: list[int] = []
    number = itertools.count()

    def wait(timeout):
        assert timeout == 0
        if len(ran) < 5:
            Worker(context.post, ran.append, next(number)).end()
        return real(timeout)

    context.backend.wait = wait
    with context.work_guard():
        while len(ran) < 5:
            assert context.poll()
    assert ran == [0, 1, 2, 3, 4]
    assert context.counters().interrupts == 0


def test_work_from_inside_interrupts_nobody(context):
    """The thread that is awake will look: no system call for it."""

    async def main():
        for _ in range(10):
            context.post(lambda: None)
            await context.spawn(turns, 1)

    context.spawn(main)
    context.run()
    assert context.counters().interrupts == 0


# -- Between the looking and the sleeping


class Interleaved(deque[Any]):
    """A queue that lets something happen right after one look at it, as another thread would.

    `after` is called when the reactor turn has been taken off, or when nothing was found.
    """

    after: Callable[[], object] | None = None
    find_nothing = False

    def popleft(self):
        item = None if self.find_nothing else super().popleft()
        if item is None and self.after is not None:
            after, self.after = self.after, None
            after()
        if self.find_nothing:
            self.find_nothing = False
            raise IndexError
        return item


@pytest.fixture
def queue(context):
    made = context.scheduler.queue = Interleaved(context.scheduler.queue)
    return made


def test_what_is_queued_after_the_queue_was_found_empty_is_not_slept_over(context, queue):
    """Law 2: the second look is under the mutex."""
    ran: list[int] = []
    queue.find_nothing = True
    queue.after = lambda: context.post(ran.append, 1)
    with context.work_guard():
        assert context.run_one() == 1
    assert ran == [1]


def test_what_is_queued_after_the_turn_was_taken_is_not_slept_over(context, queue):
    """The leader is not in the kernel yet, so nobody interrupts it: it must look itself."""
    ran: list[int] = []
    queue.after = lambda: context.post(ran.append, 1)
    with context.work_guard():
        assert context.run_one() == 1
    assert ran == [1]


@pytest.mark.parametrize("nothing", [False, True])
def test_a_stop_that_comes_before_the_sleep_is_not_slept_over(context, queue, nothing):
    queue.find_nothing = nothing
    queue.after = context.stop
    with context.work_guard():
        assert context.run() == 0
    assert context.stopped
    context.restart()
    assert context.run() == 0, "the turn is still there"


@pytest.mark.parametrize("nothing", [False, True])
def test_a_last_release_that_comes_before_the_sleep_is_not_slept_over(context, queue, nothing):
    queue.find_nothing = nothing
    queue.after = context.work_guard().release
    assert context.run() == 0


# -- Odds and ends


def test_a_spurious_report_costs_a_miss_and_parks_again(context):
    left, right = StreamSocket.pair(context)
    task = context.spawn(left.recv, 10)
    context.poll()
    before = context.counters()
    left._descriptor.nudge(1)
    assert context.poll() == 1
    assert not task.done
    after = context.counters()
    assert after.speculative_misses == before.speculative_misses + 1
    assert after.parks == before.parks + 1
    right._sock.send(b"x")
    context.run()
    assert task.result() == b"x"


def test_a_park_that_fails_is_the_error_of_who_wanted_to_wait(context):
    """The poller refuses the descriptor: that is the operation's end, not the loop's."""
    left, right = StreamSocket.pair(context)
    real = context.backend.register

    def register(descriptor, directions):
        context.backend.register = real
        raise OSError(errno.ENOSPC, "max_user_watches")

    async def main():
        with pytest.raises(OSError, match="max_user_watches"):
            await left.recv(10)
        return await left.recv(10)

    context.backend.register = register
    task = context.spawn(main)
    context.poll()
    right._sock.send(b"x")
    context.run()
    assert task.result() == b"x"


def test_a_descriptor_that_was_closed_during_the_wait_is_told_nothing(context):
    """Its report is on the way already: it must not reach anybody."""
    left, right = StreamSocket.pair(context)
    task = context.spawn(left.recv, 10)
    context.poll()
    right._sock.send(b"x")
    real = context.backend.wait

    def wait(timeout):
        ready = real(timeout)
        left.close()
        return ready

    context.backend.wait = wait
    context.run()
    assert isinstance(task.exception(), OperationCancelled)
    context.spawn(lambda: left.recv(10))
    with pytest.raises(ClosedError):
        context.run()
    assert context.counters().speculative_hits == 0


def test_every_task_ends_and_all_work_is_taken_off(spec):
    async def main():
        async def child(number):
            for _ in range(number % 7):
                await reactor.sleep(0)
            return number

        tasks = [await started(child, number) for number in range(50)]
        return [await task for task in tasks]

    with live(spec) as context:
        task = context.spawn(main)
        context.run()
        assert task.result() == list(range(50))
        signal = context.scheduler.signal
        assert (signal.work, signal.runners, signal.idle, signal.signalled) == (0, 0, 0, 0)
        assert context.scheduler.signal.leader.name == "ABSENT"
        assert list(context.scheduler.queue) == [None], "the reactor turn, once"
