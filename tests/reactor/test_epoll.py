"""The epoll backend: what its events mean, and its kernel timer."""

from __future__ import annotations

import ctypes
import errno
import math
import os
import select
import socket
import sys
import tempfile
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

import reactor
from harness.peer import linger_zero, tiny_buffers
from reactor import IoContext, StreamSocket, System, backends
from reactor.descriptor import READ, STICKY, WRITE, Descriptor
from reactor.scheduler import MAX_WAIT
from tests.reactor.places import PLACES, descriptors, ends, outcome, receiving, sending, wired

assert not TYPE_CHECKING or sys.platform == "linux"
if "epoll" not in backends.available():
    pytest.skip("this is not Linux", allow_module_level=True)

# ruff: noqa: E402 - after the platform is known
from reactor.backends.epoll import _Translation

on_epoll = pytest.mark.parametrize(
    "where", [place for place in PLACES if place.spec.startswith("epoll")], ids=str
)


class Timespec(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]


class Itimerspec(ctypes.Structure):
    _fields_ = [("interval", Timespec), ("value", Timespec)]


class TimerfdSystem(System):
    """Has a timerfd on every Python: below 3.13 the C library is asked."""

    _libc = ctypes.CDLL(None, use_errno=True)

    def __init__(self):
        self.armed = []

    def has(self, name):
        return name == "timerfd" or super().has(name)

    def timerfd(self):
        fd = self._libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        assert fd >= 0, os.strerror(ctypes.get_errno())
        return fd

    def set_timerfd(self, fd, seconds):
        self.armed.append(seconds)
        nanoseconds = 0 if seconds is None else max(1, math.ceil(seconds * 1e9))
        value = Timespec(*divmod(nanoseconds, 10**9))
        code = self._libc.timerfd_settime(fd, 0, ctypes.byref(Itimerspec(Timespec(), value)), None)
        assert code == 0, os.strerror(ctypes.get_errno())


# -- Events


@pytest.mark.parametrize(
    ("mask", "events"),
    [
        (0, 0),
        (select.EPOLLIN, READ),
        (select.EPOLLOUT, WRITE),
        (select.EPOLLIN | select.EPOLLOUT, READ | WRITE),
        (select.EPOLLIN | select.EPOLLRDHUP, READ | STICKY),
        (select.EPOLLRDHUP, READ | STICKY),
        (select.EPOLLERR, READ | WRITE | STICKY),
        (select.EPOLLHUP, READ | WRITE | STICKY),
        (select.EPOLLIN | select.EPOLLHUP | select.EPOLLRDHUP, READ | WRITE | STICKY),
        (select.EPOLLPRI, STICKY),
        (select.EPOLLIN | select.EPOLLPRI, READ | STICKY),
    ],
)
def test_what_an_event_means(mask, events):
    translation = _Translation()
    assert translation[mask] == events
    assert translation == {mask: events}, "worked out once"
    assert translation[mask] == events


@pytest.fixture
def context():
    with IoContext("epoll") as context:
        yield context


def registered(context, kind="unix", direction=READ):
    left, right = ends(kind)
    sock = StreamSocket.from_socket(left, context)
    sock._descriptor.register(direction)
    return sock, right


@pytest.mark.parametrize("direction", [READ, WRITE])
def test_a_descriptor_is_registered_edge_triggered(context, direction):
    """For READ alone when it is to be readable, for both when it is to be writable."""
    sock, peer = registered(context, direction=direction)
    with sock, peer:
        slots = [sock._read, sock._write][:direction]
        assert sock._descriptor.registered == READ | direction
        assert context.backend.wait(0) == slots[1:]
        assert context.backend.wait(0) == [], "an edge is told once"
        peer.sendall(b"abc")
        assert context.backend.wait(10) == slots
        assert context.backend.wait(0) == []
        sock._sock.recv(1)
        assert context.backend.wait(0) == [], "what is left is no edge"
        peer.sendall(b"d")
        assert context.backend.wait(10) == slots


def test_a_second_registration_reports_what_is_ready_already(context):
    sock, peer = registered(context)
    with sock, peer:
        peer.sendall(b"abc")
        assert context.backend.wait(10) == [sock._read]
        sock._descriptor.register(WRITE)
        assert sock._descriptor.registered == READ | WRITE
        assert set(context.backend.wait(0)) == {sock._read, sock._write}
        assert context.backend.wait(0) == []
        tiny_buffers(sock._sock, send=True)
        with pytest.raises(BlockingIOError):
            while True:
                sock._sock.send(bytes(65536))
        while peer.recv(65536):
            if sock._write in context.backend.wait(0):
                break
        peer.sendall(b"d")
        assert sock._read in context.backend.wait(10), "it is watched as before, too"


def test_a_send_that_has_to_wait_gets_the_error_of_its_registration(context):
    """And nothing has changed: receives go on, and the next send tries again."""

    async def main():
        with wired() as (sock, peer):
            task = await receiving(sock)
            tiny_buffers(sock._sock, send=True)
            epoll = context.backend._epoll
            refusing = SimpleNamespace(modify=refuse, unregister=epoll.unregister)
            context.backend._epoll = refusing
            error = await outcome(sock.sendall, bytes(1 << 20))
            assert isinstance(error, OSError)
            assert error.errno == errno.ENOMEM
            assert sock._descriptor.registered == READ
            assert not sock._write.watched
            context.backend._epoll = epoll
            peer.sendall(b"hello")
            assert await task == b"hello"
            task = await sending(sock, bytes(1 << 20))
            assert sock._descriptor.registered == READ | WRITE
            sock.cancel()
            await task

    def refuse(fd, mask):
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    context.spawn(main)
    context.run()


def test_the_ends_of_a_stream(context):
    sock, peer = registered(context, "tcp")
    with sock, peer:
        context.backend.wait(0)
        assert sock._read.exact
        peer.shutdown(socket.SHUT_WR)
        assert context.backend.wait(10) == [sock._read]
        assert not sock._read.exact
    sock, peer = registered(context, "tcp")
    with sock, peer:
        context.backend.wait(0)
        linger_zero(peer)
        peer.close()
        assert context.backend.wait(10) == [sock._read, sock._write]
        assert not sock._read.exact


def test_urgent_data_is_noticed(context):
    sock, peer = registered(context, "tcp")
    with sock, peer:
        context.backend.wait(0)
        assert sock._read.exact
        peer.send(b"!", socket.MSG_OOB)
        context.backend.wait(10)
        assert not sock._read.exact


def test_a_full_pipe_whose_reader_goes_away(context):
    """EPOLLERR comes alone, and the send that waits must be told."""
    read_end, write_end = os.pipe2(os.O_NONBLOCK)
    with os.fdopen(write_end, "wb", buffering=0) as file:
        try:
            while True:
                os.write(write_end, bytes(65536))
        except BlockingIOError:
            pass
        descriptor = Descriptor(context.scheduler, file, "pipe")
        descriptor.register(WRITE)
        assert context.backend.wait(0) == []
        os.close(read_end)
        assert context.backend.wait(10) == [descriptor.read, descriptor.write]
        assert not descriptor.read.exact
        descriptor.close()


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_a_sender_is_told_that_its_peer_has_gone(kind):
    async def main():
        with reactor.timeout(10), wired(kind) as (sock, peer):
            tiny_buffers(sock._sock, send=True)
            task = await sending(sock, bytes(10 << 20))
            peer.close()
            return await task

    assert isinstance(reactor.run(main, backend="epoll"), ConnectionError)


def test_an_event_of_a_number_that_nobody_has(context):
    sock, peer = registered(context)
    with sock, peer:
        context.backend.wait(0)
        del context.backend.descriptors[sock.fileno()]
        peer.sendall(b"x")
        assert context.backend.wait(0) == []
        context.backend.descriptors[sock.fileno()] = sock._descriptor


def test_more_events_than_one_call_returns(context, monkeypatch):
    """What does not fit is reported by the next wait, and by no other way."""
    from reactor.backends import epoll

    monkeypatch.setattr(epoll, "_MAX_EVENTS", 2)
    socks = [registered(context, direction=WRITE) for _ in range(5)]
    seen: list[Descriptor] = []
    while found := context.backend.wait(0):
        assert len(found) <= 2
        seen.extend(slot.descriptor for slot in found)
    assert seen == [sock._descriptor for sock, _ in socks]
    for sock, peer in socks:
        sock.close()
        peer.close()


# -- Registering and leaving


@on_epoll
def test_a_regular_file_is_refused_and_leaves_nothing(where):
    """epoll_ctl(2): EPERM."""
    with where.context() as context, tempfile.TemporaryFile() as file:
        descriptor = Descriptor(context.scheduler, file, "file")
        with pytest.raises(PermissionError) as caught:
            descriptor.register(READ)
        assert caught.value.errno == errno.EPERM
        assert context.backend.descriptors == {}
        assert not descriptor.registered
        assert descriptor.close()
        with wired_to(context) as (sock, peer):
            task = context.spawn(sock.recv, 100)
            context.poll()
            peer.sendall(b"hello")
            context.run()
            assert task.result() == b"hello"


def wired_to(context):
    """As `wired`, for a context that does not run."""

    class Both:
        def __enter__(self):
            self.left, self.right = ends("unix")
            self.sock = StreamSocket.from_socket(self.left, context)
            return self.sock, self.right

        def __exit__(self, *exc):
            self.sock.close()
            self.right.close()

    return Both()


def test_leaving_what_the_kernel_has_forgotten(context):
    sock, peer = registered(context)
    with peer:
        sock._sock.close()
        context.backend.deregister(sock._descriptor)
        assert context.backend.descriptors == {}
        sock.close()
    with wired_to(context) as (sock, _peer):
        context.backend.remove(sock._descriptor)  # ENOENT: never registered


def test_an_operation_gets_the_error_of_a_refused_registration():
    """Registering a second time is refused, whoever did it first."""

    async def main():
        backend = reactor.current_context().backend
        with wired() as (sock, _peer):
            backend._epoll.register(sock.fileno(), 0)  # type: ignore[attr-defined]
            error = await outcome(sock.recv, 100)
            assert isinstance(error, FileExistsError)
            assert sock.fileno() not in backend.descriptors
            backend._epoll.unregister(sock.fileno())  # type: ignore[attr-defined]
            (await receiving(sock)).cancel()

    reactor.run(main, backend="epoll")


# -- The waker and the timer


@on_epoll
def test_a_wake_up_that_was_not_drained_is_reported_again(where):
    """The waker is watched level-triggered."""
    with where.context() as context:
        backend = context.backend
        drain, backend.waker.drain = backend.waker.drain, lambda: None
        assert backend.interrupt()
        for _ in range(3):
            begun = time.monotonic()
            assert backend.wait(20) == []
            assert time.monotonic() - begun < 10
        drain()
        begun = time.monotonic()
        assert backend.wait(0.01) == []
        assert time.monotonic() - begun >= 0.01


@pytest.mark.parametrize("spec", ["epoll", "epoll+timerfd", "epoll+pipe", "epoll+eventfd+timerfd"])
def test_a_timerfd_is_preferred(spec):
    before = descriptors()
    with IoContext(spec, system=TimerfdSystem()) as context:
        assert context.backend.timer == "timerfd"
        assert context.backend.kernel_timer
        assert context.backend.spec.endswith("+timerfd")
        assert not os.get_inheritable(context.backend._timerfd)  # type: ignore[attr-defined]
    assert descriptors() == before
    with IoContext("epoll+timeout", system=TimerfdSystem()) as context:
        assert not context.backend.kernel_timer


def test_a_timerfd_ends_the_wait():
    with IoContext("epoll", system=TimerfdSystem()) as context:
        backend = context.backend
        for _ in range(3):  # its edge need not be read away
            backend.set_deadline(context.time() + 0.005, context.time())
            begun = time.monotonic()
            assert backend.wait(None) == []
            assert 0.004 < time.monotonic() - begun < 10
        assert backend._deadline == math.inf, "it is disarmed now"
        begun = time.monotonic()
        assert backend.wait(0.02) == []
        assert time.monotonic() - begun >= 0.02, "and it does not spin on what was not read"


def test_a_timerfd_can_be_moved_and_disarmed():
    system = TimerfdSystem()
    with IoContext("epoll", system=system) as context:
        backend = context.backend
        backend.set_deadline(130.0, 100.0)
        backend.set_deadline(130.0, 100.0)
        backend.set_deadline(100.0, 100.0)
        assert backend.wait(20) == []
        backend.set_deadline(100.001, 100.0)
        backend.set_deadline(math.inf, 100.0)
        assert system.armed == [30.0, 0.0, pytest.approx(0.001), None]
        begun = time.monotonic()
        assert backend.wait(0.02) == []
        assert time.monotonic() - begun >= 0.02
        backend.set_deadline(1e18, 100.0)
        assert system.armed[-1] == MAX_WAIT


def test_sleeping_and_receiving_with_a_timerfd():
    """The wait itself has no timeout then: what ends it is the timer, or the data."""
    system = TimerfdSystem()

    async def main():
        context = reactor.current_context()
        waits = []
        wait = context.backend.wait

        def waiting(timeout):
            waits.append(timeout)
            return wait(timeout)

        context.backend.wait = waiting  # type: ignore[method-assign]
        begun = context.time()
        await reactor.sleep(0.003)
        assert context.time() - begun >= 0.003
        assert None in waits
        with wired() as (sock, peer):
            task = await receiving(sock)
            await reactor.sleep(0.001)
            peer.sendall(b"hello")
            assert await task == b"hello"
            with pytest.raises(TimeoutError), reactor.timeout(0.002):
                await sock.recv(100)
            with reactor.timeout(30):
                await reactor.sleep(0.001)
        assert set(waits) <= {None, 0.0}

    reactor.run(main, backend="epoll", system=system)
    assert any(system.armed)
