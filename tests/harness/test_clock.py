"""Virtual time under real pollers."""

from __future__ import annotations

import os
import select
import sys
import threading
import time
from typing import Any

import pytest

from harness import clock as module
from harness.clock import FakeClock, FakeEpoll, FakeKqueue, FakePoll
from harness.faults import FaultTable, lab_system
from reactor.system import System


class Asked:
    """A poller that answers what it is given, and remembers its timeouts."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.timeouts: list[float | None] = []

    def __call__(self, timeout: float | None) -> Any:
        self.timeouts.append(timeout)
        return self.answers.pop(0) if self.answers else []


def test_time_stands_still():
    clock = FakeClock()
    before = clock.monotonic()
    assert before > 0
    time.sleep(0.002)
    assert clock.monotonic() == before


def test_advance():
    clock = FakeClock()
    before = clock.monotonic()
    clock.advance(2.5)
    assert clock.monotonic() == before + 2.5


@pytest.mark.parametrize("nothing", [[], ([], [], [])])
def test_a_wait_for_nothing_takes_its_timeout_and_no_time(nothing):
    clock, ask = FakeClock(), Asked(nothing)
    before, real = clock.monotonic(), time.monotonic()
    assert clock.wait(3600.0, ask) == nothing
    assert clock.monotonic() == before + 3600
    assert ask.timeouts == [0]
    assert clock.waits == [3600.0]
    assert time.monotonic() - real < 60


@pytest.mark.parametrize("something", [[(3, 1)], ([3], [], []), ([], [], [3])])
def test_a_wait_that_finds_something_takes_no_time(something):
    clock = FakeClock()
    before = clock.monotonic()
    assert clock.wait(3600.0, Asked(something)) == something
    assert clock.monotonic() == before


@pytest.mark.parametrize("timeout", [None, -1])
def test_a_wait_without_limit_really_waits(timeout):
    clock, ask = FakeClock(), Asked([(3, 1)])
    before = clock.monotonic()
    assert clock.wait(timeout, ask) == [(3, 1)]
    assert ask.timeouts == [None]
    assert clock.monotonic() == before


def test_a_poll_takes_no_time():
    clock, ask = FakeClock(), Asked([])
    clock.early(1.0)
    before = clock.monotonic()
    clock.wait(0, ask)
    assert clock.monotonic() == before
    assert ask.timeouts == [0]
    clock.wait(3.0, ask)  # and uses up nothing
    assert clock.monotonic() == before + 2


def test_early_waits_one_after_the_other():
    clock = FakeClock()
    clock.early(0.5, 100.0)
    before = clock.monotonic()
    clock.wait(2.0, Asked())
    assert clock.monotonic() == before + 1.5
    clock.wait(2.0, Asked())  # earlier than it began: not before it began
    assert clock.monotonic() == before + 1.5
    clock.wait(2.0, Asked())
    assert clock.monotonic() == before + 3.5


def test_a_cap_cuts_waits_short():
    clock = FakeClock()
    clock.cap(10.0)
    before = clock.monotonic()
    clock.wait(3600.0, Asked())
    clock.wait(5.0, Asked())
    assert clock.monotonic() == before + 15
    assert clock.waits == [3600.0, 5.0]


def test_time_does_not_pass_while_another_thread_works():
    """The poller is looked at meanwhile, so what that thread brings about is seen first."""
    clock = FakeClock()
    rest = [False, False, True]
    waiting: list[int] = []

    def at_rest(count):
        waiting.append(count)
        return rest.pop(0)

    clock.at_rest = at_rest
    ask = Asked([], [], [])
    before = clock.monotonic()
    clock.wait(5.0, ask)
    assert clock.monotonic() == before + 5
    assert ask.timeouts == [0, module._GLANCE, module._GLANCE]
    assert waiting == [1, 1, 1]

    rest[:] = [False, False]
    assert clock.wait(5.0, Asked([], [(3, 1)])) == [(3, 1)]
    assert clock.monotonic() == before + 5


def test_a_wait_that_fails_is_counted_as_over():
    clock = FakeClock()

    def broken(_):
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        clock.wait(1.0, broken)
    counts: list[int] = []
    clock.at_rest = lambda count: not counts.append(count)  # type: ignore[func-returns-value]
    clock.wait(1.0, Asked())
    assert counts == [1]


# -- Real pollers


@pytest.fixture
def ends():
    """The two ends of a pipe, the first with one byte to be read later."""
    read_end, write_end = os.pipe()
    yield read_end, write_end
    os.close(read_end)
    os.close(write_end)


def pollers():
    """Name, how to make it over a clock, how to watch, how to wait for seconds."""
    found: list[tuple[Any, ...]] = [
        (
            "poll",
            lambda clock: FakePoll(clock, select.poll()),
            lambda poller, fd: poller.register(fd, select.POLLIN),
            lambda poller, seconds: poller.poll(None if seconds is None else seconds * 1000),
        )
    ]
    if sys.platform == "linux":
        found.append(
            (
                "epoll",
                lambda clock: FakeEpoll(clock, select.epoll()),
                lambda poller, fd: poller.register(fd, select.EPOLLIN),
                lambda poller, seconds: poller.poll(-1 if seconds is None else seconds, 10),
            )
        )
    if sys.platform != "linux":
        found.append(
            (
                "kqueue",
                lambda clock: FakeKqueue(clock, select.kqueue()),
                lambda poller, fd: poller.control([select.kevent(fd)], 0, 0),
                lambda poller, seconds: poller.control(None, 10, seconds),
            )
        )
    return [pytest.param(*rest, id=name) for name, *rest in found]


@pytest.mark.parametrize(("make", "watch", "wait"), pollers())
def test_a_real_poller_in_virtual_time(ends, make, watch, wait):
    read_end, write_end = ends
    clock = FakeClock()
    poller = make(clock)
    watch(poller, read_end)
    before = clock.monotonic()
    assert wait(poller, 1000.0) == []
    assert clock.monotonic() == before + 1000
    os.write(write_end, b"x")
    assert len(wait(poller, 1000.0)) == 1
    assert len(wait(poller, None)) == 1
    assert clock.monotonic() == before + 1000
    assert clock.waits == [1000.0, 1000.0, None]


@pytest.mark.parametrize(("make", "watch", "wait"), pollers())
def test_a_wait_without_limit_is_ended_by_another_thread(ends, make, watch, wait):
    read_end, write_end = ends
    poller = make(FakeClock())
    watch(poller, read_end)
    thread = threading.Thread(target=os.write, args=(write_end, b"x"))
    thread.start()
    assert len(wait(poller, None)) == 1
    thread.join()


def test_other_methods_are_the_pollers_own(ends):
    poller = FakePoll(FakeClock(), select.poll())
    poller.register(ends[0], select.POLLIN)
    poller.unregister(ends[0])
    with pytest.raises(KeyError):
        poller.unregister(ends[0])


class Kqueue:
    """Remembers what it is asked for."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, int, float | None]] = []

    def control(self, changes, max_events, timeout=None):
        self.calls.append((changes, max_events, timeout))
        return []


def test_changes_to_a_kqueue_are_no_wait_and_are_made_once():
    clock, real = FakeClock(), Kqueue()
    kqueue = FakeKqueue(clock, real)
    before = clock.monotonic()
    kqueue.control(["change"], 0, 0)
    assert (real.calls, clock.waits) == ([(["change"], 0, 0)], [])
    assert clock.monotonic() == before
    real.calls.clear()
    rest = [False, True]
    clock.at_rest = lambda _: rest.pop(0)
    kqueue.control(["another"], 10, 2.0)
    assert real.calls == [(["another"], 10, 0), (None, 10, module._GLANCE)]
    assert clock.monotonic() == before + 2


def test_select_in_virtual_time(ends):
    read_end, write_end = ends
    clock = FakeClock()
    system = lab_system(System, FaultTable(), clock)
    before = clock.monotonic()
    assert system.select([read_end], [], [], 1000.0) == ([], [], [])
    assert clock.monotonic() == before + 1000
    os.write(write_end, b"x")
    assert system.select([read_end], [], [], 1000.0) == ([read_end], [], [])
    assert clock.monotonic() == before + 1000
