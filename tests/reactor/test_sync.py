"""Events, queues and the gate: order, and that nothing handed over is lost."""

from __future__ import annotations

import pytest

import reactor
from reactor import (
    CancelScope,
    Event,
    OperationCancelled,
    Queue,
    QueueEmpty,
    QueueFull,
    ReactorError,
    current_context,
)
from reactor.sync import Gate
from tests.reactor.scheduling import SPECS, Signal, Worker, live, run, started, turns


@pytest.fixture(params=SPECS)
def context(request):
    with live(request.param) as made:
        yield made


async def queue_of(*items, maxsize=0):
    queue: Queue[object] = Queue(maxsize)
    for item in items:
        queue.put_nowait(item)
    return queue


# -- Event


def test_an_event_lets_everybody_go_in_the_order_in_which_they_came():
    async def main():
        event = Event()
        order = []

        async def wait(number):
            await event.wait()
            order.append(number)

        tasks = [await started(wait, number) for number in range(5)]
        assert not event.is_set()
        event.set()
        event.set()
        assert event.is_set()
        for task in tasks:
            await task
        assert order == list(range(5))

    run(main)


def test_nobody_waits_for_an_event_that_is_set():
    async def main():
        event = Event()
        event.set()
        for _ in range(3):
            await event.wait()
        before = current_context().counters().handlers
        await event.wait()
        assert current_context().counters().handlers == before

    run(main)


def test_a_cleared_event_is_waited_for_again():
    async def main():
        event = Event()
        event.set()
        event.clear()
        assert not event.is_set()
        task = await started(event.wait)
        assert not task.done
        event.set()
        await task

    run(main)


def test_who_was_woken_goes_on_though_the_event_is_cleared_at_once():
    async def main():
        event = Event()
        task = await started(event.wait)
        event.set()
        event.clear()
        await task
        assert not event.is_set()
        late = await started(event.wait)
        assert not late.done
        late.cancel()

    run(main)


def test_a_cancelled_waiter_leaves_the_event():
    async def main():
        event = Event()
        tasks = [await started(event.wait) for _ in range(3)]
        tasks[1].cancel()
        await turns()
        assert [task.done for task in tasks] == [False, True, False]
        event.set()
        await tasks[0]
        await tasks[2]

    run(main)


def test_an_event_may_be_set_from_another_thread(context):
    event = Event(context=context)
    task = context.spawn(event.wait)
    context.poll()
    runner = Worker(context.run)
    event.set()
    runner.end()
    assert task.done


# -- Queue


def test_items_come_out_in_the_order_in_which_they_went_in():
    async def main():
        queue = await queue_of(*range(3))
        await queue.put(3)
        assert len(queue) == 4
        assert [await queue.get(), queue.get_nowait(), await queue.get(), queue.get_nowait()] == [
            0,
            1,
            2,
            3,
        ]
        assert len(queue) == 0

    run(main)


@pytest.mark.parametrize("item", [None, 0, "", (), False])
def test_an_item_may_be_anything(item):
    async def main():
        queue = await queue_of(item)
        assert await queue.get() is item
        task = await started(queue.get)
        queue.put_nowait(item)
        assert await task is item
        full = await queue_of("first", maxsize=1)
        putter = await started(full.put, item)
        assert await full.get() == "first"
        await putter
        assert full.get_nowait() is item

    run(main)


def test_getters_are_served_in_the_order_in_which_they_came():
    async def main():
        queue = await queue_of()
        tasks = [await started(queue.get) for _ in range(5)]
        for number in range(5):
            queue.put_nowait(number)
        assert len(queue) == 0, "they are handed over at once"
        assert [await task for task in tasks] == list(range(5))

    run(main)


def test_a_getter_that_comes_later_does_not_overtake():
    """The item was handed to the first before that one ran."""

    async def main():
        queue = await queue_of()
        first = await started(queue.get)
        queue.put_nowait("for the first")
        with pytest.raises(QueueEmpty):
            queue.get_nowait()
        second = await started(queue.get)
        assert await first == "for the first"
        assert not second.done
        second.cancel()

    run(main)


def test_a_cancelled_getter_has_taken_nothing():
    async def main():
        queue = await queue_of()
        tasks = [await started(queue.get) for _ in range(3)]
        tasks[0].cancel()
        queue.put_nowait("item")
        assert await tasks[1] == "item"
        tasks[2].cancel()
        await turns()
        queue.put_nowait("kept")
        assert queue.get_nowait() == "kept"

    run(main)


def test_what_was_handed_over_is_not_lost_by_a_cancel():
    """Law 1: the hand-over came first, so the cancel finds nothing to take."""

    async def main():
        queue = await queue_of()
        got = []

        async def getter():
            with CancelScope() as scope:
                scopes.append(scope)
                got.append(await queue.get())
                got.append(await queue.get())

        scopes: list[CancelScope] = []
        task = await started(getter)
        queue.put_nowait("one")
        queue.put_nowait("two")
        scopes[0].cancel()
        await task
        assert got == ["one"]
        assert queue.get_nowait() == "two"

    run(main)


def test_putting_waits_for_room_and_goes_in_in_order():
    async def main():
        queue = await queue_of("a", "b", maxsize=2)
        putters = [await started(queue.put, item) for item in "cde"]
        assert not any(task.done for task in putters)
        assert len(queue) == 2
        assert queue.get_nowait() == "a"
        assert len(queue) == 2, "who waited took the place at once"
        await turns()
        assert [task.done for task in putters] == [True, False, False]
        assert [await queue.get() for _ in range(4)] == list("bcde")
        await turns()
        assert all(task.done for task in putters)

    run(main)


def test_a_cancelled_putter_has_put_nothing():
    async def main():
        queue = await queue_of("a", maxsize=1)
        cancelled = await started(queue.put, "never")
        other = await started(queue.put, "b")
        cancelled.cancel()
        await turns()
        assert [await queue.get(), await queue.get()] == ["a", "b"]
        await other
        with pytest.raises(QueueEmpty):
            queue.get_nowait()

    run(main)


def test_what_was_put_stays_though_the_putter_is_cancelled_then():
    async def main():
        queue = await queue_of("a", maxsize=1)
        putter = await started(queue.put, "b")
        assert queue.get_nowait() == "a"
        putter.cancel()
        await putter
        assert not putter.cancelled
        assert queue.get_nowait() == "b"

    run(main)


def test_no_room_and_no_item_are_errors_of_the_calls_that_do_not_wait():
    async def main():
        queue = await queue_of(maxsize=2)
        with pytest.raises(QueueEmpty, match="empty"):
            queue.get_nowait()
        queue.put_nowait(1)
        queue.put_nowait(2)
        with pytest.raises(QueueFull, match="holds 2 items"):
            queue.put_nowait(3)
        assert len(queue) == 2

    run(main)


def test_a_full_queue_takes_what_somebody_waits_for():
    """Nothing is full for a getter that is there: its item goes past the queue."""

    async def main():
        queue = await queue_of(maxsize=1)
        getter = await started(queue.get)
        queue.put_nowait("handed")
        queue.put_nowait("stored")
        with pytest.raises(QueueFull):
            queue.put_nowait("too many")
        assert await getter == "handed"

    run(main)


def test_without_a_limit_nobody_waits_to_put():
    async def main():
        queue = await queue_of()
        for number in range(10_000):
            await queue.put(number)
        assert len(queue) == 10_000

    run(main)


def test_a_negative_size_is_a_value_error(context):
    with pytest.raises(ValueError, match="maxsize must be 0"):
        Queue(-1, context=context)


def test_the_calls_that_do_not_wait_may_come_from_another_thread(context):
    queue: Queue[str] = Queue(1, context=context)
    put = Signal()

    async def main():
        first = await queue.get()
        await queue.put("back")
        put.set()
        await queue.put("and again")
        return first

    task = context.spawn(main)
    context.poll()
    runner = Worker(context.run)
    queue.put_nowait("there")
    put.wait()
    assert queue.get_nowait() == "back"
    runner.end()
    assert task.result() == "there"
    assert queue.get_nowait() == "and again"


@pytest.mark.parametrize("make", [Event, Queue])
def test_what_tasks_share_needs_a_context(make):
    with pytest.raises(ReactorError, match="context="):
        make()


# -- Gate


def test_a_gate_lets_one_through_at_a_time_in_order():
    async def main():
        gate = Gate(current_context().scheduler, "the gate")
        order = []

        async def pass_through(number):
            await gate.enter()
            order.append(("in", number))
            await turns(2)
            order.append(("out", number))
            gate.leave()

        tasks = [await started(pass_through, number) for number in range(4)]
        for task in tasks:
            await task
        assert order == [(way, number) for number in range(4) for way in ("in", "out")]
        assert gate.try_enter()

    run(main)


def test_a_gate_can_be_tried():
    async def main():
        gate = Gate(current_context().scheduler, "the gate")
        assert gate.try_enter()
        assert not gate.try_enter()
        gate.leave()
        assert gate.try_enter()
        gate.leave()
        await gate.enter()
        assert not gate.try_enter()

    run(main)


def test_nobody_slips_through_a_gate_that_was_handed_on():
    async def main():
        gate = Gate(current_context().scheduler, "the gate")
        await gate.enter()
        task = await started(gate.enter)
        gate.leave()
        assert not gate.try_enter(), "it belongs to who waited, though that one has not run yet"
        await task

    run(main)


def test_who_is_cancelled_before_a_gate_is_skipped():
    async def main():
        gate = Gate(current_context().scheduler, "the gate")
        await gate.enter()
        first, second = await started(gate.enter), await started(gate.enter)
        assert len(gate.waiters) == 2
        first.cancel()
        with pytest.raises(OperationCancelled):
            await first
        gate.leave()
        await second
        gate.leave()
        assert gate.try_enter()

    run(main)


def test_a_gate_is_not_entered_in_a_cancelled_scope():
    async def main():
        gate = Gate(current_context().scheduler, "the gate")
        with CancelScope() as scope:
            scope.cancel()
            await gate.enter()
        assert scope.cancelled_caught
        assert gate.try_enter()
        await reactor.sleep(0)

    run(main)
