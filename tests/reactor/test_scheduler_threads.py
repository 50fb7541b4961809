"""Several threads inside `run()` of one context: one leads, followers sleep, and all of them work."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

import reactor
from reactor import (
    CancelScope,
    Cause,
    Event,
    IoContext,
    OperationCancelled,
    Queue,
    StreamSocket,
    TaskGroup,
    Timer,
    current_context,
)
from tests.reactor.scheduling import (
    SAFETY,
    Signal,
    WatchedSystem,
    WatchedWait,
    Worker,
    at_rest,
    crew,
    forever,
    guarded,
    turns,
)


@pytest.fixture
def system():
    return WatchedSystem()


@pytest.fixture
def context(spec, system):
    with guarded(IoContext(spec, system=system)) as made:
        yield made


@pytest.fixture
def waits(context):
    return WatchedWait(context)


# -- Coming and going


@pytest.mark.parametrize("count", [1, 2, 5])
def test_all_threads_return_when_the_work_ends(context, system, waits, count):
    guard = context.work_guard()
    threads = [Worker(context.run) for _ in range(count)]
    at_rest(context, count)
    assert context.scheduler.signal.runners == count
    guard.release()
    assert [thread.end() for thread in threads] == [0] * count
    signal = context.scheduler.signal
    assert (signal.runners, signal.idle, signal.signalled, signal.work) == (0, 0, 0, 0)


@pytest.mark.parametrize("last", ["call", "task"])
def test_all_threads_return_when_the_last_handler_has_run(context, system, waits, last):
    guard = context.work_guard()
    threads = [Worker(context.run) for _ in range(3)]
    at_rest(context, 3)

    async def task():
        guard.release()
        await turns()

    if last == "call":
        context.post(guard.release)
    else:
        context.spawn(task)
    assert sum(thread.end() for thread in threads) == (1 if last == "call" else 4)


def test_stop_wakes_everybody(context, system, waits):
    context.spawn(forever)
    guard = context.work_guard()
    threads = [Worker(context.run) for _ in range(4)]
    at_rest(context, 4)
    context.stop()
    assert sum(thread.end() for thread in threads) == 1
    guard.release()


def test_stop_by_a_handler_returns_every_thread(context, system, waits):
    with context.work_guard():
        threads = [Worker(context.run) for _ in range(4)]
        at_rest(context, 4)
        context.post(context.stop)
        assert sum(thread.end() for thread in threads) == 1


def test_a_stopped_crew_can_be_sent_in_again(context, system, waits):
    with crew(context, 3):
        context.stop()
    context.restart()
    ran: list[int] = []
    with crew(context, 3):
        context.post(ran.append, 1)
    assert ran == [1]


def test_threads_do_not_take_each_other_for_nested(context, system, waits):
    with crew(context, 2):
        refused = Signal()

        def nested():
            with pytest.raises(reactor.ReactorError, match="already inside"):
                context.poll()
            refused.set()

        context.post(nested)
        refused.wait()
        assert context.poll() == 0, "this thread is not inside"


def test_current_context_is_known_in_every_thread_of_it_and_only_there(context, system, waits):
    seen: list[IoContext] = []
    barrier = threading.Barrier(3)

    def look():
        barrier.wait(SAFETY)
        seen.append(current_context())
        barrier.wait(SAFETY)

    with crew(context, 3):
        for _ in range(3):
            context.post(look)
    assert seen == [context] * 3


# -- Work finds a thread (law 2)


@pytest.mark.parametrize("count", [2, 4])
def test_as_many_handlers_run_at_once_as_there_are_threads(context, system, waits, count):
    """Each waits for all the others: nobody's wake-up may be lost, the leader's included."""
    barrier = threading.Barrier(count)
    with crew(context, count):
        for _ in range(5):
            numbers = Queue[int](context=context)

            def meet(numbers=numbers):
                numbers.put_nowait(barrier.wait(SAFETY))

            for _ in range(count):
                context.post(meet)
            at_rest(context, count)
            assert sorted(numbers.get_nowait() for _ in range(count)) == list(range(count))


def test_posts_from_many_threads_run_exactly_once_each(context, system, waits):
    posters, posts = 4, 250
    ran: list[tuple[int, int]] = []
    begin = threading.Barrier(posters)

    def post(poster):
        begin.wait(SAFETY)
        for number in range(posts):
            context.post(ran.append, (poster, number))

    with crew(context, 3) as threads:
        for worker in [Worker(post, poster) for poster in range(posters)]:
            worker.end()
    counts = Counter(ran)
    assert set(counts.values()) == {1}
    assert len(counts) == posters * posts
    assert sum(thread.end() for thread in threads) == posters * posts


def test_a_single_thread_keeps_the_order_of_every_poster(context, system, waits):
    ran: list[tuple[int, int]] = []

    def post(poster):
        for number in range(200):
            context.post(ran.append, (poster, number))

    with crew(context, 1):
        for worker in [Worker(post, poster) for poster in range(3)]:
            worker.end()
    for poster in range(3):
        assert [number for who, number in ran if who == poster] == list(range(200))


def test_another_thread_leads_while_the_leader_is_in_a_handler(context, system, waits):
    """The first receive brings the leader back, and its handler blocks until the second one ran.

    Only a follower that takes over the kernel wait can find out that the second is ready.
    """
    first, second = StreamSocket.pair(context), StreamSocket.pair(context)
    stuck, freed = Signal(), Signal()
    threads = []

    async def blocks():
        await first[0].recv(1)
        threads.append(threading.get_ident())
        stuck.set()
        freed.wait()

    async def frees():
        await second[0].recv(1)
        threads.append(threading.get_ident())
        freed.set()

    tasks = [context.spawn(blocks), context.spawn(frees)]
    context.poll()
    with crew(context, 2):
        first[1]._sock.send(b"x")
        stuck.wait()
        second[1]._sock.send(b"x")
    assert all(task.done for task in tasks)
    assert len(set(threads)) == 2


def test_a_posted_call_runs_while_another_blocks(context, system, waits):
    freed = Signal()
    with crew(context, 2):
        context.post(freed.wait)
        context.post(freed.set)


def test_a_timer_fires_while_a_handler_blocks(context, system, waits):
    freed = Signal()

    async def timer():
        await reactor.sleep(0.001)
        freed.set()

    with crew(context, 2):
        context.post(freed.wait)
        context.spawn(timer)


def together(system, follows, late=0.0):
    """For `WatchedWait.before`: the kernel is reached only when the other thread sleeps.

    Then `late` seconds have passed.
    """

    def before(timeout):
        follows.wait()
        if late:
            system.ahead += late
            return 0.0
        return timeout

    return before


def test_a_thread_that_leaves_hands_the_lead_on(context, system, waits):
    """The leader's time is over, nothing is queued but the turn, and only a follower is there."""
    with context.work_guard():
        follows = Signal()
        waits.before = together(system, follows, late=100.0)
        leader = Worker(context.run_for, 100)
        waits.blocking.wait()
        follower = Worker(context.run)
        system.asleep.wait()
        waits.before = lambda timeout: timeout
        follows.set()
        assert leader.end() == 0
        at_rest(context, 1)  # now it is the other one that leads
        ran = Signal()
        context.post(ran.set)
        ran.wait()
    assert follower.end() == 1


def test_a_thread_that_has_run_its_one_handler_leaves_the_rest_to_the_others(
    context, system, waits
):
    """Two handlers become ready at once, the leader may take one only."""
    pairs = [StreamSocket.pair(context) for _ in range(2)]
    for left, _ in pairs:
        context.spawn(left.recv, 1)
    context.poll()
    with context.work_guard():
        follows = Signal()
        waits.before = together(system, follows)
        leader = Worker(context.run_one)
        waits.blocking.wait()
        follower = Worker(context.run)
        system.asleep.wait()
        waits.before = lambda timeout: timeout
        for _, right in pairs:
            right._sock.send(b"x")
        follows.set()
        assert leader.end() == 1
        at_rest(context, 1)
        assert context.task_count == 0
    assert follower.end() == 1


def test_a_thread_whose_handler_fails_leaves_the_rest_to_the_others(context, system, waits):
    """Law 10: one thread gets the exception, nobody loses a handler."""
    ran: list[int] = []

    def fail():
        raise LookupError

    with context.work_guard():
        threads = [Worker(context.run) for _ in range(2)]
        at_rest(context, 2)
        context.post(fail)
        context.post(ran.append, 1)
    outcomes = []
    for thread in threads:
        try:
            outcomes.append(thread.end())
        except LookupError:
            outcomes.append("failed")
    assert sorted(outcomes, key=str) == [1, "failed"]
    assert ran == [1]


# -- Limits of a follower


@pytest.mark.parametrize("limited", ["run_one", "run_for"])
def test_a_followers_time_ends_though_nothing_happens(context, system, waits, limited):
    with crew(context, 1):
        follower = Worker(getattr(context, limited), 1000)
        system.asleep.wait()
        assert follower.end() == 0
        assert system.ahead == pytest.approx(1000, abs=SAFETY)
        follower = Worker(getattr(context, limited), 0)
        assert follower.end() == 0
        assert system.ahead <= 1000, "that was no time to sleep for"


def test_a_follower_in_run_one_takes_one_and_leaves(context, system, waits):
    with crew(context, 1):
        follower = Worker(context.run_one)
        system.asleep.wait()
        ran = Signal()
        context.post(ran.set)
        ran.wait()
        assert follower.end() == 1


def test_poll_beside_a_leader_runs_what_is_queued_and_does_not_wait(context, system, waits):
    with crew(context, 1):
        assert context.poll() == 0
        assert context.poll_one() == 0


# -- One leader (law 8), one thread for a task at a time


def test_law_8_at_most_one_thread_is_inside_the_wait(context, system, waits):
    """Under I/O, timers, posts and yields on four threads; every task's steps never overlap."""
    rounds = 60
    overlaps = []
    ended = []

    class Steps:
        """Entered by a task while it runs, left while it waits."""

        def __init__(self):
            self._lock = threading.Lock()

        def begin(self):
            if not self._lock.acquire(blocking=False):
                overlaps.append(self)

        def end(self):
            self._lock.release()

    async def ping(sock, begins):
        steps = Steps()
        steps.begin()
        for number in range(rounds):
            if begins:
                steps.end()
                await sock.sendall(bytes([number]))
                steps.begin()
            steps.end()
            data = await sock.recv(1)
            steps.begin()
            assert data == bytes([number])
            if not begins:
                steps.end()
                await sock.sendall(data)
                steps.begin()
            steps.end()
            await reactor.sleep(0.00001 if number % 5 == 0 else 0)
            steps.begin()
        ended.append(sock)
        steps.end()

    with crew(context, 4):
        pairs = [StreamSocket.pair(context) for _ in range(8)]
        for left, right in pairs:
            context.spawn(ping, left, True)
            context.spawn(ping, right, False)
        counts = Counter[int]()
        for number in range(200):
            context.post(counts.update, [number])
    assert len(ended) == 16
    assert overlaps == []
    assert waits.most == 1
    assert waits.calls == context.counters().waits
    assert set(counts.values()) == {1}
    assert len(counts) == 200


def test_items_of_a_queue_reach_the_tasks_of_all_threads_exactly_once(context, system, waits):
    queue: Queue[int | None] = Queue(3, context=context)
    got: list[int] = []

    async def consume():
        while (item := await queue.get()) is not None:
            got.append(item)

    async def produce(begin):
        for number in range(begin, begin + 100):
            await queue.put(number)

    async def main():
        async with TaskGroup() as consumers:
            for _ in range(4):
                consumers.spawn(consume)
            async with TaskGroup() as producers:
                for number in range(4):
                    producers.spawn(produce, number * 100)
            for _ in range(4):
                await queue.put(None)

    with crew(context, 4):
        context.spawn(main)
    assert sorted(got) == list(range(400))


def test_a_group_waits_for_children_on_every_thread(context, system, waits):
    async def child(number):
        for _ in range(number % 5):
            await reactor.sleep(0)
        if number == 77:
            raise LookupError
        return number

    async def main():
        for _ in range(10):
            async with TaskGroup() as group:
                tasks = [group.spawn(child, number) for number in range(50)]
            assert [task.result() for task in tasks] == list(range(50))
        with pytest.raises(ExceptionGroup):
            async with TaskGroup() as group:
                for number in range(70, 80):
                    group.spawn(child, number)
        return "ended"

    with crew(context, 4):
        task = context.spawn(main)
    assert task.result() == "ended"
    assert context.task_count == 0


# -- From another thread


def _event(context):
    event = Event(context=context)
    return event.wait, event.set, None


def _queue(context):
    queue = Queue[str](context=context)
    return queue.get, lambda: queue.put_nowait("item"), "item"


def _timer(context):
    timer = Timer(context=context)
    return timer.wait, timer.cancel, Cause.CANCEL


def _socket(context):
    left, _ = StreamSocket.pair(context)
    return (lambda: left.recv(1)), left.cancel, Cause.CANCEL


def _send(context):
    left, _ = StreamSocket.pair(context)
    return (lambda: left.sendall(bytes(10_000_000))), left.cancel, Cause.CANCEL


def _receive(context):
    left, right = StreamSocket.pair(context)
    return (lambda: left.recv(1)), (lambda: right._sock.send(b"x")), b"x"


def _scope(context):
    scope = CancelScope()

    async def wait():
        with scope:
            await forever()
        return scope.cancelled_caught

    return wait, scope.cancel, True


def _group(context):
    group = TaskGroup()

    async def wait():
        async with group:
            group.spawn(forever)
        return "ended"

    return wait, group.cancel, "ended"


def _deadline(context):
    scope = CancelScope()

    async def wait():
        with scope:
            await forever()
        return scope.cancelled_caught

    return wait, lambda: scope.reschedule(context.time()), True


@pytest.mark.parametrize(
    "kind", [_event, _queue, _timer, _socket, _send, _receive, _scope, _group, _deadline]
)
@pytest.mark.parametrize("count", [1, 3])
def test_what_ends_a_wait_works_from_another_thread(context, system, waits, kind, count):
    """Nobody of the crew is awake: the leader is in the kernel, the followers asleep."""
    wait, end, expected = kind(context)

    async def main():
        try:
            return await wait()
        except OperationCancelled as exc:
            return exc.cause

    task = context.spawn(main)
    context.poll()
    assert not task.done
    with crew(context, count):
        end()
    assert task.result() == expected


@pytest.mark.parametrize("count", [1, 3])
def test_a_task_is_cancelled_from_another_thread(context, system, waits, count):
    task = context.spawn(forever)
    context.poll()
    with crew(context, count):
        assert task.cancel()
    assert task.cancelled


def test_a_cancel_that_races_the_event_ends_the_wait_once(context, system, waits):
    """Law 1, from two threads at once, many times over: one of them decides."""
    outcomes = Counter[str]()
    begin = threading.Barrier(2)

    async def main(event):
        try:
            await event.wait()
        except OperationCancelled:
            outcomes["cancelled"] += 1
        else:
            outcomes["set"] += 1

    with crew(context, 2), ThreadPoolExecutor(2) as pool:
        for _ in range(50):
            event = Event(context=context)
            task = context.spawn(main, event)

            def race(act):
                begin.wait(SAFETY)
                act()

            for future in [pool.submit(race, act) for act in (event.set, task.cancel)]:
                future.result(SAFETY)
    assert outcomes.total() == 50
    counters = context.counters()
    assert counters.claims_ready + counters.claims_cancel <= 50


def test_the_guard_may_be_released_from_many_threads_at_once(context, system, waits):
    guards = [context.work_guard() for _ in range(8)]
    threads = [Worker(context.run) for _ in range(2)]
    at_rest(context, 2)
    begin = threading.Barrier(len(guards))

    def release(guard):
        begin.wait(SAFETY)
        guard.release()
        guard.release()

    for worker in [Worker(release, guard) for guard in guards]:
        worker.end()
    for thread in threads:
        assert thread.end() == 0
    assert context.scheduler.signal.work == 0


def test_looking_at_a_running_context_from_outside_is_safe(context, system, waits):
    begun = Signal()

    async def churn():
        for number in range(300):
            if number == 10:
                begun.set()
            with reactor.timeout(1000):
                await context.spawn(turns, 2)

    with crew(context, 2):
        task = context.spawn(churn)
        begun.wait()
        while not task.done and not context.stopped:
            assert context.counters().handlers >= 0
            assert str(context.dump()).startswith("IoContext on")


# -- Closing


def test_close_waits_for_the_threads_to_leave(context, system, waits):
    inside, freed = Signal(), Signal()
    left = []

    def handler():
        inside.set()
        freed.wait()
        left.append("handler")

    guard = context.work_guard()  # there is work left: it is the leaving that must be told
    context.post(handler)
    runner = Worker(context.run)
    inside.wait()
    closer = Worker(context.close)
    system.asleep.wait()  # the closing thread waits
    assert context.stopped
    assert not context.closed
    assert left == []
    freed.set()
    closer.end()
    assert left == ["handler"]
    assert context.closed
    assert runner.end() == 1
    guard.release()


def test_close_calls_back_the_leader_and_the_followers(context, system, waits):
    task = context.spawn(forever)
    guard = context.work_guard()
    threads = [Worker(context.run) for _ in range(3)]
    at_rest(context, 3)
    context.close()
    assert sum(thread.end() for thread in threads) == 1
    assert task.cancelled
    guard.release()


def test_while_one_thread_closes_nobody_may_enter_or_give_work(context, system, waits):
    inside, freed = Signal(), Signal()

    def handler():
        inside.set()
        freed.wait()

    context.post(handler)
    runner = Worker(context.run)
    inside.wait()
    closer = Worker(context.close)
    system.asleep.wait()
    for use in (context.run, lambda: context.post(print), lambda: context.spawn(forever)):
        with pytest.raises(reactor.ContextClosedError):
            use()
    context.close()  # it is being closed: nothing to do
    assert not context.closed
    freed.set()
    closer.end()
    runner.end()


def test_several_threads_may_close_at_once(context, system, waits):
    begin = threading.Barrier(4)
    task = context.spawn(forever)
    context.poll()

    def close():
        begin.wait(SAFETY)
        context.close()

    for worker in [Worker(close) for _ in range(4)]:
        worker.end()
    assert context.closed
    assert task.cancelled


def test_a_restart_does_not_call_off_a_close_that_waits(context, system, waits):
    """Who was in `run` would go on, and close wait for them for ever."""
    entered, leave = Signal(), Signal()

    def hold():
        entered.set()
        leave.wait()

    guard = context.work_guard()
    context.post(hold)
    runner = Worker(context.run)
    entered.wait()
    closer = Worker(context.close)
    system.asleep.wait()
    context.restart()
    leave.set()
    runner.end()
    closer.end()
    guard.release()
