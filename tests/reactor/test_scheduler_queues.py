"""The queues of the threads inside `run()`: a task goes on where it was stepped last, if that can be."""

from __future__ import annotations

import threading
from contextlib import ExitStack, contextmanager

import pytest

from reactor import CancelScope, IoContext, StreamSocket
from reactor.descriptor import deliver
from reactor.local import current_task
from tests.reactor.scheduling import (
    SAFETY,
    Signal,
    WatchedSystem,
    WatchedWait,
    Worker,
    at_rest,
    crew,
    guarded,
)


@pytest.fixture
def context(spec):
    with guarded(IoContext(spec, system=WatchedSystem())) as made:
        WatchedWait(made)
        yield made


class Held:
    """A thread in a handler.

    Attributes:
        ident: of the thread.
        runner: it.
        error: what the handler raises in the end, if anything.
    """

    def __init__(self):
        self.ident = threading.get_ident()
        self.runner = current_task().runner
        self.error: Exception | None = None


@contextmanager
def held(context):
    """One of the threads is in a handler, which ends with the block; yields a `Held`."""
    entered, leave = Signal(), threading.Event()
    inside: list[Held] = []

    async def hold():
        inside.append(Held())
        entered.set()
        leave.wait(SAFETY)
        if inside[0].error is not None:
            raise inside[0].error

    context.spawn(hold)
    entered.wait()
    try:
        yield inside[0]
    finally:
        leave.set()


def receiving(context, count):
    """Tasks that wait for a byte, and the sockets that it comes to."""
    pairs = [StreamSocket.pair(context) for _ in range(count)]
    return [context.spawn(here.recv, 1) for here, _ in pairs], pairs


def test_a_task_that_became_ready_waits_where_it_was_stepped_last(context):
    """It is this that lets two threads do more than one without the GIL."""
    scheduler = context.scheduler
    with crew(context, 2), ExitStack() as stack:
        tasks, pairs = receiving(context, 2)
        at_rest(context, 2)
        runners = [stack.enter_context(held(context)).runner for _ in tasks]
        with scheduler.mutex:
            for task, runner in zip(tasks, runners, strict=True):
                task.runner = runner
            deliver(context.scheduler, [here._read for here, _ in pairs])
            found = [list(runner.queue) for runner in runners]
        for queue, runner in zip(found, runners, strict=True):
            if runner.queue is scheduler.queue:
                queue.remove(None)  # the reactor turn is there too
        assert found == [[task] for task in tasks]
        for _, there in pairs:
            there._sock.send(b"x")


def test_an_operation_is_of_the_task_that_does_it_and_not_of_another_thread_s(context):
    """The one that is held was alone, and has its budget yet; that of the other one is cancelled."""

    async def cancelled():
        with CancelScope() as scope:
            scope.cancel()
            await here.recv(1)
        return scope.cancelled_caught

    here, there = StreamSocket.pair(context)
    there._sock.send(b"x")
    with context.work_guard():
        threads = [Worker(context.run)]
        with held(context) as busy:
            assert context.scheduler.alone is busy.runner
            assert busy.runner.task.credit > 0
            threads.append(Worker(context.run))
            at_rest(context, 2, busy=1)
            assert context.scheduler.alone is None
            task = context.spawn(cancelled)
            at_rest(context, 2, busy=1)
            assert task.result()
    for thread in threads:
        thread.end()
    assert context.scheduler.alone is None


def test_who_is_left_alone_is_known_again(context):
    with context.work_guard():
        threads = [Worker(context.run) for _ in range(2)]
        at_rest(context, 2)
        with held(context) as stays:
            with held(context) as leaves:
                leaves.error = ZeroDivisionError("the end of its run")
            (leaver,) = [thread for thread in threads if thread.ident == leaves.ident]
            with pytest.raises(ZeroDivisionError):
                leaver.end()
            assert context.scheduler.alone is stays.runner
    threads.remove(leaver)
    threads[0].end()


def test_one_thread_of_all_uses_the_common_queue(context):
    scheduler = context.scheduler
    with crew(context, 3):
        with ExitStack() as stack:
            queues = [stack.enter_context(held(context)).runner.queue for _ in range(3)]
        used = {id(queue) for queue in queues}
        assert len(used) == 3
        assert used == {id(queue) for queue in scheduler.queues}
    assert scheduler.others == ()
    assert context.run() == 0
    assert scheduler.runners == ()


def test_what_waits_for_a_thread_that_is_busy_is_run_by_another(context):
    done = Signal()
    with crew(context, 2):
        tasks, pairs = receiving(context, 3)
        at_rest(context, 2)
        with held(context) as busy:
            at_rest(context, 2, busy=1)
            with context.scheduler.mutex:
                for task in tasks:
                    task.runner = busy.runner
                    task._on_done = done.set
            for _, there in pairs:
                there._sock.send(b"x")
            done.wait(len(tasks))
            assert all(task.runner is not busy.runner for task in tasks)


def test_a_follower_that_is_woken_takes_what_waits_for_a_busy_thread(context):
    """The leader is in the kernel, and is told nothing."""
    with crew(context, 3):
        (task,), ((here, there),) = receiving(context, 1)
        at_rest(context, 3)
        with held(context) as busy:
            at_rest(context, 3, busy=1)
            with context.scheduler.mutex:
                task.runner = busy.runner
                deliver(context.scheduler, [here._read])
                context.scheduler.wake()
            at_rest(context, 3, busy=1)
            assert task.runner is not busy.runner
        there._sock.send(b"x")
    assert task.result() == b"x"


def test_what_waits_for_a_thread_that_leaves_is_left_to_the_others(context):
    scheduler = context.scheduler
    with context.work_guard():
        threads = [Worker(context.run) for _ in range(2)]
        at_rest(context, 2)
        (task,), ((here, there),) = receiving(context, 1)
        at_rest(context, 2)
        stays, leaves = ExitStack(), ExitStack()
        with stays, leaves:
            one, other = stays.enter_context(held(context)), leaves.enter_context(held(context))
            if other.runner.queue is scheduler.queue:
                one, other, stays, leaves = other, one, leaves, stays
            (leaver,) = [thread for thread in threads if thread.ident == other.ident]
            with scheduler.mutex:
                task.runner = other.runner
                deliver(context.scheduler, [here._read])
                assert list(other.runner.queue) == [task]
            other.error = ZeroDivisionError("the end of its run")
            leaves.close()
            with pytest.raises(ZeroDivisionError):
                leaver.end()
            assert list(scheduler.queue) == [None, task]
            assert other.runner.queue is scheduler.queue
            there._sock.send(b"x")
    threads.remove(leaver)
    threads[0].end()
    assert task.result() == b"x"
