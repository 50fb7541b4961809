"""Wakers: how the leader is called back out of the kernel wait."""

from __future__ import annotations

import errno
import os
import select
import sys
import threading
import time

import pytest

import reactor
from harness.faults import FaultTable, Rule
from reactor import System
from reactor.backends.base import WAKERS
from reactor.wakers import FdWaker, PipeWaker
from tests.reactor.places import everywhere

kinds = pytest.mark.parametrize(
    "name", [name for name in WAKERS if name == "pipe" or System().has(name)]
)


class Lying(System):
    """Writes to a waker fail as they are told to."""

    def __init__(self):
        self.errors = []
        self.written = []
        self.closed = []

    def write(self, fd, data):
        self.written.append((fd, data))
        if self.errors:
            code = self.errors.pop(0)
            raise OSError(code, os.strerror(code))
        return super().write(fd, data)

    def close(self, fd):
        self.closed.append(fd)
        super().close(fd)


@pytest.fixture
def system():
    return Lying()


@pytest.fixture
def waker(system, name):
    waker = WAKERS[name](system)
    yield waker
    if not system.closed:
        waker.close()


def readable(waker):
    return bool(select.select([waker.fd], [], [], 0)[0])


@kinds
def test_waking_makes_it_readable_and_draining_takes_it_back(waker, name):
    assert waker.name == name
    assert not readable(waker)
    assert waker.wake()
    assert readable(waker)
    waker.drain()
    assert not readable(waker)
    waker.drain()  # nothing there: no error, no wait


@kinds
def test_many_wake_ups_are_taken_back_at_once(waker):
    for _ in range(5000):
        assert waker.wake()
    waker.drain()
    assert not readable(waker)


@kinds
def test_its_descriptors_do_not_block_and_are_not_inherited(waker):
    for fd in {waker.fd, waker._write_end}:
        assert not os.get_blocking(fd)
        assert not os.get_inheritable(fd)


def test_an_eventfd_is_one_number_and_a_pipe_two(system):
    for name in WAKERS:
        if name == "pipe" or system.has(name):
            waker = WAKERS[name](system)
            assert (waker.fd == waker._write_end) is (name == "eventfd")
            waker.close()
            assert len(set(system.closed)) == len(system.closed) == (1 if name == "eventfd" else 2)
            for fd in system.closed:
                assert not system.is_open(fd)
            system.closed = []


@kinds
def test_a_full_waker_says_that_it_failed(waker):
    """It has something to read anyway, and who asks again later must not be coalesced away."""
    if waker.name == "pipe":
        try:
            while True:
                os.write(waker._write_end, bytes(65536))
        except BlockingIOError:
            pass
    else:
        os.write(waker.fd, (2**64 - 2).to_bytes(8, sys.byteorder))
    assert not waker.wake()
    assert readable(waker)
    waker.drain()
    assert not readable(waker)
    assert waker.wake()
    assert readable(waker)


@kinds
@pytest.mark.parametrize("code", [errno.EAGAIN, errno.EPIPE, errno.EBADF, errno.ENOMEM])
def test_a_write_that_fails_says_so(waker, system, code):
    """corosio ca33581 took EAGAIN for success, and every later wake-up for superfluous."""
    system.errors = [code]
    assert not waker.wake()
    assert waker.wake()
    assert readable(waker)


@kinds
def test_a_write_that_is_interrupted_is_repeated(waker, system):
    system.errors = [errno.EINTR, errno.EINTR]
    assert waker.wake()
    assert len(system.written) == 3
    assert len({token for _, token in system.written}) == 1
    assert readable(waker)


def test_draining_goes_on_while_there_is_more():
    class Chunks(System):
        chunks = [4096, 4096, 10, 0]  # noqa: RUF012 - emptied by the one test

        def read(self, fd, size):
            return bytes(self.chunks.pop(0))

    system = Chunks()
    FdWaker(system, 1, 2, b"\0").drain()
    assert system.chunks == [0]


@pytest.mark.parametrize("error", [BlockingIOError, InterruptedError])
def test_draining_is_not_stopped_by_what_is_no_error(error):
    """It is watched level-triggered: what is left is reported again."""

    class Empty(System):
        def read(self, fd, size):
            raise error

    FdWaker(Empty(), 1, 2, b"\0").drain()


def test_a_pipe_that_cannot_be_had():
    class Out(System):
        def pipe(self):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with pytest.raises(OSError, match="many open files"):
        PipeWaker(Out())


# -- In a context


@everywhere
def test_ten_thousand_interrupts_do_not_block(where):
    """From a thread, while the leader sleeps and while it is busy: nobody waits for anybody."""
    with where.context() as context:
        backend = context.backend
        begun = time.monotonic()
        thread = threading.Thread(target=lambda: [backend.interrupt() for _ in range(10_000)])
        thread.start()
        thread.join(20)
        assert not thread.is_alive()
        assert time.monotonic() - begun < 20
        assert backend.wait(20) == []  # at once
        begun = time.monotonic()
        assert backend.wait(0.01) == []
        assert time.monotonic() - begun >= 0.01, "the first wait took all of them"


@everywhere
def test_wake_ups_of_a_leader_that_is_awake_cost_nothing(where):
    """docs/contract.md, law 2: only one that waits is called back, and only once."""
    table = FaultTable()

    async def main():
        context = reactor.current_context()
        ran: list[int] = []
        before = table.calls["wake"]
        for number in range(100):
            context.post(ran.append, number)
        await reactor.sleep(0)
        assert ran == list(range(100))
        assert table.calls["wake"] == before

    where.run(main, table)


class Sleeper:
    """A context whose leader sleeps in another thread, without a limit."""

    def __init__(self, context):
        self.context = context
        self._asleep = threading.Event()
        self._wait = context.backend.wait
        context.backend.wait = self._waiting
        self.guard = context.work_guard()
        self._thread = threading.Thread(target=context.run)
        self._thread.start()
        self.until_asleep()

    def _waiting(self, timeout):
        if timeout is None:
            self._asleep.set()
        return self._wait(timeout)

    def until_asleep(self):
        assert self._asleep.wait(10)
        self._asleep.clear()

    def finish(self):
        self.guard.release()
        self._thread.join(10)
        assert not self._thread.is_alive()


@everywhere
def test_a_sleeping_leader_is_called_back_once_for_many_calls(where):
    table = FaultTable()
    with where.context(table) as context:
        sleeper = Sleeper(context)
        done = threading.Event()
        gate = threading.Event()
        before = context.counters().interrupts
        context.post(gate.wait, 10)
        for _ in range(50):
            context.post(lambda: None)
        context.post(done.set)
        gate.set()
        assert done.wait(10)
        assert context.counters().interrupts - before == 1
        sleeper.finish()


@everywhere
@pytest.mark.parametrize("code", [errno.EAGAIN, errno.ENOMEM])
def test_a_wake_up_that_failed_is_tried_again_by_the_next(where, code):
    """The leader still sleeps; to take the failed write for done would let it sleep for ever."""
    if where.spec == "kqueue":
        pytest.skip("its waker is not written through the system")
    table = FaultTable()
    with where.context(table) as context:
        sleeper = Sleeper(context)
        rule = table.add(Rule("wake", errors=[code]))
        ran = threading.Event()
        context.post(lambda: None)
        assert rule.times == 1
        assert context.scheduler.signal.leader.name == "WAITING"
        context.post(ran.set)
        assert ran.wait(10)
        sleeper.finish()
