"""Datagram sockets, UDP and Unix: what is received and sent, on every backend of this machine."""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

import pytest

import reactor
from harness.clock import FakeClock
from harness.peer import tiny_buffers
from reactor import (
    BusyError,
    Cause,
    ClosedError,
    DatagramSocket,
    OperationCancelled,
    bind_udp,
)
from reactor.descriptor import READ, WRITE
from reactor.socketbase import UNIX_RETRY
from reactor.stream import MAX_RECV
from tests.reactor.datagrams import asking, both, fill, wired
from tests.reactor.places import arrived, everywhere, outcome, parked, start, turns


def counted(function):
    """It, and a list of the arguments of its calls."""
    calls: list[Any] = []

    def call(*args):
        calls.append(args)
        return function(*args)

    return call, calls


# -- Receiving and sending


@everywhere
@both
def test_datagrams_go_whole_and_in_order(where, kind):
    async def main():
        sock, peer = wired(kind)
        with sock, peer:
            sent = [b"a", b"", b"bc" * 300, b"", b"d"]
            for data in sent:
                peer.send(data)
            assert [await sock.recv(1000) for _ in sent] == sent
            assert [await sock.send(data) for data in sent] == [len(data) for data in sent]
            assert [peer.recv(1000) for _ in sent] == sent

    where.run(main)


@everywhere
def test_each_datagram_has_its_sender(where):
    async def main():
        with bind_udp() as sock, asking(sock) as one, asking(sock) as two:
            receive = await parked(sock, READ, sock.recvfrom, 100)
            one.send(b"one")
            assert await receive == (b"one", one.getsockname())
            for peer, data in ((two, b"two"), (one, b""), (two, b"three")):
                peer.send(data)
                arrived(sock)
                assert await sock.recvfrom(100) == (data, peer.getsockname())
                assert await sock.sendto(data, peer.getsockname()) == len(data)
                assert peer.recv(100) == data

    where.run(main)


@everywhere
def test_senders_of_unix_datagrams(where, path):
    """One without a name is "", however the system says that."""

    async def main():
        with DatagramSocket(socket.AF_UNIX) as sock, DatagramSocket(socket.AF_UNIX) as named:
            sock.bind(path)
            assert sock.getsockname() == path
            with asking(sock) as peer:
                peer.send(b"x")
                assert await sock.recvfrom(100) == (b"x", "")
            named.bind("t")
            assert await named.sendto(b"y", path) == 1
            assert await sock.recvfrom(100) == (b"y", "t")
            assert await sock.sendto(b"z", "t") == 1
            assert await named.recv(100) == b"z"

    where.run(main)


@everywhere
@both
def test_what_does_not_fit_is_lost(where, kind):
    async def main():
        sock, peer = wired(kind)
        with sock, peer:
            for data in (b"long", b"next"):
                peer.send(data)
            assert await sock.recv(2) == b"lo"
            data, _ = await sock.recvfrom(100)
            assert data == b"next"

    where.run(main)


@everywhere
@both
def test_a_short_datagram_is_not_the_last(where, kind):
    """With an edge-triggered poller nobody tells again of those that came with it."""

    async def main():
        sock, peer = wired(kind)
        with sock, peer:
            for count in (9, 1, 4):
                receive = await parked(sock, READ, sock.recv, 1000)
                for number in range(count):
                    peer.send(b"%d" % number)
                arrived(sock)
                assert await receive == b"0"
                for number in range(1, count):
                    assert await sock.recv(1000) == b"%d" % number

    where.run(main)


@everywhere
def test_only_as_much_is_asked_for_as_a_datagram_can_be(where):
    """A Unix one may be larger than one of UDP."""

    async def main():
        sock, peer = wired("udp")
        with sock, peer:
            sock._recv, asked = counted(sock._recv)
            peer.send(b"x")
            assert await sock.recv(1 << 30) == b"x"
        assert asked == [(MAX_RECV, 0)]
        sock, peer = wired("unix")
        with sock, peer:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 18)
            sent = os.urandom(MAX_RECV + 1)
            peer.send(sent)
            assert await sock.recv(1 << 17) == sent

    where.run(main)


@everywhere
@pytest.mark.parametrize("size", [0, -1])
def test_to_receive_nothing_is_no_request(where, size):
    async def main():
        with bind_udp() as sock, asking(sock) as peer:
            peer.send(b"kept")
            for receive in (sock.recv, sock.recvfrom):
                with pytest.raises(ValueError, match=f"cannot receive {size} bytes of a datagram"):
                    await receive(size)
            assert await sock.recv(100) == b"kept"

    where.run(main)


@everywhere
@pytest.mark.parametrize("how", [bytes, bytearray, memoryview])
def test_what_can_be_sent(where, how):
    async def main():
        sock, peer = wired("udp")
        with sock, peer:
            assert await sock.send(how(b"hello")) == 5
            assert peer.recv(100) == b"hello"
        with bind_udp() as sock, asking(sock) as peer:
            assert await sock.sendto(how(b"hello"), peer.getsockname()) == 5
            assert peer.recv(100) == b"hello"

    where.run(main)


# -- Full buffers


@everywhere
def test_a_send_waits_for_room(where):
    async def main():
        sock, peer = wired("unix")
        with sock, peer:
            tiny_buffers(sock._sock, send=True)
            count = fill(sock._sock.send)
            send = await parked(sock, WRITE, sock.send, b"last")
            with pytest.raises(BusyError):
                await sock.send(b"second")
            for number in range(count):
                assert peer.recv(100) == b"%d" % number
            assert await send == 4
            assert peer.recv(100) == b"last"

    where.run(main)


def crowded(receiver):
    """Fill the queue of a bound Unix socket."""
    with asking(receiver) as peer:
        peer.setblocking(False)
        return fill(peer.send)


@everywhere
def test_a_send_to_a_full_queue_pauses(where, path):
    """One's own socket is writable all the while, so a poller has nothing to say."""
    clock = FakeClock()

    async def main():
        with DatagramSocket(socket.AF_UNIX) as sock, DatagramSocket(socket.AF_UNIX) as full:
            full.bind(path)
            count = crowded(full)
            sock._send_by_address, calls = counted(sock._send_by_address)
            send = start(sock.sendto, b"last", path)
            await turns(20)
            assert len(calls) == 1
            for other in (sock.send, sock.sendto):
                args = (b"second",) if other == sock.send else (b"second", path)
                assert isinstance(await outcome(other, *args), BusyError)
            clock.advance(UNIX_RETRY)
            await turns(20)
            assert not send.done
            assert len(calls) == 2
            for _ in range(count):
                await full.recv(100)
            clock.advance(UNIX_RETRY)
            assert await send == 4
            assert await full.recv(100) == b"last"

    where.run(main, clock=clock)


@everywhere
@pytest.mark.parametrize("ending", ["cancel", "close"])
def test_a_pause_can_be_ended(where, path, ending):
    async def main():
        with DatagramSocket(socket.AF_UNIX) as sock, DatagramSocket(socket.AF_UNIX) as full:
            full.bind(path)
            count = crowded(full)
            send = start(sock.sendto, b"last", path)
            await turns()
            getattr(sock, ending)()
            ended = await send
            assert isinstance(ended, OperationCancelled)
            assert ended.cause is Cause[ending.upper()]
            assert ended.transferred == 0
            for _ in range(count):
                await full.recv(100)
            if ending == "cancel":
                assert await sock.sendto(b"next", path) == 4
                assert await full.recv(100) == b"next"

    where.run(main, clock=FakeClock())


@everywhere
def test_a_cancel_during_the_call_that_finds_no_room_is_not_lost(where, path):
    """It comes from another thread while the first is in the call: here, from the call itself."""

    async def main():
        with DatagramSocket(socket.AF_UNIX) as sock, DatagramSocket(socket.AF_UNIX) as full:
            full.bind(path)
            crowded(full)
            real = sock._send_by_address

            def attempt(packet, flags):
                sock.cancel()
                return real(packet, flags)

            sock._send_by_address = attempt
            with pytest.raises(OperationCancelled):
                await sock.sendto(b"last", path)

    where.run(main, clock=FakeClock())


# -- Ending


@everywhere
@both
@pytest.mark.parametrize("ending", ["cancel", "close", "task", "deadline"])
def test_a_receive_that_is_ended_has_taken_nothing(where, kind, ending):
    async def main():
        sock, peer = wired(kind)
        with sock, peer:
            if ending == "deadline":
                with pytest.raises(TimeoutError), reactor.timeout(0):
                    await sock.recvfrom(100)
            else:
                receive = await parked(sock, READ, sock.recvfrom, 100)
                if ending == "task":
                    receive.cancel()
                else:
                    getattr(sock, ending)()
                ended = await receive
                assert isinstance(ended, OperationCancelled)
                assert ended.cause is (Cause.CLOSE if ending == "close" else Cause.CANCEL)
            if ending == "close":
                with pytest.raises(ClosedError):
                    await sock.recv(100)
                with pytest.raises(ClosedError):
                    await sock.send(b"x")
                return
            peer.send(b"kept")
            data, _ = await sock.recvfrom(100)
            assert data == b"kept"

    where.run(main)


@everywhere
def test_one_receive_and_one_send_at_a_time(where):
    async def main():
        sock, peer = wired("udp")
        with sock, peer:
            receive = await parked(sock, READ, sock.recv, 100)
            with pytest.raises(BusyError, match="another receive is pending on this datagram"):
                await sock.recvfrom(100)
            assert await sock.send(b"the other way") == 13
            peer.send(b"x")
            assert await receive == b"x"

    where.run(main)


@everywhere
def test_nothing_is_done_in_a_cancelled_scope(where):
    async def main():
        with bind_udp() as sock, asking(sock) as peer:
            peer.send(b"kept")
            arrived(sock)
            with reactor.CancelScope() as scope:
                scope.cancel()
                await sock.recv(100)
            with reactor.CancelScope() as scope:
                scope.cancel()
                await sock.sendto(b"x", peer.getsockname())
            with reactor.CancelScope() as scope:
                scope.cancel()
                await sock.connect(peer.getsockname())
            assert await sock.recvfrom(100) == (b"kept", peer.getsockname())
            with pytest.raises(OSError) as caught:
                sock.getpeername()
            assert caught.value.errno == errno.ENOTCONN

    where.run(main)
