"""Bugs that several threads of one context had: each was seen in a run of the scenarios.

What a second thread does at the wrong moment is done here at exactly that moment: inside the append
that makes a task visible, or before the mutex is taken.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

import pytest

import reactor
from reactor import IoContext, OperationCancelled, System
from reactor.operation import BUDGET, IDLE
from reactor.task import _PATIENCE

from .scheduling import SPECS, guarded

#: Seconds after which a second thread that cannot go on is left alone.
STUCK = 5


class HookedLock:
    """A mutex before whose taking something may be done."""

    def __init__(self):
        self._lock = threading.Lock()
        self.before = None

    def __enter__(self):
        return self.acquire()

    def __exit__(self, *exc):
        self._lock.release()

    def acquire(self, *args):
        if self.before is not None:
            self.before()
        return self._lock.acquire(*args)

    def release(self):
        self._lock.release()


class HookedSystem(System):
    def lock(self):
        return HookedLock()


class TakenAtOnce(deque[Any]):
    """A queue off which another thread takes what is `wanted` as soon as it is there, and steps it."""

    def __init__(self, items, mutex):
        super().__init__(items)
        self.wanted: list[Any] = []
        self.threads: list[threading.Thread] = []
        self._at_mutex = threading.Event()
        mutex.before = self._arrive

    def _arrive(self):
        if threading.current_thread() in self.threads:
            self._at_mutex.set()

    def append(self, item):
        super().append(item)
        if item in self.wanted:
            self.wanted.remove(item)
            self.remove(item)
            thread = threading.Thread(target=item.step, daemon=True)
            self.threads.append(thread)
            thread.start()
            # Not to its end: sooner or later it needs the mutex, and we have that.
            assert self._at_mutex.wait(STUCK)


@pytest.fixture
def taken(spec):
    """A context, and a function that runs a task which another thread takes at once when it defers."""
    with guarded(IoContext(spec, system=HookedSystem())) as context:
        scheduler = context.scheduler
        queue = TakenAtOnce(scheduler.queue, scheduler.mutex)
        scheduler.queue = queue

        def run(function, *args):
            task = context.spawn(function, *args)
            queue.wanted.append(task)
            context.poll()
            for thread in queue.threads:
                thread.join(STUCK)
            context.run()
            assert queue.threads
            return task.result()

        yield context, run


@pytest.mark.parametrize("spec", SPECS)
def test_a_receive_that_defers_may_be_resumed_before_its_thread_has_let_go(taken):
    """The operation was not in the task yet, so nobody resumed it: BusyError for the next one."""
    context, run = taken
    left, right = reactor.StreamSocket.pair(context)
    count = 2 * BUDGET

    async def main():
        await left.sendall(bytes(range(count)))
        return b"".join([await right.recv(1) for _ in range(count)])

    assert run(main) == bytes(range(count))


@pytest.mark.parametrize("spec", SPECS)
def test_a_cancelled_task_that_waits_on_is_told_again_whoever_resumes_it(taken):
    """The cause was decided after the task was on the queue: the wait seemed to have succeeded."""
    _, run = taken
    count = 3 * _PATIENCE

    async def stubborn():
        told = 0
        reactor.current_task().cancel()
        for _ in range(count):
            try:
                await reactor.sleep(3600)
            except OperationCancelled:
                told += 1
        return told

    assert run(stubborn) == count


# -- Between the resumption of a wait and the moment when it is told


@pytest.fixture
def hooked(spec):
    """A context, and a function that does something once, before the mutex is taken, when it is time."""
    with guarded(IoContext(spec, system=HookedSystem())) as context:

        def once(when, then):
            def before():
                if when():
                    context.scheduler.mutex.before = None
                    then()

            context.scheduler.mutex.before = before

        yield context, once


@pytest.mark.parametrize("spec", SPECS)
def test_a_timer_can_be_cancelled_until_its_waiter_is_told(hooked):
    context, once = hooked
    counts = []

    async def main():
        timer = reactor.Timer()
        timer.expires_after(0)
        once(
            lambda: any(op.state is IDLE for op in timer._waits),
            lambda: counts.append(timer.cancel()),
        )
        try:
            await timer.wait()
        except OperationCancelled as exc:
            return exc.cause_name
        return "fired"

    task = context.spawn(main)
    context.run()
    assert (counts, task.result()) == ([1], "cancel")


@pytest.mark.parametrize("spec", SPECS)
def test_an_accept_can_be_cancelled_until_it_is_told_that_it_is_its_turn(hooked):
    context, once = hooked
    acceptor = reactor.listen_tcp(context=context)
    gate = acceptor._gate
    counts = []
    ended = []

    async def accept(name):
        try:
            (await acceptor.accept()).close()
        except OperationCancelled:
            ended.append((name, "cancelled"))
        else:
            ended.append((name, "accepted"))

    async def main():
        tasks = [context.spawn(accept, name) for name in ("first", "second")]
        await reactor.sleep(0.01)
        once(
            lambda: gate._next is not None and gate._next.state is IDLE,
            lambda: counts.append(acceptor.cancel()),
        )
        for _ in range(2):
            client = reactor.StreamSocket()
            await client.connect(acceptor.getsockname())
            client.close()
        for task in tasks:
            await task
        await accept("third")

    task = context.spawn(main)
    context.run()
    task.result()
    assert counts == [1]
    assert ended == [("first", "accepted"), ("second", "cancelled"), ("third", "accepted")]


@pytest.mark.parametrize("spec", SPECS)
def test_a_dump_does_not_stumble_over_a_task_that_is_just_resumed(spec):
    """It looked twice, and the operation was gone the second time."""
    with guarded(IoContext(spec)) as context:
        task = context.spawn(reactor.sleep, 3600)
        context.poll()
        looks = iter([task.operation, task.operation])

        class Resumed:
            name = "fleeting"

            @property
            def operation(self):
                return next(looks, None)

        context.scheduler.tasks[Resumed()] = None
        try:
            assert "fleeting: suspended, waits for a timer" in str(context.dump())
        finally:
            context.scheduler.tasks.popitem()


@pytest.mark.parametrize("cancelled", [False, True])
@pytest.mark.parametrize("spec", SPECS)
def test_a_cancel_beside_a_park_leaves_no_budget(spec, cancelled):
    """Law 4: the cancel took the budget, readiness was first, and a step begins with a new one."""
    with guarded(IoContext(spec)) as context:
        left, right = reactor.StreamSocket.pair(context)
        got: list[Any] = []

        async def receive():
            got.append(await left.recv(1))
            try:
                got.append(await left.recv(1))
            except OperationCancelled:
                got.append("cancelled")

        task = context.spawn(receive)
        context.poll()
        right._sock.send(b"ab")
        with context.scheduler.mutex:
            if cancelled:
                scope = task.own_scope()
                scope.cancel_called = True
                task.interrupted = True
                task.credit = BUDGET
        context.run()
        assert got == [b"a", "cancelled" if cancelled else b"b"]
