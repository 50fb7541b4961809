"""poll and select: interest is told late and once, and descriptors that are closed by hand, or too high."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import select
import socket
import threading
import time

import pytest

import reactor
from harness.peer import Peer, tiny_buffers
from reactor import FdSetSizeError, IoContext, StreamSocket, listen_tcp
from reactor.backends import select as select_backend
from reactor.descriptor import READ, STICKY, WRITE
from tests.reactor.places import (
    PLACES,
    descriptors,
    ends,
    everywhere,
    level_triggered,
    outcome,
    parked,
    receiving,
    sending,
    turns,
    wired,
)

on_select = pytest.mark.parametrize(
    "where", [place for place in PLACES if place.spec == "select"], ids=str
)
on_poll = pytest.mark.parametrize(
    "where", [place for place in PLACES if place.spec == "poll"], ids=str
)


def backend():
    return reactor.current_context().backend


class Told:
    """Records the changes that the poller is told, as ``(fd, before, interest)``."""

    def __init__(self):
        self.changes = []
        self._real = backend().change
        backend().change = self._change

    def _change(self, fd, before, interest):
        self.changes.append((fd, before, interest))
        self._real(fd, before, interest)


# -- Interest


@level_triggered
def test_what_is_parked_is_told_before_the_wait(where):
    async def main():
        with wired() as (sock, peer):
            tiny_buffers(sock._sock, send=True)
            told = Told()
            fd = sock.fileno()
            receiver = await receiving(sock)
            await turns()
            assert told.changes == [(fd, 0, READ)]
            sender = await sending(sock, bytes(1 << 20))
            await turns()
            assert told.changes == [(fd, 0, READ), (fd, READ, READ | WRITE)]
            peer.sendall(b"x")
            await receiver
            await turns()
            assert told.changes[2:] == [(fd, READ | WRITE, WRITE)]
            sock.cancel()
            await sender
            await turns()
            assert told.changes[3:] == [(fd, WRITE, 0)]
            assert backend()._applied == {}
            assert backend().interest_changes == 4

    where.run(main)


@level_triggered
def test_what_has_passed_before_the_wait_is_not_told(where):
    async def main():
        with wired() as (sock, _peer):
            told = Told()
            context = reactor.current_context()
            task = context.spawn(outcome, sock.recv, 100)
            context.post(lambda: seen.append(sock._descriptor.interest))
            context.post(sock.cancel)
            seen: list[int] = []
            await task
            await turns()
            assert seen == [READ]
            assert told.changes == []

    where.run(main)


@level_triggered
def test_a_closed_descriptor_is_dropped_before_the_wait(where):
    async def main():
        with wired() as (sock, _peer):
            told = Told()
            task = await receiving(sock)
            await turns()
            fd = sock.fileno()
            sock.close()
            await task
            await turns()
            assert told.changes == [(fd, 0, READ), (fd, READ, 0)]

    where.run(main)


@level_triggered
def test_a_number_that_changes_hands_between_two_waits(where):
    """What is watched belongs to the number: it is as the new owner wants it."""

    async def main():
        with wired() as (old, _):
            told = Told()
            task = await receiving(old)
            await turns()
            fd = old.fileno()
            old.close()
            with wired() as (new, peer):
                assert new.fileno() == fd
                tiny_buffers(new._sock, send=True)

                async def look():
                    await turns()
                    assert told.changes == [(fd, 0, READ), (fd, READ, WRITE)]
                    receiver = await receiving(new)
                    peer.sendall(b"hello")
                    assert await receiver == b"hello"
                    return new.cancel()

                looker = reactor.current_context().spawn(look)
                # This task parks in the step in which the number has changed hands.
                await outcome(new.sendall, bytes(1 << 20))
                assert await looker == 1
                await task

    where.run(main)


@level_triggered
def test_a_leader_that_waits_is_called_back_for_a_new_interest(where):
    """It sleeps without a limit on a set that does not have the descriptor."""
    with where.context() as context:
        left, right = StreamSocket.pair(context)
        asleep, noted = threading.Event(), threading.Event()
        wait, note = context.backend.wait, context.backend.interest_changed

        def waiting(timeout):
            if timeout is None:
                asleep.set()
            return wait(timeout)

        def noting(descriptor):
            note(descriptor)
            noted.set()

        context.backend.wait = waiting
        context.backend.interest_changed = noting
        guard = context.work_guard()
        leader, follower = (threading.Thread(target=context.run) for _ in range(2))
        leader.start()
        assert asleep.wait(10)
        follower.start()
        deadline = time.monotonic() + 10
        while not context.scheduler.signal.idle:
            assert time.monotonic() < deadline
            time.sleep(0)
        received = context.spawn(left.recv, 100)  # the follower takes it, the leader sleeps on
        assert noted.wait(10)
        right._sock.send(b"hello")
        guard.release()
        leader.join(10)
        asleep_for_ever = leader.is_alive()
        context.stop()  # at the worst
        leader.join(10)
        follower.join(10)
        assert not asleep_for_ever
        assert received.result() == b"hello"


@on_poll
def test_the_events_of_poll(where):
    """Both directions, whatever is behind an event that was not asked for."""
    with where.context() as context:
        left, right = ends("unix")
        sock = StreamSocket.from_socket(left, context)
        descriptor = sock._descriptor
        answers: list[int] = []

        class Poller:
            def poll(self, timeout):
                return [(descriptor.fd, answers.pop(0))] if answers else []

        context.backend.register(descriptor, READ | WRITE)
        context.backend._poll = Poller()
        for mask, events in [
            (select.POLLIN, READ),
            (select.POLLOUT, WRITE),
            (select.POLLIN | select.POLLOUT, READ | WRITE),
            (select.POLLERR, READ | WRITE | STICKY),
            (select.POLLHUP, READ | WRITE | STICKY),
            (select.POLLIN | select.POLLHUP, READ | WRITE | STICKY),
            (select.POLLNVAL, READ | WRITE | STICKY),
        ]:
            answers.append(mask)
            descriptor.read.exact = True
            assert context.backend.wait(0) == [
                slot for slot in (descriptor.read, descriptor.write) if events & slot.direction
            ]
            assert descriptor.read.exact == (not events & STICKY)
        answers.append(select.POLLIN)
        context.backend.deregister(descriptor)
        assert context.backend.wait(0) == []
        right.close()
        sock.close()


@level_triggered
def test_both_directions_in_one_report(where):
    with where.context() as context:
        left, right = ends("unix")
        with right, StreamSocket.from_socket(left, context) as sock:
            tiny_buffers(sock._sock, send=True)
            context.spawn(sock.recv, 100)
            context.spawn(sock.sendall, bytes(1 << 20))
            context.poll()
            assert sock._descriptor.interest == READ | WRITE
            Peer(right).drain_available()
            right.sendall(b"x")
            descriptor = sock._descriptor
            descriptor.read.exact = True
            assert context.backend.wait(10) == [descriptor.read, descriptor.write]
            assert descriptor.read.exact, "not STICKY"


@level_triggered
@pytest.mark.parametrize(
    ("seconds", "asked"), [(None, None), (0.0, 0.0), (0.25, 0.25), (86_400.0, 86_400.0)]
)
def test_the_timeout_is_handed_on(where, seconds, asked):
    """In seconds to select, in milliseconds to poll."""
    with where.context() as context:
        seen = []

        class Poller:
            def poll(self, timeout):
                seen.append(None if timeout is None else timeout / 1000)
                return []

        def selecting(readers, writers, exceptional, timeout):
            assert exceptional == (), "that set means urgent data, not errors"
            seen.append(timeout)
            return [], [], []

        context.backend._poll = Poller()
        context.backend._select = selecting
        assert context.backend.wait(seconds) == []
        assert seen == [asked]


@level_triggered
def test_urgent_data_is_no_error(where):
    """docs/design.md: a reactor that took it for one failed receives on an urgent byte."""

    async def main():
        with wired("tcp") as (sock, peer):
            task = await receiving(sock)
            peer.send(b"!", socket.MSG_OOB)
            await turns(10)
            assert not task.done
            peer.sendall(b"hello")
            assert await task == b"hello"

    where.run(main)


# -- Descriptors that are closed behind the reactor's back


@level_triggered
@pytest.mark.parametrize("direction", ["recv", "sendall", "both", "accept"])
def test_a_descriptor_closed_by_hand_ends_its_operations(where, direction):
    """EBADF for them, and for nobody else; the leader does not see it as its own."""

    async def main():
        with wired() as (sock, _), wired() as (other, other_peer), listen_tcp() as acceptor:
            tiny_buffers(sock._sock, send=True)
            bystander = await receiving(other)
            tasks = []
            broken = acceptor if direction == "accept" else sock
            if direction == "accept":
                tasks.append(await parked(acceptor, READ, acceptor.accept))
            if direction in ("recv", "both"):
                tasks.append(await receiving(sock))
            if direction in ("sendall", "both"):
                tasks.append(await sending(sock, bytes(1 << 20)))
            await turns()
            os.close(broken.fileno())
            for task in tasks:
                error = await task
                assert isinstance(error, OSError)
                assert error.errno == errno.EBADF
            broken.close()
            assert not bystander.done
            other_peer.sendall(b"hello")
            assert await bystander == b"hello"

    where.run(main)


@level_triggered
def test_one_closed_by_hand_on_which_nobody_waits_does_no_harm(where):
    async def main():
        with wired() as (sock, _), wired() as (other, other_peer):
            task = await receiving(sock)
            await turns()
            sock.cancel()
            await task
            os.close(sock.fileno())
            task = await receiving(other)
            sock.close()
            other_peer.sendall(b"hello")
            assert await task == b"hello"

    where.run(main)


@on_select
def test_only_what_is_closed_by_hand_is_reported(where):
    """select fails as a whole; who is well must not be disturbed."""
    with where.context() as context:
        broken, well = (StreamSocket.pair(context)[0] for _ in range(2))
        tasks = [context.spawn(outcome, sock.recv, 100) for sock in (broken, well)]
        context.poll()
        os.close(broken.fileno())
        descriptor = broken._descriptor
        descriptor.read.exact = well._descriptor.read.exact = True
        assert context.backend.wait(20) == [descriptor.read, descriptor.write]
        assert not descriptor.read.exact
        assert well._descriptor.read.exact
        broken.close()
        assert context.backend.wait(0) == []
        well.close()
        context.run()
        assert [task.result().cause_name for task in tasks] == ["close", "close"]


@on_select
def test_an_error_of_select_that_is_not_about_a_number_is_raised(where):
    with where.context() as context:

        def fails(*_):
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

        context.backend._select = fails
        with pytest.raises(OSError, match=os.strerror(errno.ENOMEM)):
            context.poll()


# -- FD_SETSIZE


@pytest.fixture
def high():
    """Moves a socket to a number that select cannot hold."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = select_backend.FD_SETSIZE + 20
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError):
            pytest.skip(f"no descriptor {select_backend.FD_SETSIZE} to be had here")

    def move(sock):
        number = fcntl.fcntl(sock, fcntl.F_DUPFD_CLOEXEC, select_backend.FD_SETSIZE)
        moved = socket.socket(fileno=number)
        sock.close()
        return moved

    yield move
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@on_select
def test_a_number_that_select_cannot_hold(where, high):
    """It is said before anything is registered, and the context goes on."""

    async def main():
        left, right = ends("unix")
        with right, StreamSocket.from_socket(high(left)) as sock, wired() as (other, other_peer):
            number = sock.fileno()
            bystander = await receiving(other)
            right.sendall(b"hello")
            assert await sock.recv(100) == b"hello", "what needs no wait works"
            for operation in (sock.recv, sock.recv_exactly):
                with pytest.raises(
                    FdSetSizeError,
                    match=f"cannot watch descriptor {number}: FD_SETSIZE allows 0 to 1023",
                ) as caught:
                    await operation(100)
                assert (caught.value.fd, caught.value.limit) == (number, 1024)
            right.sendall(b"again")
            assert await sock.recv(100) == b"again", "what needs no wait still works"
            assert "epoll, kqueue or poll" in str(caught.value)
            assert number not in backend().descriptors
            assert not sock._descriptor.registered
            assert sock._descriptor.interest == 0
            other_peer.sendall(b"hello")
            assert await bystander == b"hello"

    where.run(main)


@pytest.mark.parametrize("where", [place for place in PLACES if place.spec != "select"], ids=str)
def test_the_other_backends_hold_any_number(where, high):
    async def main():
        left, right = ends("unix")
        with right, StreamSocket.from_socket(high(left)) as sock:
            assert sock.fileno() >= 1024
            task = await receiving(sock)
            right.sendall(b"hello")
            assert await task == b"hello"

    assert where.context().close() is None
    where.run(main)


@everywhere
def test_the_limit_itself(where):
    """The first number that is too high is the limit."""

    async def main():
        with wired() as (sock, peer):
            number = sock.fileno()
            backend().fd_limit = number
            with pytest.raises(FdSetSizeError):
                await sock.recv(100)
            backend().fd_limit = number + 1
            task = await receiving(sock)
            peer.sendall(b"hello")
            assert await task == b"hello"

    with where.context() as context:
        assert context.backend.fd_limit == (1024 if where.spec == "select" else None)
    where.run(main)


@on_select
def test_a_waker_that_select_cannot_hold(where, high):
    """A process with so many descriptors cannot have a context on select; it must not spin instead."""
    system = where.system()
    real = (system.eventfd, system.pipe)
    spare = []

    def moved(fd):
        number = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, select_backend.FD_SETSIZE)
        os.close(fd)
        return number

    def pipe():
        read_end, write_end = real[1]()
        spare.append(moved(read_end))
        return spare[-1], write_end

    def eventfd():
        spare.append(moved(real[0]()))
        return spare[-1]

    system.pipe = pipe
    system.eventfd = eventfd
    before = descriptors()
    for spec in ("select", "select+pipe"):
        with pytest.raises(FdSetSizeError) as caught:
            IoContext(spec, system=system)
        assert caught.value.fd == spare.pop()
        assert not system.is_open(caught.value.fd)
    assert descriptors() == before
