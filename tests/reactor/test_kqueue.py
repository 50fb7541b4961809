"""The kqueue backend against a model of the recorded kernels (`fake_kqueue`), over real sockets."""

from __future__ import annotations

import contextlib
import errno
import math
import socket
import struct
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

assert not TYPE_CHECKING or sys.platform == "linux"
if sys.platform != "linux":
    pytest.skip("the stand-in for kqueue stands on epoll", allow_module_level=True)

# ruff: noqa: E402 - after the platform is known
import reactor
from reactor import BackendError, IoContext, StreamSocket, backends, connect_tcp, listen_tcp
from reactor.backends import kqueue as kq
from reactor.descriptor import READ, STICKY, WRITE
from reactor.scheduler import MAX_WAIT
from tests.reactor.fake_kqueue import FakeBsd, Kevent

SPECS = ["kqueue", "kqueue+pipe", "kqueue+user+timer", "kqueue+pipe+timer"]


def run(main, bsd=None, spec="kqueue"):
    """Run `main` on a fake BSD; an event that is lost is a TimeoutError."""

    async def bounded():
        with reactor.timeout(5):
            return await main()

    return reactor.run(bounded, backend=spec, system=bsd or FakeBsd())


@pytest.fixture
def bsd():
    return FakeBsd()


@pytest.fixture
def context(bsd):
    with IoContext("kqueue", system=bsd) as context:
        yield context


@pytest.fixture
def kernel(bsd, context):
    return bsd.kqueues[0]


@pytest.fixture
def pair(context):
    return StreamSocket.pair(context)


def register(sock, direction=WRITE):
    """Watch for a first wait of `direction`: READ alone, or with WRITE both."""
    sock._descriptor.register(direction)
    return sock._descriptor


def report(backend, descriptor, timeout=0):
    """What a wait reports, and whether it noted STICKY on `descriptor`."""
    descriptor.read.exact = True  # the backend itself never believes it
    slots = backend.wait(timeout)
    sticky = not descriptor.read.exact
    descriptor.read.exact = False
    return slots, sticky


def changes_of(kernel, fd):
    """The filters and flags of all changes to `fd`."""
    return [
        (change.filter, change.flags)
        for call in kernel.calls
        for change in call
        if change.ident == fd and change.filter in kq._FILTERS
    ]


async def parked(sock, size=100):
    """A task that waits in a receive, and has begun to."""
    task = reactor.current_context().spawn(sock.recv, size)
    await reactor.sleep(0)
    await reactor.sleep(0)
    assert sock._descriptor.interest & READ
    return task


# -- Real traffic


@pytest.mark.parametrize("dialect", ["freebsd", "netbsd"])
@pytest.mark.parametrize("spec", SPECS)
def test_echo_traffic(spec, dialect):
    """README 11: NetBSD echoes EV_ADD in the flags of an event, FreeBSD does not; bits are tested."""
    messages = [bytes([i]) * (1 + i * 37) for i in range(50)]

    async def serve(sock):
        with sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while data := await sock.recv(64):
                await sock.sendall(data)

    async def client(port):
        with await connect_tcp("127.0.0.1", port) as sock:
            for message in messages:
                await sock.sendall(message)
                assert await sock.recv_exactly(len(message)) == message
                await reactor.sleep(0.0001)
            sock.shutdown(socket.SHUT_WR)
            assert await sock.recv(10) == b""

    async def main():
        with listen_tcp() as acceptor:
            port = acceptor.getsockname()[1]
            async with reactor.TaskGroup() as group:
                clients = [group.spawn(client, port) for _ in range(5)]
                for _ in clients:
                    group.spawn(serve, await acceptor.accept())

    bsd = FakeBsd(dialect=dialect)
    run(main, bsd, spec)
    assert not bsd.kqueues


def test_a_megabyte_through_small_buffers():
    """README 6: WRITE comes again whenever the peer makes room, and that finishes the send."""

    async def main():
        left, right = StreamSocket.pair()
        with left, right:
            left.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2048)
            async with reactor.TaskGroup() as group:
                sent = group.spawn(left.sendall, bytes(1_000_000))
                assert await right.recv_exactly(1_000_000) == bytes(1_000_000)
            return sent.result()

    assert run(main) == 1_000_000


# -- README 1: failing changes


def test_a_refused_registration_leaves_nothing_behind(bsd, context, kernel, pair):
    """README 1: the change before the one that fails is applied; it is taken back."""
    bsd.refuse[kq.FILTER_WRITE, kq.EV_ADD] = [errno.ENOMEM, errno.ENOMEM]
    descriptor = pair[0]._descriptor
    with pytest.raises(OSError, match="allocate memory"):
        descriptor.register(WRITE)
    assert kernel.of(descriptor.fd) == set()
    assert descriptor.fd not in context.backend.descriptors
    assert not descriptor.registered
    descriptor.register(WRITE)
    assert kernel.of(descriptor.fd) == {kq.FILTER_READ, kq.FILTER_WRITE}


def test_a_refused_registration_for_reading_leaves_nothing_behind(bsd, context, kernel, pair):
    bsd.refuse[kq.FILTER_READ, kq.EV_ADD] = [errno.ENOMEM, errno.ENOMEM]
    descriptor = pair[0]._descriptor
    with pytest.raises(OSError, match="allocate memory"):
        descriptor.register(READ)
    assert kernel.of(descriptor.fd) == set()
    assert descriptor.fd not in context.backend.descriptors
    assert not descriptor.registered
    descriptor.register(READ)
    assert kernel.of(descriptor.fd) == {kq.FILTER_READ}


def test_a_refused_second_registration_changes_nothing(bsd, context, kernel, pair):
    """The read filter stays, is not touched, and goes on reporting."""
    left, right = pair
    descriptor = register(left, READ)
    bsd.refuse[kq.FILTER_WRITE, kq.EV_ADD] = [errno.ENOMEM, errno.ENOMEM]
    before = len(changes_of(kernel, descriptor.fd))
    with pytest.raises(OSError, match="allocate memory"):
        descriptor.register(WRITE)
    assert kernel.of(descriptor.fd) == {kq.FILTER_READ}
    assert {which for which, _ in changes_of(kernel, descriptor.fd)[before:]} == {kq.FILTER_WRITE}
    assert context.backend.descriptors == {descriptor.fd: descriptor}
    assert descriptor.registered == READ
    assert descriptor.read.watched
    assert not descriptor.write.watched
    right._sock.send(b"x")
    assert context.backend.wait(10) == [descriptor.read]
    descriptor.register(WRITE)
    assert kernel.of(descriptor.fd) == {kq.FILTER_READ, kq.FILTER_WRITE}
    assert descriptor.registered == READ | WRITE
    assert context.backend.wait(10) == [descriptor.write]


def test_the_operation_is_told_of_a_refused_second_registration(bsd):
    """The send fails; the receive that waits and the next send do not."""

    async def main():
        left, right = StreamSocket.pair()
        with left, right:
            left.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2048)
            receiving = await parked(left)
            bsd.refuse[kq.FILTER_WRITE, kq.EV_ADD] = [errno.ENOMEM, errno.ENOMEM]
            with pytest.raises(OSError, match="allocate memory") as caught:
                await left.sendall(bytes(1_000_000))
            assert caught.value.errno == errno.ENOMEM
            descriptor = left._descriptor
            assert bsd.kqueues[0].of(descriptor.fd) == {kq.FILTER_READ}
            assert descriptor.registered == descriptor.interest == READ
            assert not receiving.done
            with contextlib.suppress(BlockingIOError):
                while right._sock.recv(1 << 16):
                    pass  # what the first one sent
            await right.sendall(b"hello")
            assert await receiving == b"hello"
            sending = reactor.current_context().spawn(left.sendall, bytes(1_000_000))
            assert len(await right.recv_exactly(1_000_000)) == 1_000_000
            assert await sending == 1_000_000
            assert descriptor.registered == READ | WRITE

    run(main, bsd)


def test_a_read_filter_that_is_refused_later_leaves_nothing_either(bsd, kernel, pair):
    bsd.refuse[kq.FILTER_WRITE, kq.EV_ADD] = [errno.ENOMEM]
    bsd.refuse[kq.FILTER_READ, kq.EV_ADD] = [0, errno.ENOMEM]
    with pytest.raises(OSError, match="allocate memory"):
        pair[0]._descriptor.register(WRITE)
    assert kernel.of(pair[0].fileno()) == set()


def test_a_registration_that_fails_keeps_the_owner_before(bsd, context, pair):
    """The table is as it was, also when the number had an owner whose fd was closed by hand."""
    before = register(pair[0])
    other = StreamSocket.from_socket(bsd.adopt(socket.socket()), context)
    other._descriptor.fd, fd = before.fd, other._descriptor.fd
    bsd.refuse[kq.FILTER_READ, kq.EV_ADD] = [errno.ENOMEM, errno.ENOMEM]
    with pytest.raises(OSError, match="allocate memory"):
        other._descriptor.register(WRITE)
    assert context.backend.descriptors == {before.fd: before}
    other._descriptor.fd = fd


@pytest.mark.parametrize("read_first", [False, True])
@pytest.mark.parametrize("code", [errno.EPIPE, errno.EBADF, errno.ENOENT])
def test_a_half_dead_socket_registers_and_is_reported_ready(
    bsd, context, kernel, pair, code, read_first
):
    """close.register-dead-pipe: EVFILT_WRITE is refused when the peer is gone; no exception."""
    if read_first:
        register(pair[0], READ)
    bsd.refuse[kq.FILTER_WRITE, kq.EV_ADD] = [code, code]
    descriptor = register(pair[0])
    assert kernel.of(descriptor.fd) == {kq.FILTER_READ}
    assert report(context.backend, descriptor, 10) == ([descriptor.read, descriptor.write], True)
    assert context.backend.wait(0) == []


@pytest.mark.parametrize("read_first", [False, True])
def test_the_operation_on_a_half_dead_socket_finds_out(bsd, read_first):
    async def main():
        left, right = StreamSocket.pair()
        with left:
            left.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2048)
            if read_first:
                (await parked(left)).cancel()
                assert left._descriptor.registered == READ
            bsd.refuse[kq.FILTER_WRITE, kq.EV_ADD] = [errno.EPIPE, errno.EPIPE]
            task = reactor.current_context().spawn(left.sendall, bytes(1_000_000))
            await reactor.sleep(0)
            right.close()
            with pytest.raises(BrokenPipeError):
                await task

    run(main, bsd)


def test_a_half_dead_registration_calls_the_waiting_leader_back(bsd, context, pair):
    """The leader sleeps without a limit while another thread registers."""
    bsd.refuse[kq.FILTER_WRITE, kq.EV_ADD] = [errno.EPIPE, errno.EPIPE]
    backend = context.backend
    asleep = threading.Event()
    ready = []
    control = backend._control

    def wait(changes, max_events, timeout):
        if max_events:
            asleep.set()
        return control(changes, max_events, timeout)

    backend._control = wait
    leader = threading.Thread(target=lambda: ready.extend(backend.wait(20)))
    began = time.monotonic()
    leader.start()
    assert asleep.wait(10)
    with context.scheduler.mutex:
        descriptor = pair[0]._descriptor
        backend.add(descriptor, READ | WRITE)
    leader.join()
    assert time.monotonic() - began < 10
    assert ready == [descriptor.read, descriptor.write]
    assert not descriptor.read.exact


def test_a_transient_refusal_is_tried_again(bsd, kernel, pair):
    bsd.refuse[kq.FILTER_WRITE, kq.EV_ADD] = [errno.ENOMEM]
    descriptor = register(pair[0])
    assert kernel.of(descriptor.fd) == {kq.FILTER_READ, kq.FILTER_WRITE}


def test_a_closed_number_is_an_error(bsd, kernel, context, pair):
    pair[0]._sock.close()
    with pytest.raises(OSError, match="not open"):
        pair[0]._descriptor.register(WRITE)
    assert context.backend.descriptors == {}
    assert not pair[0]._descriptor.registered


def test_changes_never_make_room_for_events(kernel, pair):
    """README 1: a call of changes that has room takes ordinary events, and would lose them."""
    descriptor = register(pair[0])
    backend = pair[0].context.backend
    rooms = []

    def control(changes, max_events, timeout):
        rooms.append(max_events)
        return kernel.control(changes, max_events, timeout)

    backend._control = control
    backend.remove(descriptor)
    descriptor.registered = 0
    backend.add(descriptor, READ)
    descriptor.registered = READ
    backend.add(descriptor, READ | WRITE)
    descriptor.registered = READ | WRITE
    assert kernel.of(descriptor.fd) == {kq.FILTER_READ, kq.FILTER_WRITE}
    backend.arm(1)
    assert rooms == [0] * 5


# -- README 2: closing and deleting


@pytest.mark.parametrize("code", [errno.ENOENT, errno.EBADF, errno.EINVAL])
def test_errors_of_a_delete_are_no_errors(bsd, kernel, context, pair, code):
    """README 2; and after a first delete that fails, the second is still tried."""
    descriptor = register(pair[0])
    bsd.refuse[kq.FILTER_READ, kq.EV_DELETE] = [code, code]
    context.backend.deregister(descriptor)
    assert kernel.of(descriptor.fd) == {kq.FILTER_READ}
    assert context.backend.descriptors == {}


def test_closing_deletes_first(kernel, pair):
    """The number must not be in the kqueue any more when it may be given away."""
    descriptor = register(pair[0])
    pair[0].close()
    assert kernel.of(descriptor.fd) == set()
    assert [(change.ident, change.filter, change.flags) for change in kernel.calls[-1]] == [
        (descriptor.fd, kq.FILTER_READ, kq.EV_DELETE),
        (descriptor.fd, kq.FILTER_WRITE, kq.EV_DELETE),
    ]


def test_only_what_was_added_is_deleted(kernel, pair):
    descriptor = register(pair[0], READ)
    before = len(kernel.calls)
    pair[0].close()
    (deletion,) = kernel.calls[before:]
    assert [(change.ident, change.filter, change.flags) for change in deletion] == [
        (descriptor.fd, kq.FILTER_READ, kq.EV_DELETE)
    ]
    assert kernel.of(descriptor.fd) == set()


def test_a_number_closed_by_hand_can_be_closed(pair):
    descriptor = register(pair[0])
    pair[0]._sock.close()
    pair[0].close()
    assert descriptor.closed


# -- README 3: stale events


def test_an_event_for_an_earlier_owner_of_the_number_is_dropped(bsd, kernel, context, pair):
    """README 3: one batch can hold an event of a number that was closed and reused meanwhile."""
    old = register(pair[0])
    fd, generation = old.fd, old.generation
    pair[0].close()
    new = register(
        StreamSocket.from_socket(bsd.socket(socket.AF_INET, socket.SOCK_STREAM), context)
    )
    assert new.fd == fd, "the lowest number is given away first"
    context.backend.wait(0)
    stale = Kevent(fd, kq.FILTER_READ, kq.EV_CLEAR, udata=generation)
    fresh = Kevent(fd, kq.FILTER_WRITE, kq.EV_CLEAR, udata=new.generation)
    kernel.script.append([stale, fresh])
    assert report(context.backend, new) == ([new.write], False)


def test_an_event_for_a_number_that_nobody_has_is_dropped(kernel, context):
    kernel.script.append([Kevent(9999, kq.FILTER_READ, kq.EV_CLEAR, udata=1)])
    assert context.backend.wait(0) == []


@pytest.mark.parametrize("read_first", [False, True])
def test_an_event_that_comes_during_the_registration_finds_its_owner(
    kernel, context, pair, read_first
):
    """Changes take effect at once: the leader may have the edge before the registering thread goes on."""
    seen = []
    kernel.after_change = lambda: seen.extend(context.backend.wait(0))
    if read_first:
        register(pair[0], READ)
        assert seen == []
    descriptor = register(pair[0])
    assert seen == [descriptor.write]


# -- README 4: connecting


@pytest.mark.parametrize("inside", [True, False])
def test_connecting(inside):
    """README 4: connect() itself may return 0, or say EINPROGRESS."""

    async def main():
        with (
            listen_tcp() as acceptor,
            await connect_tcp(*acceptor.getsockname()) as sock,
            await acceptor.accept() as peer,
        ):
            await sock.sendall(b"hello")
            return await peer.recv_exactly(5)

    assert run(main, FakeBsd(connects_inside=inside)) == b"hello"


@pytest.mark.parametrize("inside", [True, False])
def test_connecting_to_nobody(inside):
    """README 4: refused inside connect(), or by WRITE|EV_EOF later."""

    async def main():
        with listen_tcp() as acceptor:
            address = acceptor.getsockname()
        with StreamSocket() as sock, pytest.raises(ConnectionRefusedError):
            await sock.connect(address)

    run(main, FakeBsd(connects_inside=inside))


def test_a_refusal_by_event_wakes_the_connect(kernel, context, pair):
    descriptor = register(pair[0])
    context.backend.wait(0)
    kernel.script.append(
        [
            Kevent(
                descriptor.fd,
                kq.FILTER_WRITE,
                kq.EV_CLEAR | kq.EV_EOF,
                errno.ECONNREFUSED,
                udata=descriptor.generation,
            )
        ]
    )
    assert report(context.backend, descriptor) == ([descriptor.read, descriptor.write], True)


# -- README 5: the end of a stream


@pytest.mark.parametrize(
    ("which", "flags", "fflags", "data", "events"),
    [
        (kq.FILTER_READ, kq.EV_CLEAR, 0, 5, READ),
        (kq.FILTER_WRITE, kq.EV_CLEAR | kq.EV_ADD, 0, 4096, WRITE),
        (kq.FILTER_READ, kq.EV_EOF, 0, 0, READ | STICKY),
        (kq.FILTER_READ, kq.EV_EOF | kq.EV_CLEAR, 0, 5, READ | STICKY),
        (kq.FILTER_WRITE, kq.EV_EOF | kq.EV_CLEAR, 0, 0, WRITE | STICKY),
        (kq.FILTER_READ, kq.EV_EOF, errno.ECONNRESET, 5, READ | WRITE | STICKY),
        (kq.FILTER_READ, kq.EV_ERROR, 0, errno.EBADF, READ | WRITE | STICKY),
        # An fflags without EV_EOF is a note and no errno.
        (kq.FILTER_READ, kq.EV_CLEAR, 4, 5, READ),
    ],
)
def test_what_an_event_means(kernel, context, pair, which, flags, fflags, data, events):
    """README 5, error.kqueue-data-vs-fflags: with EV_EOF the errno is in fflags, data is a count."""
    descriptor = register(pair[0])
    context.backend.wait(0)
    kernel.script.append([Kevent(descriptor.fd, which, flags, fflags, data, descriptor.generation)])
    slots, sticky = report(context.backend, descriptor)
    assert slots == [
        slot for slot in (descriptor.read, descriptor.write) if events & slot.direction
    ]
    assert sticky == bool(events & STICKY)


@pytest.mark.parametrize("parked_first", [True, False])
def test_an_end_behind_data_is_remembered(parked_first):
    """README 5: EOF is one edge, not repeated when the data before it is read."""

    async def main():
        with listen_tcp() as acceptor:
            peer = socket.create_connection(acceptor.getsockname())
            with await acceptor.accept() as sock:
                if parked_first:
                    task = await parked(sock, 3)
                    peer.sendall(b"hello")
                    peer.close()
                    assert await task == b"hel"
                else:
                    (await parked(sock)).cancel()
                    peer.sendall(b"hello")
                    peer.close()
                    await sock.wait_readable()
                    assert await sock.recv(3) == b"hel"
                # The receive asks for more than there is: short, and no edge will follow.
                assert await sock.recv(100) == b"lo"
                assert await sock.recv(100) == b""
                assert await sock.recv(100) == b""

    run(main)


def test_data_is_not_lost_behind_a_short_read():
    """A read stops at urgent data, of which FreeBSD gives no sign: a short read proves nothing."""

    async def main():
        with (
            listen_tcp() as acceptor,
            socket.create_connection(acceptor.getsockname()) as peer,
            await acceptor.accept() as sock,
        ):
            task = await parked(sock)
            peer.sendall(b"abc")
            peer.send(b"!", socket.MSG_OOB)
            peer.sendall(b"def")
            assert await task == b"abc"
            assert await sock.recv(100) == b"def"

    run(main)


def test_a_reset_ends_both_directions():
    """README 5: RST is READ|EOF and WRITE|EOF with fflags ECONNRESET; one of the two gets the errno."""

    async def ending(operation):
        try:
            return await operation
        except (ConnectionResetError, BrokenPipeError) as exc:
            return exc

    async def main():
        with listen_tcp() as acceptor:
            peer = socket.create_connection(acceptor.getsockname())
            with await acceptor.accept() as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2048)
                spawn = reactor.current_context().spawn
                reading = spawn(ending, sock.recv(100))
                writing = spawn(ending, sock.sendall(bytes(10_000_000)))
                while sock._descriptor.interest != READ | WRITE:
                    await reactor.sleep(0)
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                peer.close()
                return [type(await reading), type(await writing)]

    ends = run(main)
    assert ConnectionResetError in ends
    assert issubclass(ends[1], ConnectionError)


# -- README 6, 7, 8


def test_a_spurious_write_event_leaves_the_send_parked(kernel, context, pair):
    """README 6: expect WRITE though the buffer is full."""
    left, _ = pair
    sending = context.spawn(left.sendall, bytes(1_000_000))
    context.poll()
    descriptor = left._descriptor
    assert descriptor.interest == WRITE
    for _ in range(3):
        spurious = Kevent(descriptor.fd, kq.FILTER_WRITE, kq.EV_CLEAR, udata=descriptor.generation)
        kernel.script.append([spurious])
        assert context.poll() == 1
    assert descriptor.interest == WRITE
    assert not sending.done
    sending.cancel()
    context.run()


def test_one_event_for_a_burst_of_connections():
    """README 7: accept until it would block; no further event comes while connections remain."""

    async def main():
        with listen_tcp() as acceptor:
            first = reactor.current_context().spawn(acceptor.accept)
            await reactor.sleep(0)
            await reactor.sleep(0)
            peers = [socket.create_connection(acceptor.getsockname()) for _ in range(20)]
            socks = [await first]
            socks.extend([await acceptor.accept() for _ in peers[1:]])
            for end in (*peers, *socks):
                end.close()
            return len(socks)

    assert run(main) == 20


def test_a_descriptor_is_registered_once_and_edge_triggered(bsd):
    """README 8: whether a knote is EV_CLEAR is fixed at its first EV_ADD, so that one says it."""

    async def main():
        kernel = bsd.kqueues[0]
        left, right = StreamSocket.pair()
        left.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2048)
        fd = left.fileno()
        for _ in range(20):
            task = await parked(left)
            await right.sendall(b"x")
            await task
            await left.sendall(b"x")  # without waiting
            await right.recv_exactly(1)
        assert changes_of(kernel, fd) == [(kq.FILTER_READ, kq.EV_ADD | kq.EV_CLEAR)]
        for _ in range(3):
            task = reactor.current_context().spawn(left.sendall, bytes(100_000))
            while left._descriptor.interest != WRITE:
                await reactor.sleep(0)
            await right.recv_exactly(100_000)
            await task
            task = await parked(left)
            await right.sendall(b"x")
            await task
        assert changes_of(kernel, fd) == [
            (kq.FILTER_READ, kq.EV_ADD | kq.EV_CLEAR),
            (kq.FILTER_WRITE, kq.EV_ADD | kq.EV_CLEAR),
        ]
        left.close()
        right.close()

    run(main, bsd)


def test_the_write_filter_is_added_only_when_something_waits_to_write(bsd):
    """A first wait to write takes both filters at once; one to read takes its own alone."""

    async def main():
        kernel = bsd.kqueues[0]
        reader, writer = StreamSocket.pair()
        with reader, writer:
            writer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2048)
            receiving = await parked(reader, 100_000)
            await reader.sendall(b"x")
            assert await writer.recv(1) == b"x"
            assert kernel.of(reader.fileno()) == {kq.FILTER_READ}
            assert reader._descriptor.registered == READ
            assert kernel.of(writer.fileno()) == set(), "nothing has waited yet"
            sending = reactor.current_context().spawn(writer.sendall, bytes(1_000_000))
            while writer._descriptor.interest != WRITE:
                await reactor.sleep(0)
            assert changes_of(kernel, writer.fileno()) == [
                (kq.FILTER_READ, kq.EV_ADD | kq.EV_CLEAR),
                (kq.FILTER_WRITE, kq.EV_ADD | kq.EV_CLEAR),
            ]
            assert writer._descriptor.registered == READ | WRITE
            received = len(await receiving)
            await reader.recv_exactly(1_000_000 - received)
            assert await sending == 1_000_000
            assert kernel.of(reader.fileno()) == {kq.FILTER_READ}

    run(main, bsd)


# -- README 9: timers


def test_a_timer_moves_to_an_earlier_deadline():
    """README 9: adding a timer again does not change its period, so it is deleted before."""
    with IoContext("kqueue+timer", system=FakeBsd()) as context:
        backend = context.backend
        backend.arm(30)
        backend.arm(0.005)
        began = time.monotonic()
        assert backend.wait(10) == []
        assert 0.005 <= time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("seconds", "milliseconds"), [(0, 1), (1e-9, 1), (0.001, 1), (0.0010001, 2), (1.5, 1500)]
)
def test_a_timer_is_rounded_up(seconds, milliseconds):
    """NetBSD refuses a timer of 0 (README 9); and none may be early."""
    bsd = FakeBsd()
    with IoContext("kqueue+timer", system=bsd) as context:
        context.backend.arm(seconds)
        (change,) = bsd.kqueues[0].calls[-1]
    assert change.flags == kq.EV_ADD | kq.EV_ONESHOT
    assert change.data == milliseconds


def test_a_far_deadline_is_capped_and_armed_again():
    """OpenBSD cuts at 24 hours without a word, and 1e18 seconds fit no timer: it goes off early."""
    bsd = FakeBsd()
    with IoContext("kqueue+timer", system=bsd) as context:
        backend = context.backend
        backend.set_deadline(1e18, 5.0)
        kernel = bsd.kqueues[0]
        assert kernel.calls[-1][0].data == MAX_WAIT * 1000
        kernel.script.append([Kevent(0, kq.FILTER_TIMER, kq.EV_ONESHOT, data=1)])
        assert backend.wait(0) == []
        before = len(kernel.calls)
        backend.set_deadline(1e18, 5.0 + MAX_WAIT)
        assert len(kernel.calls) > before


def test_a_timer_that_is_disarmed_does_not_go_off():
    bsd = FakeBsd()
    with IoContext("kqueue+timer", system=bsd) as context:
        context.backend.set_deadline(100.001, 100.0)
        context.backend.set_deadline(math.inf, 100.0)
        kernel = bsd.kqueues[0]
        assert not any(which == kq.FILTER_TIMER for _, which in kernel.knotes)


def test_an_identifier_of_a_timer_is_no_descriptor_number(kernel, context, pair):
    """EVFILT_TIMER and EVFILT_USER have numbers of their own."""
    descriptor = register(pair[0])
    context.backend.wait(0)
    for which in (kq.FILTER_TIMER, kq.FILTER_USER):
        event = Kevent(descriptor.fd, which, kq.EV_CLEAR, udata=descriptor.generation)
        kernel.script.append([event])
        assert context.backend.wait(0) == []


@pytest.mark.parametrize("spec", SPECS)
def test_sleeping(spec):
    async def main():
        began = time.monotonic()
        await reactor.sleep(0.02)
        return time.monotonic() - began

    assert 0.02 <= run(main, spec=spec) < 5


# -- README 10: the waker


def test_the_user_filter_is_taken_when_it_works(kernel, context):
    """README 10: it is tried: added, triggered in a change of its own, and seen."""
    assert context.backend.spec == "kqueue+user+timeout"
    added, triggered = (call[0] for call in kernel.calls[:2])
    assert added.flags == kq.EV_ADD | kq.EV_CLEAR
    assert not added.fflags & kq.NOTE_TRIGGER
    assert triggered.flags & kq.EV_ADD == 0
    assert triggered.fflags & kq.NOTE_TRIGGER


@pytest.mark.parametrize("how", ["missing", "another filter", "trigger refused"])
def test_a_pipe_stands_in_for_the_user_filter(how):
    """README 10: NetBSD before 10 has none, and the number could be another filter's."""
    bsd = FakeBsd(user=how != "missing")
    if how == "another filter":
        bsd.triggers_as = -9
    if how == "trigger refused":
        bsd.refuse[kq.FILTER_USER, 0] = [errno.EINVAL]
    with IoContext("kqueue", system=bsd) as context:
        assert context.backend.spec == "kqueue+pipe+timeout"
        assert not any(which == kq.FILTER_USER for _, which in bsd.kqueues[0].knotes)
    with pytest.raises(BackendError, match="EVFILT_USER"):
        IoContext("kqueue+user", system=FakeBsd(user=False))


@pytest.mark.parametrize("spec", ["kqueue+user", "kqueue+pipe"])
def test_another_thread_wakes_the_leader(spec):
    """Every call posted from outside runs, though nothing else ends the wait."""
    with IoContext(spec, system=FakeBsd()) as context:
        ran: list[int] = []
        guard = context.work_guard()

        def outside():
            for i in range(200):
                done = threading.Event()
                context.post(ran.append, i)
                context.post(done.set)
                assert done.wait(10)
            guard.release()

        thread = threading.Thread(target=outside)
        thread.start()
        context.run()
        thread.join()
    assert ran == list(range(200))


@pytest.mark.parametrize("spec", ["kqueue+user", "kqueue+pipe"])
def test_a_wake_up_is_taken_back_once(spec):
    with IoContext(spec, system=FakeBsd()) as context:
        backend = context.backend
        assert backend.interrupt()
        assert backend.interrupt()
        assert backend.wait(10) == []  # at once
        began = time.monotonic()
        assert backend.wait(0.01) == []
        assert time.monotonic() - began >= 0.01


def test_a_trigger_that_fails_says_so(bsd, context):
    bsd.refuse[kq.FILTER_USER, 0] = [errno.ENOMEM]
    assert not context.backend.interrupt()
    assert context.backend.interrupt()


# -- The rest


def test_the_module_can_be_read_anywhere():
    """A specification is taken apart on systems without kqueue as well."""
    assert backends.parse("kqueue+pipe+timer") == ("kqueue", "pipe", "timer")
    with pytest.raises(BackendError, match="allowed: user, pipe, timeout, timer"):
        backends.parse("kqueue+eventfd")


def test_the_numbers_of_the_user_filter():
    """README 10, and <sys/event.h> of macOS, DragonFly and OpenBSD."""
    assert kq.USER_FILTERS == {
        "freebsd": -11,
        "darwin": -10,
        "dragonfly": -9,
        "netbsd": 8,
        "openbsd": -10,
    }


@pytest.mark.parametrize("user", [True, False])
def test_nothing_is_left_open(user):
    """Descriptors of the kqueue, the waker and the sockets are all given back."""

    async def main():
        left, right = StreamSocket.pair()
        with left, right:
            task = await parked(left)
            await right.sendall(b"x")
            await task

    def count():
        return len(list(Path("/proc/self/fd").iterdir()))

    before = count()
    for _ in range(3):
        run(main, FakeBsd(user=user))
    assert count() == before
