"""fork(2): what the child has of its parent's contexts, and that the parent does not notice."""

from __future__ import annotations

import os
import socket
import threading

import pytest

import reactor
from harness.provoke import forked
from reactor import ContextClosedError, IoContext, OperationCancelled, ReactorError

from .scheduling import SPECS, guarded


@pytest.fixture
def context(spec):
    with guarded(IoContext(spec)) as made:
        yield made


pytestmark = [
    pytest.mark.parametrize("spec", SPECS),
    # Python 3.12 on warns of forking with threads about, such as the test's watchdog.
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]


def count(*_):
    """Something to post."""


async def nothing():
    """Something to spawn."""


def numbers():
    """Which low descriptor numbers are open."""
    found = set()
    for number in range(100):
        try:
            os.fstat(number)
        except OSError:
            continue
        found.add(number)
    return found


def test_in_the_child_a_context_refuses_work_and_says_why(context):
    def child():
        for start in (
            lambda: context.post(count),
            lambda: context.spawn(nothing),
            context.run,
            context.poll,
            lambda: reactor.StreamSocket(context=context),
        ):
            with pytest.raises(ContextClosedError, match="belongs to the process that forked"):
                start()
        assert context.task_count == context.timer_count == 0

    context.spawn(reactor.sleep, 3600)
    context.poll()
    forked(child)
    assert context.task_count == context.timer_count == 1


def test_closing_in_the_child_gives_everything_back_there_and_only_there(spec):
    before = numbers()
    ran = []

    async def with_cleanup(sock):
        try:
            await sock.recv(1)
        finally:
            ran.append(os.getpid())

    with guarded(IoContext(spec)) as context:
        left, right = reactor.StreamSocket.pair(context)
        context.spawn(with_cleanup, left)
        context.spawn(reactor.sleep, 3600)
        context.poll()

        def child():
            context.close()
            context.close()
            assert len(numbers() - before) <= 1  # the pipe to the parent
            assert context.closed
            assert left.closed
            assert right.closed
            assert not ran  # no code of the user ran

        forked(child)

        async def go_on():
            await right.sendall(b"x")

        context.spawn(go_on)
        context.run_for(0.01)
        assert ran == [os.getpid()]


def test_closing_a_socket_in_the_child_leaves_it_in_the_parents_poller(context):
    left, right = reactor.StreamSocket.pair(context)
    recv = context.spawn(left.recv, 10)
    context.poll()
    forked(left.close)
    context.spawn(right.sendall, b"still there")
    context.run()
    assert recv.result() == b"still ther"


def test_a_deadline_of_the_parent_stays_armed(context):
    sleep = context.spawn(reactor.sleep, 0.05)
    context.poll()
    forked(context.close)
    context.run()
    assert sleep.done


def test_a_lock_that_another_thread_held_at_the_fork_stops_nobody(context):
    held, done = threading.Event(), threading.Event()

    def hold():
        with context.scheduler.mutex:
            held.set()
            done.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(10)
    try:
        forked(context.close)
    finally:
        done.set()
        thread.join()


def test_a_child_can_run_a_context_of_its_own_even_from_inside_a_handler(context, spec):
    async def echo():
        left, right = reactor.StreamSocket.pair()
        with left, right:
            await left.sendall(b"x")
            assert await right.recv(1) == b"x"

    def child():
        reactor.run(echo, backend=spec)

    context.post(forked, child)
    assert context.run() == 1


def test_run_returns_in_the_child_after_the_handler_that_forked(context):
    """Without `os._exit` the child comes back into the loop: nothing more may run there."""
    told: list[int] = []
    right, left = socket.socketpair()
    with left, right:

        def fork():
            told.append(os.fork())

        context.post(fork)
        context.post(told.append, -1)
        ran = context.run()
        if told[0] == 0:
            left.send(f"{ran} {told}".encode())
            os._exit(0)
        os.waitpid(told[0], 0)
        assert right.recv(100) == b"1 [0]"
        assert (ran, told[1:]) == (2, [-1])


def test_a_task_that_goes_on_in_the_child_can_start_nothing(context):
    right, left = socket.socketpair()
    stream, other = reactor.StreamSocket.pair(context)
    with left, right:

        async def fork():
            await other.sendall(b"data")
            child = os.fork()
            if child:
                os.waitpid(child, 0)
                return await stream.recv(10)
            try:
                await stream.recv(10)
            except OperationCancelled as exc:
                try:
                    context.close()
                except ReactorError:
                    left.send(exc.cause_name.encode())
            os._exit(0)

        task = context.spawn(fork)
        context.run()
        assert task.result() == b"data"
        assert right.recv(100) == b"close"
