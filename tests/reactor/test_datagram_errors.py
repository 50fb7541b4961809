"""Datagram sockets: their errors, their addresses, and what they share with others."""

from __future__ import annotations

import errno
import os
import socket
import sys

import pytest

import reactor
from harness.faults import FaultTable, Rule
from harness.peer import SAFETY
from reactor import (
    DatagramSocket,
    IoContext,
    OperationCancelled,
    PosixSystem,
    Unsupported,
    bind_udp,
    connect_udp,
)
from reactor.descriptor import READ, WRITE
from tests.reactor.datagrams import asking, fill, nobody, wired
from tests.reactor.places import everywhere, parked, turns

# -- Errors


@everywhere
def test_a_refused_datagram_is_told_once(where):
    """To whom depends on the system; whom it is told, the socket is as it was."""

    async def main():
        address = nobody()
        with await connect_udp(*address) as sock:
            receive = await parked(sock, READ, sock.recv, 100)
            assert await sock.send(b"anybody?") == 8
            told = await receive
            assert isinstance(told, ConnectionRefusedError)
            assert vars(told)["transferred"] == 0
            receive = await parked(sock, READ, sock.recv, 100)
            await turns(10)
            assert not receive.done
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as late:
                late.bind(address)
                late.settimeout(SAFETY)
                assert await sock.send(b"and now?") == 8
                assert late.recvfrom(100) == (b"and now?", sock.getsockname())
                late.sendto(b"here", sock.getsockname())
                assert await receive == b"here"

    where.run(main)


@everywhere
def test_one_that_is_not_connected_is_told_of_no_refusal(where):
    async def main():
        with bind_udp() as sock, asking(sock) as peer:
            await sock.sendto(b"anybody?", nobody())
            receive = await parked(sock, READ, sock.recv, 100)
            peer.send(b"here")
            assert await receive == b"here"

    where.run(main)


@everywhere
def test_too_much_for_a_datagram(where):
    async def main():
        sock, peer = wired("udp")
        with sock, peer:
            for send, args in ((sock.send, ()), (sock.sendto, (peer.getsockname(),))):
                with pytest.raises(OSError) as caught:
                    await send(bytes(1 << 16), *args)
                assert caught.value.errno == errno.EMSGSIZE
                assert vars(caught.value)["transferred"] == 0
            assert await sock.send(b"less") == 4
            assert peer.recv(100) == b"less"

    where.run(main)


@everywhere
def test_without_an_address_there_is_nobody_to_send_to(where):
    async def main():
        with bind_udp() as sock:
            with pytest.raises(OSError) as caught:
                await sock.send(b"x")
            assert caught.value.errno in {errno.EDESTADDRREQ, errno.ENOTCONN}

    where.run(main)


@everywhere
@pytest.mark.parametrize("code", [errno.ENOBUFS, errno.EPERM, errno.EPROTOTYPE])
def test_an_error_is_that_of_the_operation(where, code):
    """Also EPROTOTYPE, which to a stream means what macOS says of one that is torn down."""
    table = FaultTable()
    for call in ("send", "sendto"):
        table.add(Rule(call, errors=[code]))

    async def main():
        sock, peer = wired("udp")
        with sock, peer:
            for send, args in ((sock.send, ()), (sock.sendto, (peer.getsockname(),))):
                with pytest.raises(OSError) as caught:
                    await send(b"x", *args)
                assert caught.value.errno == code
            assert await sock.send(b"y") == 1
            assert peer.recv(100) == b"y"

    where.run(main, table)


@everywhere
def test_a_send_to_a_stream_socket_is_of_the_wrong_type(where, path):
    async def main():
        with reactor.listen_unix(path), DatagramSocket(socket.AF_UNIX) as sock:
            with pytest.raises(OSError) as caught:
                await sock.sendto(b"x", path)
            # POSIX says EPROTOTYPE; the BSDs see a socket that refuses.
            assert caught.value.errno in {errno.EPROTOTYPE, errno.ECONNREFUSED}
            assert not isinstance(caught.value, BrokenPipeError)

    where.run(main)


# -- Addresses and connecting


@everywhere
def test_a_connected_socket_talks_with_one_alone(where):
    async def main():
        with bind_udp() as sock, asking(sock) as peer, asking(sock) as other:
            await sock.connect(peer.getsockname())
            assert sock.getpeername() == peer.getsockname()
            other.send(b"not for you")
            peer.send(b"for you")
            assert await sock.recv(100) == b"for you"
            assert await sock.send(b"back") == 4
            assert peer.recv(100) == b"back"

    where.run(main)


@everywhere
def test_connecting_needs_no_room_to_send(where, monkeypatch):
    """A send that found none was cancelled; where the poller stands does not matter."""

    async def main():
        left, right = DatagramSocket.pair()
        with left, right:
            fill(left._sock.send)
            send = await parked(left, WRITE, left.send, b"x")
            send.cancel()
            assert isinstance(await send, OperationCancelled)
            seen: list[object] = []
            monkeypatch.setattr(left, "_connect_step", lambda address, _: seen.append(address))
            await left.connect("anywhere")
            assert seen == ["anywhere"]

    where.run(main)


@everywhere
def test_pairs(where):
    async def main():
        left, right = DatagramSocket.pair()
        with left, right:
            assert left.family == socket.AF_UNIX
            assert await left.send(b"there") == 5
            assert await left.send(b"") == 0
            assert await right.recvfrom(100) == (b"there", "")
            assert await right.recvfrom(100) == (b"", "")

    where.run(main)


@everywhere
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_connecting_by_host(where, host):
    async def main():
        try:
            bound = bind_udp("::1" if host == "::1" else "127.0.0.1")
        except OSError as exc:
            pytest.skip(f"this machine has no {host}: {exc}")
        with bound:
            port = bound.getsockname()[1]
            with await connect_udp(host, port) as sock:
                if host == "localhost" and sock.family != socket.AF_INET:
                    pytest.skip("localhost is ::1 here")
                assert await sock.send(b"hello") == 5
                assert await bound.recvfrom(100) == (b"hello", sock.getsockname())

    where.run(main)


@everywhere
@pytest.mark.parametrize("port", [-1, 65536, True, "80"])
def test_what_is_no_port(where, port):
    async def main():
        with pytest.raises(ValueError, match="a port is a number from 0 to 65535"):
            bind_udp(port=port)
        with pytest.raises(ValueError, match="a port is a number from 0 to 65535"):
            await connect_udp("127.0.0.1", port)

    where.run(main)


@everywhere
def test_an_address_in_use(where):
    async def main():
        with bind_udp() as sock:
            before = reactor.current_context().descriptor_count
            with pytest.raises(OSError) as caught:
                bind_udp(*sock.getsockname())
            assert caught.value.errno == errno.EADDRINUSE
            assert reactor.current_context().descriptor_count == before

    where.run(main)


@pytest.mark.skipif(not hasattr(socket, "SO_REUSEPORT"), reason="it is not POSIX")
def test_sharing_a_port():
    async def main():
        with bind_udp(reuse_port=True) as one, bind_udp(*one.getsockname(), reuse_port=True) as two:
            assert two.getsockname() == one.getsockname()

    reactor.run(main)


def test_sharing_a_port_where_that_cannot_be():
    async def main():
        with pytest.raises(Unsupported, match="SO_REUSEPORT"):
            bind_udp(reuse_port=True)

    reactor.run(main, backend="poll", system=PosixSystem())


@everywhere
def test_a_socket_belongs_to_its_context(where):
    """Closing that closes the socket, which is neither inherited nor blocking."""
    context: IoContext = where.context()
    sock = bind_udp(context=context)
    assert sock.context is context
    assert not os.get_inheritable(sock.fileno())
    assert not os.get_blocking(sock.fileno())
    assert repr(sock) == f"<DatagramSocket fd {sock.fileno()}>"
    context.close()
    assert sock.closed


@everywhere
def test_a_flood_leaves_others_their_turn(where):
    """A task whose receives all find something gives way like any other."""

    async def main():
        sock, peer = wired("udp")
        with sock, peer:
            for _ in range(100):
                peer.send(b"x")
            steps = []

            async def receive():
                for _ in range(100):
                    await sock.recv(10)
                    steps.append("receive")

            async def other():
                steps.append("other")

            async with reactor.TaskGroup() as group:
                group.spawn(receive)
                await reactor.sleep(0)
                group.spawn(other)
            assert steps.index("other") < 100

    where.run(main)


@pytest.mark.skipif(sys.platform != "linux", reason="what Linux counts")
def test_a_receive_that_finds_something_makes_one_call():
    """With a full queue the poller is not asked between two receives."""

    async def main():
        sock, peer = wired("udp")
        with sock, peer:
            for _ in range(20):
                peer.send(b"x")
            before = reactor.current_context().counters().waits
            for _ in range(20):
                await sock.recv(10)
            assert reactor.current_context().counters().waits == before

    reactor.run(main)
