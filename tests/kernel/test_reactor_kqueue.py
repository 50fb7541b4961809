"""The kqueue backend on the model, on every kernel that has kqueue, through the public API.

What a broken backend does shows here as data that is lost, a task that waits for ever (a
`DeadlockError`, since nobody else runs either) or a leader that spins (see `watched`).
"""

from __future__ import annotations

import errno
import socket

import pytest

from harness.kernel import SimulatedSocket
from harness.kernel.nemesis import Nemesis, Preempt
from harness.kernel.sockets import socketpair
from reactor import (
    OperationCancelled,
    StreamSocket,
    connect_tcp,
    listen_tcp,
    sleep,
)

from .parts import reset


async def connected():
    """A stream, and a plain blocking socket as its peer."""
    with listen_tcp() as acceptor:
        peer = SimulatedSocket(acceptor.context.backend.system.kernel)
        peer.setblocking(False)
        peer.connect_ex(acceptor.getsockname())
        return await acceptor.accept(), peer


# -- Ends and errors


def test_a_reset_ends_a_receive_and_a_send_that_wait(ground):
    async def ending(operation):
        try:
            return await operation
        except ConnectionError as exc:
            return exc

    async def main():
        stream, peer = await connected()
        with stream:
            reading = ground.context.spawn(ending, stream.recv(100))
            writing = ground.context.spawn(ending, stream.sendall(bytes(10_000_000)))
            await sleep(1)
            reset(peer)
            return [await reading, await writing]

    received, sent = ground.run(main)
    assert isinstance(sent, ConnectionError)
    assert isinstance(received, ConnectionResetError) or received == b""


def test_a_send_while_the_connection_is_torn_down_is_a_broken_pipe(ground):
    """error.eprototype: macOS has a word of its own for it."""

    async def main():
        stream, peer = await connected()
        with stream:
            reset(peer)
            with pytest.raises(ConnectionError) as caught:
                await stream.sendall(b"x")
            assert caught.value.errno in {errno.EPIPE, errno.ECONNRESET}
            assert getattr(caught.value, "transferred", None) == 0

    ground.run(main)


def test_a_refused_connect_ends(ground):
    async def main():
        with listen_tcp() as acceptor:
            port = acceptor.getsockname()[1]
        for _ in range(8):  # FreeBSD refuses inside the call at times
            with pytest.raises(ConnectionRefusedError):
                await connect_tcp("127.0.0.1", port)

    ground.run(main)


def test_a_connect_that_waits_for_room_in_the_queue(ground):
    """WRITE of an unconnected socket is not ready, and is when the handshake is done."""

    async def main():
        with listen_tcp(backlog=0) as acceptor:
            port = acceptor.getsockname()[1]
            first = await connect_tcp("127.0.0.1", port)
            second = ground.context.spawn(connect_tcp, "127.0.0.1", port)
            await sleep(0.5)
            assert not second.done
            with first, await acceptor.accept(), await second:
                pass

    ground.run(main)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
@pytest.mark.parametrize("parked", [True, False])
def test_what_came_before_an_end_is_read_before_it(ground, family, parked):
    """partial.eof-behind-data: one event says both."""

    async def main():
        if family == socket.AF_UNIX:
            stream, peer = StreamSocket.pair()
        else:
            stream, peer = await connected()
        with stream:
            if parked:
                # Registered with the poller, so that the end is an event.
                await peer_sends(peer, b"-")
                assert await stream.recv(1) == b"-"
                task = ground.context.spawn(stream.recv, 4)
                await sleep(1)
                await peer_sends(peer, b"abcdefgh")
                peer.close()
                assert await task == b"abcd"
            else:
                await peer_sends(peer, b"abcdefgh")
                peer.close()
                assert await stream.recv(4) == b"abcd"
            await sleep(1)
            assert await stream.recv(100) == b"efgh"
            assert await stream.recv(100) == b""
            assert await stream.recv(100) == b""

    ground.run(main)


async def peer_sends(peer, data):
    if isinstance(peer, StreamSocket):
        await peer.sendall(data)
    else:
        assert peer.send(data) == len(data)


def test_a_peer_that_ends_lets_the_rest_be_sent(ground):
    """half.peer-shutdown-keeps-writing: the end of one filter leaves the other."""
    size = ground.kernel.dialect.tcp_send + ground.kernel.dialect.tcp_receive + 100_000

    async def main():
        stream, peer = await connected()
        with stream:
            sending = ground.context.spawn(stream.sendall, bytes(size))
            receiving = ground.context.spawn(stream.recv, 10)
            await sleep(1)
            peer.shutdown(socket.SHUT_WR)
            assert await receiving == b""
            got = 0
            while got < size:
                try:
                    got += len(peer.recv(65_536))
                except BlockingIOError:
                    await sleep(0.1)
            await sending
            peer.close()

    ground.run(main)


def test_a_read_that_stops_at_an_urgent_byte_is_not_the_last(ground):
    """wait.oob: a short read is no proof that nothing is left."""

    async def main():
        stream, peer = await connected()
        with stream:
            task = ground.context.spawn(stream.recv, 100)
            await sleep(1)
            peer.send(b"-")
            assert await task == b"-"
            peer.send(b"ab")
            peer.send(b"!", socket.MSG_OOB)
            peer.send(b"cd")
            await sleep(1)
            assert await stream.recv(100) == b"ab"
            assert await stream.recv(100) == b"cd"
            peer.close()

    ground.run(main)


# -- Registration


def test_unread_data_and_room_do_not_make_the_leader_spin(ground):
    """No spin: what nobody waits for is not reported again and again."""

    async def main():
        stream, peer = await connected()
        with stream:
            task = ground.context.spawn(stream.recv, 1)
            await sleep(1)
            peer.send(b"abc")
            assert await task == b"a"
            before = ground.waits
            await sleep(100)
            assert ground.waits - before <= 3
            peer.close()

    ground.run(main)


def test_the_next_owner_of_a_number_gets_its_own_events(ground):
    """close.fd-reuse-new-object."""

    async def main():
        numbers = set()
        for _ in range(5):
            left, right = StreamSocket.pair()
            with left, right:
                numbers.add(left.fileno())
                task = ground.context.spawn(left.recv, 10)
                await sleep(1)
                await right.sendall(b"hello")
                assert await task == b"hello"
        assert len(numbers) == 1

    ground.run(main)


def test_a_number_that_is_not_open_cannot_be_waited_for(ground):
    """close.raw-behind-back: the operation fails, instead of waiting for ever."""

    async def main():
        left, right = StreamSocket.pair()
        with right:
            ground.system.close(left.fileno())
            with pytest.raises(OSError, match="Bad file descriptor"):
                await left.recv(1)
            left.close()

    ground.run(main)


def test_a_registration_that_is_refused_is_told(ground):
    """kqueue(2), ENOMEM: the operation fails, instead of waiting for ever."""

    async def main():
        left, right = StreamSocket.pair()
        with left, right:
            ground.system.kqueues[0].starved = True
            with pytest.raises(OSError, match="allocate memory"):
                await left.recv(1)
            ground.system.kqueues[0].starved = False
            task = ground.context.spawn(left.recv, 1)
            await sleep(1)
            await right.sendall(b"x")
            assert await task == b"x"

    ground.run(main)


def test_a_number_that_was_closed_by_hand_can_be_closed(ground):
    """close.kqueue-delete-errors: EBADF and ENOENT say that the kernel has forgotten it."""

    async def main():
        left, right = StreamSocket.pair()
        with right:
            task = ground.context.spawn(left.recv, 1)
            await sleep(1)
            ground.system.close(left.fileno())
            left.close()
            with pytest.raises(OperationCancelled):
                await task

    ground.run(main)


def test_an_event_that_was_on_its_way_is_not_the_new_owner_s(ground):
    """close.fd-reuse-new-object: the leader is pre-empted with an event of a number that changes hands."""
    context, kernel = ground.context, ground.kernel
    number = misses = -1

    async def ends_by_close(stream):
        with pytest.raises(OperationCancelled):
            await stream.recv(1)

    def change_hands():
        nonlocal number, misses
        Nemesis(kernel, [Preempt(1, "waited")])
        theirs.send(b"x")
        while not any(" pre-empted " in line for line in kernel.trace):
            kernel.baton.pass_on()
        number = first.fileno()
        first.close()
        left, right = socketpair(kernel)
        second = StreamSocket.from_socket(left, context)  # type: ignore[arg-type]  # the same interface
        assert second.fileno() == number
        context.spawn(receive, second, right)
        context.poll()  # it is watched now, under the old number
        misses = context.counters().speculative_misses

    async def receive(stream, peer):
        with stream:
            context.spawn(answer, peer)
            return await stream.recv(1)

    async def answer(peer):
        await sleep(1)
        assert context.counters().speculative_misses == misses, "it was woken for nothing"
        peer.send(b"y")
        peer.close()

    ours, theirs = socketpair(kernel)
    first = StreamSocket.from_socket(ours, context)  # type: ignore[arg-type]  # as above
    context.spawn(ends_by_close, first)
    thread = kernel.spawn("other", change_hands)
    context.run()
    thread.join()
    assert misses > 0
    theirs.close()
