"""Strands: what belongs to one never runs at the same time, in order, and no thread is held for it."""

from __future__ import annotations

import inspect
import threading
from contextvars import ContextVar

import pytest

import reactor
from reactor import ContextClosedError, Event, IoContext, OperationCancelled, Strand, TaskGroup
from tests.reactor.scheduling import (
    Signal,
    WatchedSystem,
    WatchedWait,
    Worker,
    at_rest,
    forever,
    guarded,
    live,
    turns,
)


@pytest.fixture
def strand(context):
    return Strand(context=context)


class Alone:
    """Something that only one may be in at a time."""

    def __init__(self):
        self._lock = threading.Lock()
        self.entered = 0
        self.overlaps = 0

    def visit(self):
        if not self._lock.acquire(blocking=False):
            self.overlaps += 1
            return
        self.entered = self.entered + 1
        self._lock.release()


def test_posted_calls_run_in_order(context, strand):
    seen: list[object] = []
    for number in range(5):
        strand.post(seen.append, number)
    assert context.run() == 5
    assert seen == [0, 1, 2, 3, 4]
    strand.post(seen.append, 5)
    context.run()
    assert seen[-1] == 5


def test_a_call_posted_inside_runs_after_what_waits(context, strand):
    seen: list[object] = []

    def first():
        strand.post(seen.append, "third")
        seen.append("first")

    strand.post(first)
    strand.post(seen.append, "second")
    context.run()
    assert seen == ["first", "second", "third"]


def test_a_task_comes_between_calls_in_the_order_of_spawning(context, strand):
    seen: list[object] = []

    async def task():
        seen.append("task")
        await reactor.sleep(0)
        seen.append("again")
        return "result"

    strand.post(seen.append, "before")
    made = strand.spawn(task, name="named")
    strand.post(seen.append, "after")
    context.run()
    assert seen == ["before", "task", "after", "again"]
    assert made.result() == "result"
    assert made.name == "named"


def test_what_waits_lets_the_others_of_its_strand_run(context, strand):
    """Two tasks of one strand that wait for each other are no deadlock."""
    event = Event(context=context)

    async def wait():
        await event.wait()
        return "woken"

    async def set_it():
        event.set()

    waiter = strand.spawn(wait)
    strand.spawn(set_it)
    context.run()
    assert waiter.result() == "woken"


def test_a_call_that_raises_hands_the_turn_on(context, strand):
    seen: list[object] = []

    def fail():
        raise ArithmeticError("on purpose")

    strand.post(fail)
    strand.post(seen.append, 1)
    with pytest.raises(ArithmeticError, match="on purpose"):
        context.run()
    context.run()
    assert seen == [1]


def test_a_task_that_raises_hands_the_turn_on(context, strand):
    seen: list[object] = []

    async def fail():
        raise ArithmeticError("on purpose")

    strand.spawn(fail)
    strand.post(seen.append, 1)
    with pytest.raises(ArithmeticError, match="on purpose"):
        context.run()
    context.run()
    assert seen == [1]


def test_what_is_awaited_raises_inside_as_without_a_strand(context, strand):
    left, right = reactor.StreamSocket.pair(context)

    async def second_receive():
        await left.recv(1)

    async def main():
        with left, right:
            async with TaskGroup() as group:
                first = group.spawn(left.recv, 1)
                await turns()
                with pytest.raises(reactor.BusyError):
                    await strand.spawn(second_receive)
                first.cancel()
        with pytest.raises(reactor.ClosedError):
            await strand.spawn(second_receive)

    context.spawn(main)
    context.run()


def test_cancelling_ends_what_is_waited_for_and_leaves_the_strand_usable(context, strand):
    causes = []

    async def wait():
        try:
            await forever()
        except OperationCancelled as exc:
            causes.append(exc.cause_name)
            with reactor.CancelScope(shield=True):
                await reactor.sleep(0)
            causes.append("cleaned up")
            raise

    task = strand.spawn(wait)
    context.poll()
    task.cancel()
    context.run()
    assert task.cancelled
    assert causes == ["cancel", "cleaned up"]
    strand.post(causes.append, "after")
    context.run()
    assert causes[-1] == "after"


def test_a_timeout_holds_inside(context, strand):
    async def wait():
        with pytest.raises(TimeoutError), reactor.timeout(0):
            await forever()
        return "went on"

    task = strand.spawn(wait)
    context.run()
    assert task.result() == "went on"


def test_context_variables_are_those_of_the_place_that_posts(context, strand):
    variable = ContextVar("variable", default="none")
    seen: list[object] = []
    variable.set("mine")
    strand.post(lambda: seen.append(variable.get()))
    variable.set("later")
    context.run()
    assert seen == ["mine"]


@pytest.mark.parametrize("function", [None, 42])
def test_what_cannot_be_run_is_refused(context, strand, function):
    with pytest.raises(TypeError, match="something to call"):
        strand.post(function)
    with pytest.raises(TypeError, match="an async function"):
        strand.spawn(function)
    seen: list[object] = []
    strand.post(seen.append, 1)
    context.run()
    assert seen == [1], "and took no place in the queue"


# -- Closing


def test_a_closed_context_takes_nothing_more(spec):
    with live(spec) as context:
        strand = Strand(context=context)
    with pytest.raises(ContextClosedError):
        strand.post(print)
    with pytest.raises(ContextClosedError):
        strand.spawn(forever)


def test_a_task_that_is_spawned_while_the_context_is_closed_is_refused(spec):
    context = IoContext(spec)
    strand = Strand(context=context)
    made = []

    def close_first():
        context.close()
        made.append(turns())
        return made[0]

    with pytest.raises(ContextClosedError):
        strand.spawn(close_first)
    assert inspect.getcoroutinestate(made[0]) == inspect.CORO_CLOSED


@pytest.mark.parametrize("begun", [True, False])
def test_close_ends_the_tasks_and_drops_the_calls(spec, begun):
    """Also those that wait for their turn, which nobody gives them any more."""
    seen: list[str] = []

    async def wait(name):
        try:
            await forever()
        finally:
            seen.append(name)

    context = IoContext(spec)
    strand = Strand(context=context)
    for name in ("a", "b"):
        strand.spawn(wait, name)
        strand.post(seen.append, "a call ran")
    if begun:
        context.run_one()
    context.close()
    assert sorted(seen) == ["a", "b"]
    assert context.task_count == 0


# -- Several threads


def test_no_thread_is_held_while_another_has_the_turn(spec):
    system = WatchedSystem()
    with guarded(IoContext(spec, system=system)) as context:
        WatchedWait(context)
        strand = Strand(context=context)
        entered, leave, other = Signal(), Signal(), Signal()
        seen: list[object] = []

        def hold():
            entered.set()
            leave.wait()
            seen.append("held")

        with context.work_guard():
            threads = [Worker(context.run) for _ in range(2)]
            strand.post(hold)
            entered.wait()
            strand.post(seen.append, "next")
            context.post(other.set)
            other.wait()  # the second thread serves others
            assert seen == []
            leave.set()
            at_rest(context, 2)
            assert seen == ["held", "next"]
        for thread in threads:
            thread.end()


def test_a_cancelled_task_waits_for_its_turn_to_clean_up(spec):
    system = WatchedSystem()
    with guarded(IoContext(spec, system=system)) as context:
        WatchedWait(context)
        strand = Strand(context=context)
        entered, leave, other = Signal(), Signal(), Signal()
        seen: list[object] = []

        async def wait():
            try:
                await forever()
            finally:
                seen.append("cleaned up")

        def hold():
            entered.set()
            leave.wait()
            seen.append("held")

        with context.work_guard():
            task = strand.spawn(wait)
            threads = [Worker(context.run) for _ in range(2)]
            at_rest(context, 2)
            strand.post(hold)
            entered.wait()
            task.cancel()
            context.post(other.set)
            other.wait()  # the second thread has been at the task by then
            assert seen == []
            leave.set()
            at_rest(context, 2)
            assert seen == ["held", "cleaned up"]
        for thread in threads:
            thread.end()


@pytest.mark.parametrize("threads", [1, 4])
def test_calls_and_steps_are_alone_with_any_number_of_threads(context, threads):
    alone = Alone()
    strand = Strand(context=context)
    calls, tasks, steps = 400, 20, 20

    async def walk():
        for _ in range(steps):
            alone.visit()
            await reactor.sleep(0)

    def produce():
        for number in range(calls):
            strand.post(alone.visit)
            if number % (calls // tasks) == 0:
                strand.spawn(walk)

    guard = context.work_guard()
    runners = [Worker(context.run) for _ in range(threads)]
    producers = [Worker(produce) for _ in range(2)]
    for producer in producers:
        producer.end()
    guard.release()
    for runner in runners:
        runner.end()
    assert alone.overlaps == 0
    assert alone.entered == 2 * (calls + tasks * steps)


def test_calls_of_one_thread_keep_their_order_with_many_runners(context, strand):
    seen: list[tuple[int, int]] = []

    def produce(who):
        for number in range(300):
            strand.post(seen.append, (who, number))

    guard = context.work_guard()
    runners = [Worker(context.run) for _ in range(3)]
    producers = [Worker(produce, who) for who in range(2)]
    for producer in producers:
        producer.end()
    guard.release()
    for runner in runners:
        runner.end()
    for who in range(2):
        assert [number for by, number in seen if by == who] == list(range(300))
