"""The worlds: what scenarios, peers and provocations use of an operating system, live and simulated."""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING

import pytest

from harness.errors import HarnessError, ScenarioUnsupported
from harness.faults import FaultTable
from harness.peer import SAFETY, Peer, check_pattern, tiny_buffers
from harness.provoke import Canary, Crowd, NumberSocket
from harness.world import LiveWorld, SimulatedWorld, World, check_ground, make_world
from reactor.system import READABLE, WRITABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

WORLDS = ("live", "linux", "freebsd", "macos", "posix")


@pytest.fixture(params=WORLDS)
def world(request) -> Iterator[World]:
    """A world, and nothing may be left open in it."""
    made = LiveWorld() if request.param == "live" else SimulatedWorld(request.param, seed=1)
    before = made.descriptors()
    yield made
    assert made.descriptors() == before
    assert made.close() == []


def tcp_pair(world):
    with world.create_server() as listener:
        ours = world.create_connection(listener.getsockname(), SAFETY)
        return ours, listener.accept()[0]


# -- Which world


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("moon", "live", ""), "there is no ground 'moon'; is it live or sim?"),
        (("live", "moon", ""), "there is no system 'moon'"),
        (("live", "live", "linux"), "a dialect is of a simulated kernel: add --ground sim"),
        (("sim", "live", ""), "there is no dialect ''"),
        (("sim", "live", "freebds"), "there is no dialect 'freebds'; is it freebsd"),
        (("sim", "posix", "linux"), "--system posix is for --ground live; see --dialect"),
    ],
)
def test_what_does_not_go_together_is_said(arguments, message):
    with pytest.raises(HarnessError) as caught:
        check_ground(*arguments)
    assert str(caught.value).startswith(message)
    ground, system, dialect = arguments
    with pytest.raises(HarnessError):
        make_world(ground, system=system, dialect=dialect)


def test_a_world_is_made_of_what_was_asked_for():
    live = make_world("live", system="posix")
    assert (live.ground, live.virtual, live.label, live.digest()) == ("live", False, "posix", "")
    assert not live.plain.has("eventfd")
    simulated = make_world("sim", dialect="freebsd", seed=7)
    assert isinstance(simulated, SimulatedWorld)
    assert (simulated.kernel.dialect.name, simulated.kernel.seed) == ("freebsd", 7)
    assert (simulated.ground, simulated.virtual) == ("sim", True)
    assert simulated.label == "simulated freebsd"


# -- Sockets


def test_an_echo_between_peers(world):
    ours, theirs = tcp_pair(world)
    with Peer(ours) as left, Peer(theirs) as right:
        left.send(b"hello")
        assert right.drain(5) == b"hello"
        right.half_close()
        assert left.drain_to_end() == b""


def test_datagrams_keep_their_bounds(world):
    """Of a pair, and of a socket that was opened as one; with faults they still do."""
    left, right = world.socketpair(socket.SOCK_DGRAM)
    with left, right:
        left.send(b"one")
        left.send(b"two")
        assert [right.recv(100) for _ in range(2)] == [b"one", b"two"]
    system = world.system(FaultTable(), None)
    sock = system.adopt(world.socket(socket.AF_INET, socket.SOCK_DGRAM))
    with sock, world.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        sock.bind(("127.0.0.1", 0))
        peer.bind(("127.0.0.1", 0))
        peer.sendto(b"hello", sock.getsockname())
        assert world.ready(sock, READABLE, SAFETY)
        assert sock.recvfrom(100) == (b"hello", peer.getsockname())
        assert sock.sendto(b"back", peer.getsockname()) == 4
        assert peer.recv(100) == b"back"


def test_ready_waits_for_what_it_is_asked_for(world):
    left, right = world.socketpair()
    with left, right:
        assert world.ready(left, WRITABLE, 0)
        begin = world.monotonic()
        assert not world.ready(left, READABLE, 0.02)
        assert world.monotonic() >= begin + 0.02
        right.send(b"x")
        assert world.ready(left, READABLE, SAFETY)
        assert world.ready(left, READABLE | WRITABLE, SAFETY)


def test_full_is_full_in_every_world(world):
    ours, theirs = tcp_pair(world)
    with ours, Peer(theirs) as peer:
        sent = peer.fill()
        assert 0 < sent < 64 << 20
        ours.settimeout(SAFETY)
        got = bytearray()
        while len(got) < sent:
            got += ours.recv(1 << 16)
        check_pattern(bytes(got))


def test_tiny_buffers_are_some_kib_everywhere(world):
    """A BSD takes one byte, with which a megabyte takes for ever."""
    with world.create_server() as listener:
        tiny_buffers(listener, receive=True)
        ours = world.socket()
        tiny_buffers(ours, send=True)
        ours.connect(listener.getsockname())
        theirs = listener.accept()[0]
    with ours, theirs:
        ours.setblocking(False)
        sent = 0
        with pytest.raises(BlockingIOError):
            while True:
                sent += ours.send(bytes(1 << 16))
        assert 2048 <= sent < 1 << 20


def test_a_second_socket_on_one_description(world):
    left, right = world.socketpair()
    with left, right, world.socket(fileno=world.dup(right.fileno())) as second:
        left.send(b"ab")
        assert (right.recv(1), second.recv(1)) == (b"a", b"b")


def test_paths_are_fresh(world):
    paths = [world.path() for _ in range(3)]
    assert len(set(paths)) == 3
    with world.socket(socket.AF_UNIX) as listener, world.socket(socket.AF_UNIX) as client:
        listener.bind(paths[0])
        listener.listen(1)
        client.connect(paths[0])
        assert listener.getsockname() == paths[0]
    assert world.backlog_limit() >= 128


# -- Threads and time


def test_an_event_wakes_a_thread_and_times_out(world):
    event = world.event()
    begin = world.monotonic()
    assert not event.wait(0.02)
    assert world.monotonic() >= begin + 0.02
    seen: list[bool] = []
    threads = [
        world.thread(f"waits {n}", lambda: seen.append(event.wait(SAFETY))) for n in range(2)
    ]
    assert not event.is_set()
    event.set()
    for thread in threads:
        thread.join(SAFETY)
        assert not thread.is_alive()
    assert seen == [True, True]
    assert event.is_set()
    assert event.wait(0)


def test_a_semaphore_lets_so_many_through(world):
    semaphore = world.semaphore()
    assert not semaphore.acquire(0.01)
    taken: list[bool] = []
    threads = [
        world.thread(f"takes {n}", lambda: taken.append(semaphore.acquire(SAFETY)))
        for n in range(2)
    ]
    for _ in range(3):
        semaphore.release()
    for thread in threads:
        thread.join(SAFETY)
    assert taken == [True, True]
    assert semaphore.acquire(0)
    assert not semaphore.acquire(0)


def test_a_pause_lets_time_pass_and_takes_no_cpu(world):
    begin, cpu = world.monotonic(), world.cpu()
    world.pause(0.05)
    assert world.monotonic() >= begin + 0.05
    assert world.cpu() - cpu < 0.05


def test_the_cpu_time_of_the_model_is_what_its_calls_took():
    world = SimulatedWorld()
    left, right = world.socketpair()
    with left, right:
        before = world.cpu()
        for _ in range(1000):
            left.send(b"")
        assert 0.0009 < world.cpu() - before < 0.002


# -- Descriptor numbers


def test_descriptors_are_those_that_are_open(world):
    before = world.descriptors()
    ends = world.plain.pipe()
    assert world.descriptors() - before == set(ends)
    for number in ends:
        world.plain.close(number)
    assert world.descriptors() == before


def test_numbers_are_moved_and_can_be_made_blocking(world):
    reader, writer = world.plain.pipe()
    far = world.dup(reader, 200)
    assert far >= 200
    world.dup2(writer, reader)
    assert world.is_blocking(far) is False
    world.set_blocking(far, blocking=True)
    assert world.is_blocking(far) is True
    assert not any(map(world.is_inheritable, (reader, writer, far)))
    world.plain.write(reader, b"x")
    assert world.plain.read(far, 10) == b"x"
    for number in (reader, writer, far):
        world.plain.close(number)
    with pytest.raises(OSError) as caught:
        world.is_inheritable(far)
    assert caught.value.errno == errno.EBADF


def test_out_of_descriptors_and_back(world):
    left, right = world.socketpair()
    with left, right:
        with world.out_of_descriptors():
            for make in (world.plain.pipe, world.socket, lambda: world.dup(left.fileno())):
                with pytest.raises(OSError) as caught:
                    make()
                assert caught.value.errno == errno.EMFILE
            left.send(b"x")
            assert right.recv(1) == b"x"
        world.socket().close()
        with pytest.raises(ZeroDivisionError), world.out_of_descriptors():
            raise ZeroDivisionError
        world.socket().close()


# -- What provokes


def test_a_canary_sits_on_a_number_and_notices(world):
    sock = world.socket()
    number = sock.fileno()
    sock.close()
    for touch, words in (
        (lambda: None, None),
        (lambda: world.plain.read(number, 1), "was used: it holds b'live'"),
        (lambda: world.plain.write(number, b"x"), "was written to: b'x'"),
        (lambda: world.plain.close(number), "was touched"),
    ):
        canary = Canary(number, world)
        assert world.ready(number, READABLE, 0)
        touch()
        if words is None:
            canary.check()
            canary.check()
        else:
            with pytest.raises(AssertionError, match=words):
                canary.check()
        canary.close()


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
def test_a_crowd_makes_a_connect_wait_or_fail(world, family):
    crowd = Crowd(family, world)
    with world.socket(family) as sock:
        sock.setblocking(False)
        error = sock.connect_ex(crowd.address)
        assert error in (errno.EINPROGRESS, errno.EAGAIN, errno.ECONNREFUSED)
        if error == errno.EINPROGRESS:
            assert not world.ready(sock, WRITABLE, 0.02)
        assert len(crowd.accept_all()) >= 1
    crowd.close()


def test_a_number_acts_for_a_socket(world):
    left, right = world.socketpair()
    with left, right:
        borrowed = NumberSocket(right.fileno(), world, closes=False)
        borrowed.setblocking(False)
        assert not world.is_blocking(right.fileno())
        left.send(b"to it")
        assert borrowed.recv(10) == b"to it"
        assert borrowed.send(b"back") == 4
        assert left.recv(10) == b"back"
        borrowed.close()
        owned = NumberSocket(world.dup(right.fileno()), world, closes=True)
        number = owned.fileno()
        owned.close()
        assert not world.plain.is_open(number)


def test_what_the_model_lacks_is_unsupported():
    world = SimulatedWorld()
    for use, name in (
        (lambda: world.forked(print), "fork"),
        (lambda: world.signal_storm(1), "setitimer"),
        (world.terminal, "pty"),
        (lambda: world.inherited([0]), "exec"),
    ):
        with pytest.raises(ScenarioUnsupported) as caught:
            use()
        assert str(caught.value) == world.lacks[name]


def test_the_live_world_lists_what_a_program_inherits():
    world = LiveWorld()
    number = os.dup(0)
    try:
        assert world.inherited([number]) == []
        os.set_inheritable(number, True)
        assert world.is_inheritable(number)
        assert world.inherited([number]) == [number]
    finally:
        os.close(number)
