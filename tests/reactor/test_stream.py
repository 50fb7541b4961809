"""Stream sockets, TCP and Unix: what each method does, on every backend of this machine."""

from __future__ import annotations

import array
import errno
import itertools
import os
import socket
import threading
from typing import Any

import pytest

import reactor
from harness.clock import FakeClock
from harness.faults import FaultTable, Rule
from harness.peer import Peer, check_pattern, linger_zero, pattern, tiny_buffers
from harness.provoke import Crowd
from harness.world import LiveWorld
from reactor import (
    BusyError,
    Cause,
    ClosedError,
    ContextClosedError,
    IncompleteReadError,
    IoContext,
    OperationCancelled,
    ReactorError,
    StreamSocket,
    connect_tcp,
    connect_unix,
    gather,
    listen_tcp,
    listen_unix,
    stream,
)
from reactor.descriptor import READ, WRITE
from reactor.gather import IOV_MAX
from reactor.stream import MAX_RECV
from tests.reactor.places import (
    arrived,
    both_kinds,
    ends,
    everywhere,
    parked,
    receiving,
    sending,
    start,
    turns,
    wired,
)

MEGABYTE = 1 << 20


class Full:
    """A Unix listener that has no room for another connection."""

    def __init__(self, path):
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen(0)
        self._members: list[socket.socket] = []
        self.answer = 0
        while not self.answer:
            self._members.append(socket.socket(socket.AF_UNIX))
            self._members[-1].setblocking(False)
            self.answer = self._members[-1].connect_ex(path)

    def make_room(self):
        self._members.append(self._listener.accept()[0])

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        for sock in (*self._members, self._listener):
            sock.close()


@pytest.fixture
def full(path):
    with Full(path) as listener:
        if listener.answer != errno.EAGAIN:
            pytest.skip("a connect to a full Unix listener is refused here, and not put off")
        yield listener


@pytest.fixture
def crowd():
    """A TCP listener to which connects hang."""
    made = Crowd(socket.AF_INET, LiveWorld())
    yield made
    made.close()


# -- Connecting


@everywhere
def test_connecting_over_tcp(where):
    async def main():
        with listen_tcp() as acceptor, StreamSocket() as sock:
            await sock.connect(acceptor.getsockname())
            with await acceptor.accept() as other:
                assert sock.getpeername() == acceptor.getsockname() == other.getsockname()
                assert other.getpeername() == other.peer_address == sock.getsockname()
                assert sock.peer_address is None
                assert sock.family == other.family == socket.AF_INET
                await sock.sendall(b"hello")
                assert await other.recv(100) == b"hello"

    where.run(main)


@everywhere
def test_connecting_over_unix(where, path):
    async def main():
        with listen_unix(path) as acceptor, StreamSocket(socket.AF_UNIX) as sock:
            await sock.connect(path)
            with await acceptor.accept() as other:
                assert sock.getpeername() == path
                assert other.peer_address == ""
                assert sock.family == other.family == socket.AF_UNIX
                await other.sendall(b"hello")
                assert await sock.recv(100) == b"hello"

    where.run(main)


@everywhere
def test_a_connect_that_is_in_progress_waits(where):
    """The kernel says EINPROGRESS first, whether or not it has connected meanwhile."""
    table = FaultTable()

    def in_progress(real):
        try:
            real()
        except BlockingIOError:
            pass
        raise BlockingIOError(errno.EINPROGRESS, "in progress")

    async def main():
        table.add(Rule("connect", answers=[in_progress]))
        with listen_tcp() as acceptor, StreamSocket() as sock:
            await sock.connect(acceptor.getsockname())
            assert sock.getpeername() == acceptor.getsockname()
            assert table.calls["connect"] == 1
            assert reactor.current_context().counters().parks == 1

    where.run(main, table)


@everywhere
def test_a_connect_that_a_signal_interrupts_goes_on(where):
    """POSIX connect(): after EINTR it must not be called again, but waited for."""
    table = FaultTable()

    def interrupted(real):
        try:
            real()
        except BlockingIOError:
            pass
        raise InterruptedError(errno.EINTR, "interrupted")

    async def main():
        table.add(Rule("connect", answers=[interrupted]))
        with listen_tcp() as acceptor, StreamSocket() as sock:
            await sock.connect(acceptor.getsockname())
            with await acceptor.accept() as other:
                assert other.getpeername() == sock.getsockname()
            assert table.calls["connect"] == 1

    where.run(main, table)


@everywhere
def test_a_refused_connect(where):
    async def main():
        with listen_tcp() as acceptor:
            address = acceptor.getsockname()
        with StreamSocket() as sock:
            with pytest.raises(ConnectionRefusedError) as caught:
                await sock.connect(address)
            assert caught.value.transferred == 0  # type: ignore[attr-defined]

    where.run(main)


@everywhere
def test_a_refusal_that_comes_later_is_no_success(where):
    """Writable, as a socket that is connected is; SO_ERROR tells."""
    table = FaultTable()
    table.add(Rule("connect", errors=[errno.EINPROGRESS]))
    table.add(Rule("getsockopt", answers=[lambda _: errno.ECONNREFUSED]))

    async def main():
        with StreamSocket() as sock:
            with pytest.raises(ConnectionRefusedError, match=r"refused.*'127\.0\.0\.1', 9"):
                await sock.connect(("127.0.0.1", 9))
            # Not as one that was connected once and torn down since.
            with pytest.raises(OSError, match=os.strerror(errno.ENOTCONN)):
                sock.shutdown(socket.SHUT_RDWR)

    where.run(main, table)


@everywhere
def test_a_spurious_event_is_no_success(where, crowd):
    """Neither an error nor a peer: it is not connected yet."""

    async def main():
        with StreamSocket() as sock:
            task = await parked(sock, WRITE, sock.connect, crowd.address)
            for _ in range(3):
                sock._descriptor.nudge(WRITE)
                await turns()
                assert not task.done
            assert sock.cancel() == 1
            assert (await task).cause is Cause.CANCEL

    where.run(main)


@everywhere
def test_a_connection_that_was_reset_at_once_counts_as_connected(where):
    """getpeername fails, but the socket has hung up: the next operation tells why."""
    table = FaultTable()
    table.add(Rule("connect", errors=[errno.EINPROGRESS]))
    table.add(Rule("getpeername", errors=[errno.ENOTCONN]))

    async def main():
        left, right = ends("tcp")
        with right, StreamSocket.from_socket(left) as sock:
            await sock.connect(("127.0.0.1", 9))
            assert table.calls["getpeername"] == 1

    where.run(main, table)


@everywhere
def test_a_second_connect_is_busy_and_leaves_the_first_alone(where, crowd):
    async def main():
        with StreamSocket() as sock:
            task = await parked(sock, WRITE, sock.connect, crowd.address)
            with pytest.raises(BusyError, match="send"):
                await sock.connect(crowd.address)
            with pytest.raises(BusyError, match="send"):
                await sock.send(b"x")
            await turns()
            assert not task.done
            sock.close()
            assert (await task).cause is Cause.CLOSE

    where.run(main)


@everywhere
def test_connecting_again_after_a_cancel_waits_for_the_kernel(where, crowd):
    """connect(2) says EALREADY: the attempt goes on, and there is no need to ask again and again."""
    table = FaultTable()

    async def main():
        with StreamSocket() as sock:
            for _ in range(2):
                task = await parked(sock, WRITE, sock.connect, crowd.address)
                assert sock.cancel() == 1
                assert (await task).cause is Cause.CANCEL
        assert table.calls["connect"] == 2

    where.run(main, table)


@everywhere
def test_connecting_to_a_path_that_is_not_there(where, path):
    async def main():
        with StreamSocket(socket.AF_UNIX) as sock, pytest.raises(FileNotFoundError):
            await sock.connect(path)

    where.run(main)


@everywhere
def test_connecting_to_a_path_where_nobody_listens(where, path):
    async def main():
        listen_unix(path).close()
        with StreamSocket(socket.AF_UNIX) as sock, pytest.raises(ConnectionRefusedError):
            await sock.connect(path)

    where.run(main)


@everywhere
def test_a_full_unix_listener_is_tried_again(where, path, full):
    """connect(2) says EAGAIN and there is nothing to poll for; time passes between the attempts."""
    table, clock = FaultTable(), FakeClock()

    async def main():
        with StreamSocket(socket.AF_UNIX) as sock:
            task = start(sock.connect, path)
            await turns()
            assert table.calls["connect"] == 1
            began = clock.monotonic()
            await reactor.sleep(0.018)
            assert table.calls["connect"] == 4
            full.make_room()
            assert await task is None
            assert table.calls["connect"] == 5
            assert clock.monotonic() - began == pytest.approx(0.02)
            assert sock.getpeername() == path

    where.run(main, table, clock)


@everywhere
@pytest.mark.parametrize("ending", ["cancel", "close"])
def test_the_pause_of_a_connect_ends_as_an_operation_does(where, path, full, ending):
    async def main():
        with StreamSocket(socket.AF_UNIX) as sock:
            task = start(sock.connect, path)
            await turns()
            if ending == "cancel":
                assert sock.cancel() == 1
                assert sock.cancel() == 0
            else:
                sock.close()
            assert (await task).cause_name == ending

    where.run(main, clock=FakeClock())


@everywhere
def test_a_second_connect_during_the_pause_is_busy_too(where, path, full):
    """To who asked, the connect is pending all the time."""

    async def main():
        with StreamSocket(socket.AF_UNIX) as sock:
            task = start(sock.connect, path)
            await turns()
            with pytest.raises(BusyError):
                await sock.connect(path)
            full.make_room()
            assert await task is None

    where.run(main, clock=FakeClock())


# -- Receiving


@everywhere
@both_kinds
def test_receiving_what_is_there(where, kind):
    async def main():
        with wired(kind) as (sock, peer):
            peer.sendall(b"hello, world")
            arrived(sock)
            assert await sock.recv(5) == b"hello"
            assert await sock.recv(100) == b", world"
            peer.sendall(b"more")
            assert await sock.recv(100) == b"more"
            peer.close()
            for _ in range(3):
                assert await sock.recv(100) == b""

    where.run(main)


@everywhere
@both_kinds
def test_a_receive_waits_for_data(where, kind):
    async def main():
        with wired(kind) as (sock, peer):
            for data in (b"one", b"two"):
                task = await receiving(sock)
                peer.sendall(data)
                assert await task == data
            task = await receiving(sock)
            peer.shutdown(socket.SHUT_WR)
            assert await task == b""

    where.run(main)


@everywhere
def test_receiving_nothing(where):
    """No system call, nothing consumed, and not a word about the end."""
    table = FaultTable()

    async def main():
        with wired() as (sock, peer):
            assert await sock.recv(0) == b""
            assert await sock.recv_into(bytearray()) == 0
            assert await sock.recv_exactly(0) == b""
            assert table.calls["recv"] == table.calls["recv_into"] == 0
            peer.sendall(b"kept")
            assert await sock.recv(0) == b""
            assert await sock.recv(100) == b"kept"

    where.run(main, table)


@everywhere
@pytest.mark.parametrize("size", [-1, -(10**9)])
def test_receiving_a_negative_size(where, size):
    async def main():
        with wired() as (sock, _peer):
            for method in (sock.recv, sock.recv_exactly):
                with pytest.raises(ValueError, match=f"{size} bytes: a size is 0 or more"):
                    await method(size)

    where.run(main)


@everywhere
def test_a_receive_brings_64_kib_at_most(where):
    async def main():
        with wired() as (sock, peer):
            sent = Peer(peer).fill()
            assert sent > MAX_RECV
            data = await sock.recv(1 << 40)
            assert len(data) == MAX_RECV
            check_pattern(data)

    where.run(main)


@everywhere
@both_kinds
def test_receiving_into_buffers(where, kind):
    async def main():
        with wired(kind) as (sock, peer):
            peer.sendall(b"abcdefgh")
            arrived(sock)
            buffer = bytearray(b"-----")
            assert await sock.recv_into(memoryview(buffer)[1:4]) == 3
            assert buffer == b"-abc-"
            assert await sock.recv_into(buffer) == 5
            assert buffer == b"defgh"
            numbers = array.array("H", [0] * 4)
            task = await parked(sock, READ, sock.recv_into, memoryview(numbers))
            peer.sendall(bytes(range(8)))
            assert await task == 8
            assert numbers.tobytes() == bytes(range(8))
            peer.close()
            assert await sock.recv_into(buffer) == 0
            assert buffer == b"defgh"

    where.run(main)


@everywhere
@both_kinds
def test_receiving_exactly(where, kind):
    async def main():
        with wired(kind) as (sock, peer):
            peer.sendall(b"ab")
            task = await parked(sock, READ, sock.recv_exactly, 7)
            peer.sendall(b"cde")
            await turns()
            assert not task.done
            peer.sendall(b"fgh")
            assert await task == b"abcdefg"
            assert await sock.recv_exactly(1) == b"h"

    where.run(main)


@everywhere
@both_kinds
@pytest.mark.parametrize("sent", [b"", b"abc"])
def test_an_end_before_all_has_come(where, kind, sent):
    async def main():
        with wired(kind) as (sock, peer):
            peer.sendall(sent)
            peer.close()
            with pytest.raises(IncompleteReadError, match=f"after {len(sent)} of 7") as caught:
                await sock.recv_exactly(7)
            assert (caught.value.partial, caught.value.expected) == (sent, 7)
            assert isinstance(caught.value, EOFError)

    where.run(main)


@everywhere
@pytest.mark.parametrize("ending", ["cancel", "close", "task"])
def test_an_exact_receive_that_is_cancelled_gives_what_it_has(where, ending):
    async def main():
        with wired() as (sock, peer):
            peer.sendall(b"abc")
            task = await parked(sock, READ, sock.recv_exactly, 7)
            if ending == "cancel":
                assert sock.cancel() == 1
            elif ending == "close":
                sock.close()
            else:
                task.cancel()
            error = await task
            assert isinstance(error, OperationCancelled)
            assert error.cause is (Cause.CLOSE if ending == "close" else Cause.CANCEL)
            assert (error.transferred, error.partial) == (3, b"abc")
            if ending != "close":
                peer.sendall(b"d")
                assert await sock.recv(100) == b"d"

    where.run(main)


@everywhere
def test_an_exact_receive_that_fails_says_how_far_it_came(where):
    table = FaultTable()

    async def main():
        with wired() as (sock, peer):
            peer.sendall(b"abc")
            task = await parked(sock, READ, sock.recv_exactly, 7)
            table.add(Rule("recv_into", errors=[errno.ECONNRESET]))
            peer.sendall(b"d")
            error = await task
            assert isinstance(error, ConnectionResetError)
            assert error.transferred == 3  # type: ignore[attr-defined]

    where.run(main, table)


@everywhere
@both_kinds
def test_a_cancelled_receive_consumed_nothing(where, kind):
    async def main():
        with wired(kind) as (sock, peer):
            task = await receiving(sock)
            assert sock.cancel() == 1
            peer.sendall(b"kept")
            error = await task
            assert (error.cause, error.transferred) == (Cause.CANCEL, 0)
            assert await sock.recv(100) == b"kept"

    where.run(main)


@everywhere
def test_receiving_a_reset(where):
    async def main():
        with wired("tcp") as (sock, peer):
            task = await receiving(sock)
            linger_zero(peer)
            peer.close()
            error = await task
            assert isinstance(error, ConnectionResetError)
            assert error.transferred == 0  # type: ignore[attr-defined]
            assert await sock.recv(100) == b""

    where.run(main)


@everywhere
def test_receiving_into_several_buffers(where):
    async def main():
        with wired() as (sock, peer):
            peer.sendall(b"abcdefgh")
            first, second = bytearray(3), array.array("H", [0, 0])
            views: list[bytearray | memoryview] = [first, memoryview(second)]
            peeked = await sock.recvmsg_into(views, 0, socket.MSG_PEEK)
            assert peeked[:2] == (7, [])
            count, ancdata, _flags, _address = await sock.recvmsg_into(views)
            assert (count, ancdata) == (7, [])
            assert bytes(first) + second.tobytes() == b"abcdefg"
            assert await sock.recv(100) == b"h"
            task = await parked(sock, READ, sock.recvmsg_into, [first])
            peer.sendall(b"xyz!")
            assert (await task)[0] == 3
            assert first == b"xyz"

    where.run(main)


@everywhere
def test_passing_a_descriptor(where, tmp_path):
    """SCM_RIGHTS, sent with `sendmsg` and received with `recvmsg_into`."""

    async def main():
        left, right = StreamSocket.pair()
        with left, right, (tmp_path / "file").open("w+") as file:
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [file.fileno()]))
            task = await parked(
                right, READ, right.recvmsg_into, [bytearray(10)], socket.CMSG_SPACE(4)
            )
            assert await left.sendmsg([b"xyz"], [(*rights[:2], rights[2].tobytes())]) == 3
            count, ancdata, _flags, _address = await task
            assert count == 3
            ((level, kind, data),) = ancdata
            assert (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
            (fd,) = array.array("i", data)
            assert os.path.samestat(os.fstat(fd), os.fstat(file.fileno()))
            os.close(fd)

    where.run(main)


# -- Sending


@everywhere
@both_kinds
def test_sending_what_fits(where, kind):
    async def main():
        with wired(kind) as (sock, peer):
            assert await sock.send(b"hello") == 5
            assert await sock.send(bytearray(b"there")) == 5
            assert await sock.send(memoryview(array.array("H", [0x4141, 0x4242]))) == 4
            assert Peer(peer).drain(14) == b"hellothereAABB"
            tiny_buffers(sock._sock, send=True)
            count = await sock.send(bytes(10 * MEGABYTE))
            assert 0 < count < 10 * MEGABYTE

    where.run(main)


@everywhere
def test_no_call_sends_more_than_the_kernels_take(where, monkeypatch):
    """erlang/otp#6248: macOS answers EINVAL above INT_MAX instead of sending a part."""
    for module in (stream, gather):
        monkeypatch.setattr(module, "MAX_SEND", 5)
    table = FaultTable()

    async def main():
        with wired() as (sock, peer):
            assert await sock.send(b"hello, world") == 5
            assert await sock.sendall(b"hello, world") == 12
            assert table.calls["sendmsg"] == 3
            assert await sock.sendall(b"hello") == 5
            assert table.calls["send"] == 2
            assert Peer(peer).drain(22) == b"hellohello, worldhello"

    where.run(main, table)


@everywhere
def test_sending_nothing(where):
    table = FaultTable()

    async def main():
        with wired() as (sock, _peer):
            assert await sock.send(b"") == 0
            assert await sock.sendall(b"") == 0
            assert await sock.sendall(memoryview(b"")) == 0
            assert await sock.sendmsg([]) == 0
            assert await sock.sendmsg([b"", bytearray()]) == 0
            assert table.calls["send"] == table.calls["sendmsg"] == 0

    where.run(main, table)


def numbers(data):
    return array.array("H", data)


@everywhere
@pytest.mark.parametrize(
    ("kind", "make"),
    [
        ("tcp", bytes),
        ("unix", bytes),
        ("unix", bytearray),
        ("unix", memoryview),
        ("unix", numbers),
    ],
)
def test_a_megabyte_through_two_kilobytes(where, kind, make):
    """Law 3: no byte lost or repeated, however small the steps."""
    data = pattern(MEGABYTE)

    async def main():
        with wired(kind) as (sock, peer):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2048)
            with StreamSocket.from_socket(peer) as other:
                task = start(sock.sendall, make(data))
                received = await other.recv_exactly(MEGABYTE)
                assert await task == MEGABYTE
                check_pattern(received)
                parks = reactor.current_context().counters().parks
                assert parks > 3, "it went through at once: nothing is tested"

    where.run(main)


@everywhere
@both_kinds
@pytest.mark.parametrize("ending", ["cancel", "close", "task", "deadline"])
def test_a_cancelled_sendall_says_how_much_went_out(where, kind, ending):
    """Law 3: the peer has received exactly so much."""
    clock = FakeClock() if ending == "deadline" else None

    async def main():
        with wired(kind) as (sock, peer):
            tiny_buffers(sock._sock, send=True)
            if ending == "deadline":
                task = await parked(sock, WRITE, bounded, sock)
            else:
                task = await sending(sock, pattern(MEGABYTE))
            taken = Peer(peer).drain(1000)
            await turns()
            if ending == "cancel":
                assert sock.cancel() == 1
            elif ending == "close":
                sock.close()
            elif ending == "task":
                task.cancel()
            error = await task
            assert error.cause_name == {"task": "cancel"}.get(ending, ending)
            if ending != "close":
                sock.shutdown(socket.SHUT_WR)
            taken += Peer(peer).drain_to_end()
            assert 1000 < error.transferred < MEGABYTE
            assert len(taken) == error.transferred
            check_pattern(taken)

    async def bounded(sock):
        with reactor.timeout(5):
            try:
                await sock.sendall(pattern(MEGABYTE))
            except OperationCancelled as exc:
                return exc

    where.run(main, clock=clock)


@everywhere
@both_kinds
def test_a_cancelled_sendall_can_be_continued(where, kind):
    """docs/contract.md: continue at data[error.transferred:]."""
    data = pattern(200_000)

    async def main():
        with wired(kind) as (sock, peer):
            tiny_buffers(sock._sock, send=True)
            received = bytearray()
            rest = memoryview(data)
            while rest:
                task = start(sock.sendall, rest)
                await turns(5)
                ended = sock.cancel()
                result = await task
                if ended:
                    rest = rest[result.transferred :]
                else:
                    assert result == len(rest)
                    rest = rest[result:]
                received += Peer(peer).drain_available()
            received += Peer(peer).drain(len(data) - len(received))
            check_pattern(bytes(received))

    where.run(main)


@everywhere
@pytest.mark.parametrize("method", ["sendall", "sendmsg"])
def test_a_send_that_fails_half_way_says_how_much_went_out(where, method):
    table = FaultTable()

    async def main():
        with wired() as (sock, peer):
            tiny_buffers(sock._sock, send=True)
            data = pattern(MEGABYTE)
            if method == "sendall":
                task = await sending(sock, data)
            else:
                task = await parked(sock, WRITE, sock.sendmsg, [data[:10], data[10:]])
            table.add(Rule("send" if method == "sendall" else "sendmsg", errors=[errno.ECONNRESET]))
            taken = Peer(peer).drain_available()
            error = await task
            assert isinstance(error, ConnectionResetError)
            assert error.transferred == len(taken) > 0  # type: ignore[attr-defined]
            check_pattern(taken)

    where.run(main, table)


@everywhere
@both_kinds
def test_a_peer_that_goes_away_during_a_sendall(where, kind):
    async def main():
        with wired(kind) as (sock, peer):
            tiny_buffers(sock._sock, send=True)
            task = await sending(sock, bytes(10 * MEGABYTE))
            peer.close()
            error = await task
            assert isinstance(error, BrokenPipeError | ConnectionResetError)
            assert 0 < error.transferred < 10 * MEGABYTE  # type: ignore[union-attr]

    where.run(main)


@everywhere
@both_kinds
def test_gathering(where, kind):
    async def main():
        with wired(kind) as (sock, peer):
            numbers = array.array("H", [0x4141, 0x4242])
            middle = bytearray(b"two")
            buffers: list[Any] = [b"one", b"", middle, memoryview(numbers), b"", b"!"]
            assert await sock.sendmsg(buffers) == 11
            assert Peer(peer).drain(11) == b"onetwoAABB!"

    where.run(main)


@everywhere
def test_more_buffers_than_one_call_takes(where):
    """Beyond IOV_MAX the kernel answers EMSGSIZE or EINVAL; the library splits."""
    table = FaultTable()
    count = 2 * IOV_MAX + 5
    data = pattern(count)

    async def main():
        with wired() as (sock, peer):
            buffers = [data[i : i + 1] for i in range(count)]
            task = start(sock.sendmsg, buffers)
            received = b""
            while len(received) < count:
                await turns(1)
                received += Peer(peer).drain_available()
            assert await task == count
            check_pattern(received)
            assert table.calls["sendmsg"] >= 3

    where.run(main, table)


@everywhere
@both_kinds
def test_gathering_through_small_buffers(where, kind):
    data = pattern(MEGABYTE)
    cuts = [0, 1, 1, 5000, 5000, 5001, 300_000, 300_007, MEGABYTE]

    async def main():
        with wired(kind) as (sock, peer):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2048)
            with StreamSocket.from_socket(peer) as other:
                task = start(sock.sendmsg, [data[a:b] for a, b in itertools.pairwise(cuts)])
                check_pattern(await other.recv_exactly(MEGABYTE))
                assert await task == MEGABYTE

    where.run(main)


@everywhere
def test_a_cancelled_gathering_says_how_much_went_out(where):
    data = pattern(MEGABYTE)

    async def main():
        with wired() as (sock, peer):
            tiny_buffers(sock._sock, send=True)
            pieces = [data[i : i + 1000] for i in range(0, len(data), 1000)]
            task = await parked(sock, WRITE, sock.sendmsg, pieces)
            assert sock.cancel() == 1
            error = await task
            sock.close()
            taken = Peer(peer).drain_to_end()
            assert 0 < len(taken) == error.transferred
            check_pattern(taken)

    where.run(main)


@everywhere
def test_ancillary_data_goes_out_once(where):
    """libuv c560cf931: the handle was sent again with each partial write."""

    async def main():
        with wired() as (sock, peer):
            tiny_buffers(sock._sock, send=True)
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0]).tobytes())]
            task = await parked(sock, WRITE, sock.sendmsg, [pattern(200_000)], rights)
            passed: list[int] = []
            received = b""
            while len(received) < 200_000:
                await turns(1)
                peer.setblocking(False)
                try:
                    data, ancdata, _, _ = peer.recvmsg(1000, socket.CMSG_SPACE(40))
                except BlockingIOError:
                    continue
                received += data
                for _, _, fds in ancdata:
                    passed.extend(array.array("i", fds))
            assert await task == 200_000
            for fd in passed:
                os.close(fd)
            assert len(passed) == 1
            check_pattern(received)

    where.run(main)


@everywhere
def test_ancillary_data_survives_a_call_that_would_block(where):
    table = FaultTable()
    table.add(Rule("sendmsg", errors=[errno.EAGAIN]))

    async def main():
        with wired() as (sock, peer):
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0]).tobytes())]
            assert await sock.sendmsg([b"x"], rights) == 1
            assert table.calls["sendmsg"] == 2
            _data, ancdata, _, _ = peer.recvmsg(10, socket.CMSG_SPACE(40))
            ((_, _, fds),) = ancdata
            os.close(array.array("i", fds)[0])

    where.run(main, table)


# -- Waiting without receiving or sending


@everywhere
@both_kinds
def test_waiting_until_readable(where, kind):
    async def main():
        with wired(kind) as (sock, peer):
            task = await parked(sock, READ, sock.wait_readable)
            sock._descriptor.nudge(READ)  # spurious
            await turns()
            assert not task.done
            peer.sendall(b"kept")
            assert await task is None
            await sock.wait_readable()  # and it still is
            assert await sock.recv(100) == b"kept"
            task = await parked(sock, READ, sock.wait_readable)
            peer.close()
            assert await task is None
            assert await sock.recv(100) == b""

    where.run(main)


@everywhere
@both_kinds
def test_waiting_until_writable(where, kind):
    async def main():
        with wired(kind) as (sock, peer):
            await sock.wait_writable()
            tiny_buffers(sock._sock, send=True)
            sender = await sending(sock, bytes(10 * MEGABYTE))
            sender.cancel()
            await sender
            task = await parked(sock, WRITE, sock.wait_writable)
            sock._descriptor.nudge(WRITE)  # spurious
            await turns()
            assert not task.done
            Peer(peer).drain_available()
            assert await task is None
            assert await sock.send(b"x") == 1

    where.run(main)


@everywhere
def test_the_two_directions_are_independent(where):
    async def main():
        with wired() as (sock, peer):
            tiny_buffers(sock._sock, send=True)
            receiver = await receiving(sock)
            sender = await sending(sock, pattern(100_000))
            peer.sendall(b"hello")
            assert await receiver == b"hello"
            assert not sender.done
            receiver = await receiving(sock)
            with StreamSocket.from_socket(peer) as other:
                check_pattern(await other.recv_exactly(100_000))
                assert await sender == 100_000
                assert not receiver.done
                assert sock.cancel() == 1
                await receiver

    where.run(main)


# -- Shutting down


@everywhere
@both_kinds
def test_shutting_down_what_one_sends(where, kind):
    async def main():
        with wired(kind) as (sock, peer):
            await sock.sendall(b"last")
            sock.shutdown(socket.SHUT_WR)
            assert Peer(peer).drain_to_end() == b"last"
            peer.sendall(b"answer")
            assert await sock.recv(100) == b"answer"
            with pytest.raises(BrokenPipeError):
                await sock.sendall(b"x")

    where.run(main)


@everywhere
@both_kinds
@pytest.mark.parametrize("how", [socket.SHUT_RD, socket.SHUT_RDWR])
def test_shutting_down_what_one_receives_ends_a_receive(where, kind, how):
    async def main():
        with wired(kind) as (sock, _peer):
            task = await receiving(sock)
            sock.shutdown(how)
            assert await task == b""
            assert await sock.recv(100) == b""

    where.run(main)


@everywhere
def test_a_parked_receive_is_told_of_the_shutdown_itself(where):
    """libcoro PR 422: the poller need not report it, so it is not waited for."""
    table = FaultTable()

    async def main():
        with wired() as (sock, _peer):
            task = await receiving(sock)
            table.add(Rule("shutdown", answers=[lambda _: None] * 2))  # no kernel, no event
            calls = table.calls["recv"]
            sock.shutdown(socket.SHUT_WR)
            await turns()
            assert table.calls["recv"] == calls
            sock.shutdown(socket.SHUT_RD)
            await turns()
            assert table.calls["recv"] == calls + 1
            assert not task.done  # nothing was there
            sock.cancel()
            await task

    where.run(main, table)


@everywhere
def test_shutting_down_what_was_never_connected(where):
    async def main():
        with StreamSocket() as sock, pytest.raises(OSError) as caught:
            sock.shutdown(socket.SHUT_RDWR)
        assert caught.value.errno == errno.ENOTCONN

    where.run(main)


@everywhere
@pytest.mark.parametrize("how", ["from_socket", "connect", "accept"])
def test_shutting_down_what_the_peer_has_torn_down(where, how):
    """ENOTCONN, which kernels give in different situations, is no news."""
    table = FaultTable()

    async def main():
        with listen_tcp() as acceptor:
            if how == "from_socket":
                left, right = ends("tcp")
                with right:
                    sock = StreamSocket.from_socket(left)
            elif how == "connect":
                sock = await connect_tcp(*acceptor.getsockname())
            else:
                with socket.create_connection(acceptor.getsockname()):
                    sock = await acceptor.accept()
        with sock:
            table.add(Rule("shutdown", errors=[errno.ENOTCONN, errno.EBADF]))
            sock.shutdown(socket.SHUT_RDWR)
            with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
                sock.shutdown(socket.SHUT_RDWR)

    where.run(main, table)


# -- Cancelling and closing


@everywhere
def test_cancel_counts_what_it_ends(where):
    async def main():
        with wired() as (sock, peer):
            assert sock.cancel() == 0
            tiny_buffers(sock._sock, send=True)
            receiver = await receiving(sock)
            assert sock.cancel() == 1
            assert sock.cancel() == 0
            assert (await receiver).cause is Cause.CANCEL
            receiver, sender = await receiving(sock), await sending(sock, bytes(MEGABYTE))
            assert sock.cancel() == 2
            assert sock.cancel() == 0
            assert (await receiver).cause is (await sender).cause is Cause.CANCEL
            # Nothing is remembered for what comes next.
            peer.sendall(b"hello")
            assert await sock.recv(100) == b"hello"
            sock.close()
            assert sock.cancel() == 0

    where.run(main)


@everywhere
def test_cancel_works_from_another_thread(where):
    async def main():
        with wired() as (sock, _peer):
            task = await receiving(sock)
            thread = threading.Thread(target=sock.cancel)
            thread.start()
            assert (await task).cause is Cause.CANCEL
            thread.join()

    where.run(main)


@everywhere
@both_kinds
def test_close_ends_what_is_pending(where, kind):
    async def main():
        with wired(kind) as (sock, peer):
            tiny_buffers(sock._sock, send=True)
            receiver, sender = await receiving(sock), await sending(sock, bytes(MEGABYTE))
            sock.close()
            assert sock.closed
            assert sock.fileno() == -1
            sock.close()
            assert (await receiver).cause is (await sender).cause is Cause.CLOSE
            assert Peer(peer).drain_to_end() is not None  # the kernel has closed it, too
            counters = reactor.current_context().counters()
            assert (counters.claims_close, counters.claims_cancel) == (2, 0)

    where.run(main)


@everywhere
def test_closing_twice_leaves_the_number_alone(where):
    async def main():
        with wired() as (sock, _peer):
            number = sock.fileno()
            sock.close()
            left, right = ends("unix")
            with left, right:
                assert number in (left.fileno(), right.fileno())
                sock.close()
                left.sendall(b"x")
                assert right.recv(1) == b"x"

    where.run(main)


@everywhere
def test_errors_of_closing_are_not_reported(where):
    """libuv 9051126b5: FreeBSD answers ECONNRESET, and the number is gone all the same."""

    async def main():
        with wired() as (sock, _peer):
            close = sock._sock.close

            def fails():
                close()
                raise ConnectionResetError

            sock._sock.close = fails  # type: ignore[method-assign]
            sock.close()
            assert sock.closed
            assert sock.fileno() == -1

    where.run(main, FaultTable())


OPERATIONS = {
    "recv": lambda sock: sock.recv(10),
    "recv nothing": lambda sock: sock.recv(0),
    "recv_into": lambda sock: sock.recv_into(bytearray(10)),
    "recv_into nothing": lambda sock: sock.recv_into(bytearray()),
    "recv_exactly": lambda sock: sock.recv_exactly(10),
    "recv_exactly nothing": lambda sock: sock.recv_exactly(0),
    "recvmsg_into": lambda sock: sock.recvmsg_into([bytearray(10)]),
    "send": lambda sock: sock.send(b"x"),
    "send nothing": lambda sock: sock.send(b""),
    "sendall": lambda sock: sock.sendall(b"x"),
    "sendall view": lambda sock: sock.sendall(memoryview(b"x")),
    "sendall nothing": lambda sock: sock.sendall(b""),
    "sendmsg": lambda sock: sock.sendmsg([b"x"]),
    "connect": lambda sock: sock.connect(("127.0.0.1", 9)),
    "wait_readable": lambda sock: sock.wait_readable(),
    "wait_writable": lambda sock: sock.wait_writable(),
}


@everywhere
def test_an_operation_on_a_closed_socket(where):
    table = FaultTable()

    async def main():
        with wired() as (sock, _peer):
            sock.close()
            before = sum(table.calls.values())
            for name, operation in OPERATIONS.items():
                with pytest.raises(ClosedError, match="this stream is closed") as caught:
                    await operation(sock)
                assert caught.value.errno == errno.EBADF
                assert sum(table.calls.values()) == before, f"{name} touched the number"

    where.run(main, table)


@everywhere
def test_an_operation_in_a_cancelled_scope_does_nothing(where):
    """Law 4; also those that have nothing to do are a place where it is noticed."""
    table = FaultTable()

    async def main():
        with wired() as (sock, peer):
            peer.sendall(b"hello")
            before = sum(table.calls.values())
            for name, operation in OPERATIONS.items():
                with reactor.CancelScope() as scope:
                    scope.cancel()
                    await operation(sock)
                assert scope.cancelled_caught, name
                assert sum(table.calls.values()) == before, f"{name} made a call"
            assert await sock.recv(100) == b"hello"

    where.run(main, table)


@everywhere
def test_other_methods_of_a_closed_socket(where):
    async def main():
        with wired() as (sock, _peer):
            sock.close()
            for method in (
                sock.getsockname,
                sock.getpeername,
                lambda: sock.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE),
                lambda: sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
                lambda: sock.shutdown(socket.SHUT_RDWR),
            ):
                with pytest.raises(ClosedError):
                    method()

    where.run(main)


# -- The rest


@everywhere
def test_options(where):
    async def main():
        with StreamSocket() as sock:
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_STREAM
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) != 0
            linger = array.array("i", [1, 7]).tobytes()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8) == linger

    where.run(main)


@everywhere
def test_the_peer_of_a_socket_without_one(where):
    async def main():
        with StreamSocket() as sock, pytest.raises(OSError) as caught:
            sock.getpeername()
        assert caught.value.errno == errno.ENOTCONN

    where.run(main)


@everywhere
def test_taking_over_a_socket(where):
    async def main():
        left, right = ends("unix")
        with right:
            sock = StreamSocket.from_socket(left)
            assert sock._sock.getblocking() is False
            assert sock.context is reactor.current_context()
            assert sock.peer_address is None
            with sock as entered:
                assert entered is sock
                assert repr(sock) == f"<StreamSocket fd {sock.fileno()}>"
                await sock.sendall(b"hello")
                assert right.recv(100) == b"hello"
            assert repr(sock) == "<StreamSocket closed>"

    where.run(main)


@everywhere
def test_taking_over_one_that_is_not_connected(where):
    async def main():
        with listen_tcp() as acceptor, StreamSocket.from_socket(socket.socket()) as sock:
            await sock.connect(acceptor.getsockname())
            (await acceptor.accept()).close()
            assert await sock.recv(1) == b""

    where.run(main)


@everywhere
def test_a_socket_of_a_context_that_does_not_run_yet(where):
    with where.context() as context:
        left, right = StreamSocket.pair(context)
        with StreamSocket(context=context) as alone:
            assert left.context is right.context is alone.context is context
        assert context.descriptor_count == 2
        task = context.spawn(left.recv, 100)
        context.poll()
        context.spawn(right.sendall, b"hello")
        context.run()
        assert task.result() == b"hello"
    assert left.closed
    assert right.closed, "the context closes what it has"


def test_a_socket_without_a_context():
    with pytest.raises(ReactorError, match="pass context="):
        StreamSocket()
    with pytest.raises(ReactorError, match="pass context="):
        StreamSocket.pair()


def test_a_socket_of_a_closed_context():
    """Nothing is left open: an unclosed socket would be a ResourceWarning."""
    context = IoContext()
    context.close()
    left, right = ends("unix")
    with right, pytest.raises(ContextClosedError):
        StreamSocket.from_socket(left, context)
    assert left.fileno() == -1
    with pytest.raises(ContextClosedError):
        StreamSocket(context=context)
    with pytest.raises(ContextClosedError):
        StreamSocket.pair(context)


@everywhere
def test_connect_unix_and_its_name(where, path):
    async def main():
        with listen_unix(path) as acceptor, await connect_unix(path) as sock:
            (await acceptor.accept()).close()
            assert await sock.recv(1) == b""

    where.run(main)
