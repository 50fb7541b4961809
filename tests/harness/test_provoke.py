"""Canaries, crowds, and the judgement on an idle subject."""

from __future__ import annotations

import os
import select
import socket

import pytest

from harness.provoke import Canary, Crowd, Idle
from harness.world import LiveWorld

WORLD = LiveWorld()

# -- Idle


@pytest.mark.parametrize(
    ("idle", "words"),
    [
        (Idle(waits=1, cpu=0.001, seconds=0.25), None),
        (Idle(waits=6, cpu=0.07, seconds=0.25), None),
        (Idle(waits=0, cpu=0.04, seconds=0.001), None),  # a short time says little
        (Idle(waits=7, cpu=0.0, seconds=0.25), "idle, but 7 waits in 0.25 s: it spins"),
        (Idle(waits=1, cpu=0.08, seconds=0.25), "idle, but 0.080 s of CPU in 0.25 s"),
        (Idle(waits=1, cpu=0.06, seconds=0.001), "0.060 s of CPU"),
    ],
)
def test_a_spin_is_many_waits_or_much_of_the_processor(idle, words):
    if words is None:
        idle.check()
    else:
        with pytest.raises(AssertionError, match=words):
            idle.check()


# -- Canary


def open_numbers():
    found = []
    for fd in range(256):
        try:
            os.fstat(fd)
        except OSError:
            continue
        found.append(fd)
    return found


def free(case):
    """A number for a canary to sit on: where its own two will be, or far above."""
    taken = open_numbers()
    numbers = [fd for fd in range(256) if fd not in taken]
    return numbers[{"near end": 0, "other end": 1, "far": 40}[case]]


@pytest.mark.parametrize("case", ["near end", "other end", "far"])
def test_a_canary_sits_on_the_number_and_gives_both_ends_back(case):
    before = open_numbers()
    number = free(case)
    canary = Canary(number, WORLD)
    assert canary.number == number
    canary.check()
    canary.check()
    assert len(open_numbers()) == len(before) + 2
    canary.close()
    assert open_numbers() == before


def replace(number):
    with open(os.devnull, "rb") as other:  # noqa: PTH123 - its number
        os.dup2(other.fileno(), number)


def replace_by_a_pair(number):
    ours, theirs = socket.socketpair()
    os.dup2(ours.fileno(), number)
    theirs.send(b"hello")
    ours.close()
    theirs.close()


@pytest.mark.parametrize(
    ("touch", "words"),
    [
        (os.close, "was touched: .*Bad file"),
        (replace, "was used: it holds b''|was touched: "),
        (replace_by_a_pair, "was used: it holds b'hello'|was touched: "),
        (lambda number: os.read(number, 1), "was used: it holds b'live'"),
        (lambda number: os.read(number, 100), "was touched: "),
        (lambda number: os.write(number, b"x"), "was written to: b'x'"),
    ],
)
def test_a_canary_tells_who_touches_the_number(touch, words):
    before = open_numbers()
    canary = Canary(free("near end"), WORLD)
    touch(canary.number)
    with pytest.raises(AssertionError, match=f"the reused descriptor {words}"):
        canary.check()
    canary.close()
    assert open_numbers() == before


def test_a_canary_shows_a_poller_that_still_watches_the_number():
    canary = Canary(free("near end"), WORLD)
    assert select.select([canary.number], [], [], 0)[0]
    canary.check()
    assert select.select([canary.number], [], [], 0)[0]
    canary.close()


# -- Crowd


def test_a_connect_to_a_crowd_hangs_until_it_accepts():
    crowd = Crowd(socket.AF_INET, WORLD)
    with socket.socket() as sock:
        sock.settimeout(0.05)
        with pytest.raises(TimeoutError):
            sock.connect(crowd.address)
    crowd.close()


def test_accept_all_lets_those_that_wait_in():
    crowd = Crowd(socket.AF_INET, WORLD)
    members = list(crowd._members)
    accepted = crowd.accept_all()
    # The last one may still be on its way: its SYN is sent again after a second (Linux).
    assert len(members) - 1 <= len(accepted) <= len(members)
    crowd.close()
    assert {sock.fileno() for sock in (*members, *accepted, crowd._listener)} == {-1}


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no Unix sockets")
def test_a_unix_crowd_refuses_or_delays():
    world = LiveWorld()
    crowd = Crowd(socket.AF_UNIX, world)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.setblocking(False)
        error = sock.connect_ex(crowd.address)
    assert error != 0
    assert len(crowd.accept_all()) >= 1
    with socket.socket(socket.AF_UNIX) as sock:
        sock.setblocking(False)
        assert sock.connect_ex(crowd.address) == 0
    crowd.close()
    world.close()
