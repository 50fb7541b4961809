"""Family *partial*: streams are bytes in order, each once, however small the steps."""

from __future__ import annotations

import array
import mmap
import socket
from typing import TYPE_CHECKING, Any

import reactor
from harness.outcome import observed
from harness.peer import check_pattern, pattern
from harness.scenario import scenario

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.lab import Lab
    from harness.peer import Peer

_MEGABYTE = 1 << 20


def _drain_in_odd_chunks(peer: Peer, size: int) -> bytes:
    """Drain `size` bytes in chunks of 1, 2, 3 ... 997, 1 ... bytes, with tiny pauses by nature."""
    data = bytearray()
    step = 0
    while len(data) < size:
        step = step % 997 + 1
        data += peer.drain(min(step, size - len(data)))
    return bytes(data)


@scenario(
    id="partial.send-all-tiny",
    law=3,
    provenance="corosio 5c87bce: 32 KB buffers on FreeBSD deadlocked a test; Linux TCP: 2304, 576 ...",
)
async def send_all_tiny(lab: Lab) -> None:
    """1 MB through the smallest buffers the kernel allows arrives complete, in order, once."""
    data = pattern(_MEGABYTE)
    for kind in ("tcp", "unix"):
        sock, peer = lab.stream_pair(kind, tiny_send=True)
        reader = lab.thread(_drain_in_odd_chunks, peer, len(data))
        sent = await lab.result_of(f"sendall over {kind}", sock.sendall, data)
        lab.equal(sent.get(), len(data), "bytes that sendall reports")
        check_pattern(await lab.join(reader))


@scenario(
    id="partial.et-residue",
    law=3,
    provenance='epoll(7): "will probably hang despite the available data still present"',
)
async def et_residue(lab: Lab) -> None:
    """Reading less than is there and waiting again completes at once, without new data."""
    for kind in ("tcp", "unix"):
        sock, peer = lab.stream_pair(kind)
        recv = await lab.parked(f"recv over {kind}", sock.recv, 4)
        peer.send(b"0123456789")
        pieces = [(await lab.outcome(recv)).get()]
        pieces += [
            (await lab.result_of(f"rest {number}", sock.recv, 4)).get() for number in range(2)
        ]
        lab.equal(pieces, [b"0123", b"4567", b"89"], "the pieces")


@scenario(
    id="partial.exact-fill-then-eof",
    law=9,
    provenance="nginx a4eddea71, 39b84d7a5; netty PR 6199: EOF rode on the last event, and was lost",
)
async def exact_fill_then_eof(lab: Lab) -> None:
    """After reading exactly what came, the end is still seen although no new event announces it."""
    for kind in ("tcp", "unix"):
        sock, peer = lab.stream_pair(kind)
        recv = await lab.parked(f"recv over {kind}", sock.recv, 5)

        def send_and_end(peer: Peer = peer) -> None:
            peer.send(b"exact")
            peer.half_close()

        lab.post(send_and_end)
        lab.equal((await lab.outcome(recv)).get(), b"exact", "the data")
        for number in range(2):
            end = await lab.result_of(f"end {number}", sock.recv, 5)
            lab.equal(end.get(), b"", "what follows the data")


@scenario(
    id="partial.eof-behind-data",
    law=9,
    provenance="netius#79; nanomsg/nng#687; varnish#4138; kqueue(2): EOF with data still pending",
)
async def eof_behind_data(lab: Lab) -> None:
    """FIN behind buffered data: all the data first, then the end, never an error."""
    sock, peer = lab.stream_pair()
    wait = await lab.parked("wait", sock.wait_readable)
    data = pattern(65_536)

    def send_and_close() -> None:
        peer.send(data)
        peer.close()

    lab.post(send_and_close)
    (await lab.outcome(wait)).get()
    received = bytearray()
    while piece := await sock.recv(1000):
        received += piece
    lab.equal(len(received), len(data), "bytes before the end")
    check_pattern(bytes(received))
    lab.equal(await sock.recv(1000), b"", "after the end")


@scenario(
    id="partial.reset-behind-data",
    law=9,
    provenance="bun#39600; zephyr PR 112040; Linux probed: b'tail', ECONNRESET, b''",
    permits={
        "data-reset-end": "the data, the reset once, then the end (Linux, FreeBSD, NetBSD)",
        "reset-end": "the kernel threw the unread data away with the reset",
    },
)
async def reset_behind_data(lab: Lab) -> None:
    """RST behind buffered data: the data first, then ConnectionReset once, then no hang."""
    sock, peer = lab.stream_pair()
    recv = await lab.parked("recv", sock.recv, 4)

    def send_and_reset() -> None:
        peer.send(b"head")
        peer.send(b"tail")
        peer.reset()

    lab.post(send_and_reset)
    first = await lab.outcome(recv)
    if first.kind == "value":
        lab.equal(first.get(), b"head", "the first piece")
        lab.equal((await lab.result_of("tail", sock.recv, 4)).get(), b"tail", "the second piece")
        (await lab.result_of("reset", sock.recv, 4)).failed(ConnectionResetError)
        lab.permit("data-reset-end")
    else:
        first.failed(ConnectionResetError)
        lab.permit("reset-end")
    lab.equal((await lab.result_of("afterwards", sock.recv, 4)).get(), b"", "after the reset")


@scenario(
    id="partial.pollhup-short-read",
    law=3,
    needs=("pty",),
    provenance="libuv 2e2114ed8: a short read after POLLHUP was taken for the last one, for 13 years",
)
async def pollhup_short_read(lab: Lab) -> None:
    """A short read after a hang-up is not taken for the last one: terminals give more."""
    stream, slave = lab.terminal()
    data = pattern(3 * 1000)
    for offset in range(0, len(data), 1000):
        lab.world.plain.write(slave, data[offset : offset + 1000])
    lab.world.plain.close(slave)
    received = bytearray()
    while len(received) < len(data):
        outcome = await observed(stream.recv(4096))
        if outcome.kind == "error" or not outcome.get():
            break
        received += outcome.get()
    check_pattern(bytes(received))
    lab.equal(len(received), len(data), "bytes read from the terminal")
    last = await observed(stream.recv(4096))
    # Linux says EIO, the BSDs the end: the scenario is about the data before it.
    lab.check(last.kind == "error" or last.get() == b"", "the terminal went on after its end")


@scenario(
    id="partial.writability-threshold",
    law=2,
    provenance="Linux probed: AF_UNIX wants 3/4 free, TCP 1/3; libkqueue 167e576 on SO_SNDLOWAT",
)
async def writability_threshold(lab: Lab) -> None:
    """After a send would block, wait_writable returns once one would succeed, at whatever threshold."""
    for kind in ("tcp", "unix"):
        sock, peer = lab.stream_pair(kind)
        data = pattern(32 * _MEGABYTE)
        send = await lab.parked(f"fill {kind}", sock.sendall, data)
        lab.cancel(send)
        filled = (await lab.outcome(send)).cancelled().transferred
        wait = await lab.parked(f"wait {kind}", sock.wait_writable)
        drained = 0
        while not wait.done and drained < filled:
            drained += len(peer.drain(min(1024 * 64, filled - drained)))
            await lab.settle()
        lab.check(wait.done, f"{kind}: drained {drained} of {filled} and still not writable")
        (await lab.outcome(wait)).get()
        lab.info(f"{kind} drained before writable", f"{drained} of {filled}")
        lab.check(await sock.send(b"x") == 1, "a send would still block")


@scenario(
    id="partial.read-write-same-event",
    law=1,
    provenance="ziglang/zig#5278; bun PR 11364; tornado 15ceda22: two kevents, one mask, one switch",
)
async def read_write_same_event(lab: Lab) -> None:
    """One event that says readable and writable completes both parked operations."""
    sock, peer = lab.stream_pair(tiny_send=True)
    data = pattern(200_000)
    send = await lab.parked("send", sock.sendall, data)
    recv = await lab.parked("recv", sock.recv, 100)
    got = bytearray()

    def drain_and_send() -> None:
        got.extend(peer.drain_available())
        peer.send(b"both")

    lab.post(drain_and_send)
    lab.equal((await lab.outcome(recv)).get(), b"both", "the receive")
    rest = lab.thread(peer.drain, len(data) - len(got))
    lab.equal((await lab.outcome(send)).get(), len(data), "the send")
    check_pattern(bytes(got) + await lab.join(rest))


@scenario(
    id="partial.rearm-after-false-ready",
    law=2,
    provenance="asio a50b53864, 484af78b2: operations whose perform() found nothing were not re-armed",
)
async def rearm_after_false_ready(lab: Lab) -> None:
    """An operation that found nothing after a readiness event stays armed."""
    for kind in ("tcp", "unix"):
        ours, theirs = lab.raw_pair(kind)
        thief = lab.keep(ours.dup())
        sock, peer = lab.take(ours), lab.peer(theirs)

        def steal(real: Callable[[], Any], thief: socket.socket = thief) -> Any:
            # Here the event has been reported, and its call has not been made.
            thief.recv(100)
            return real()

        recv = await lab.parked(f"recv over {kind}", sock.recv, 100)
        for _ in range(3):
            rule = lab.fault("recv", answers=[steal], on=sock)
            peer.send(b"stolen")
            await lab.settle()
            lab.equal(rule.times, 1, "receives that were robbed")
            lab.still_parked(recv)
        peer.send(b"real")
        lab.equal((await lab.outcome(recv)).get(), b"real", "what the armed receive gets")


@scenario(
    id="partial.zero-byte-send",
    law=3,
    provenance="libuv 6140507ba: a write of zero bytes never completed; trio check_one_way_stream",
)
async def zero_byte_send(lab: Lab) -> None:
    """Sending nothing completes at once, sends nothing, and is not an end, even on a full buffer."""
    sock, peer = lab.stream_pair(tiny_send=True)
    for function in (sock.send, sock.sendall):
        sent = await lab.result_of(f"empty {function.__name__}", function, b"")
        lab.equal(sent.get(), 0, "bytes of an empty send")
    lab.equal((await lab.result_of("empty sendmsg", sock.sendmsg, [b"", b""])).get(), 0, "sendmsg")
    big = await lab.parked("sendall", sock.sendall, pattern(100_000))
    sent = await lab.result_of("empty send on a full buffer", sock.send, b"")
    lab.equal(sent.get(), 0, "bytes of an empty send on a full buffer")
    check_pattern(await lab.join(lab.thread(peer.drain, 100_000)))
    (await lab.outcome(big)).get()
    lab.equal(peer.drain_available(), b"", "what else the peer was sent")
    await sock.sendall(b"y")
    lab.equal(peer.drain(1), b"y", "a byte after the empty sends")


@scenario(
    id="partial.zero-byte-recv",
    law=3,
    provenance="Linux probed: b'' for TCP and AF_UNIX without data; trio rejects max_bytes < 1",
)
async def zero_byte_recv(lab: Lab) -> None:
    """Receiving nothing returns b"" at once, consumes nothing and is not the end."""
    sock, peer = lab.stream_pair()
    lab.equal((await lab.result_of("empty", sock.recv, 0)).get(), b"", "without data")
    peer.send(b"data")
    await sock.wait_readable()
    lab.equal((await lab.result_of("with data", sock.recv, 0)).get(), b"", "with data")
    lab.equal(await sock.recv_into(bytearray()), 0, "recv_into an empty buffer")
    lab.equal(await sock.recv_exactly(0), b"", "recv_exactly of nothing")
    lab.equal(await sock.recv(10), b"data", "the data is still there")
    peer.half_close()
    lab.equal((await lab.result_of("end", sock.recv, 10)).get(), b"", "the end")
    lab.equal((await lab.result_of("at the end", sock.recv, 0)).get(), b"", "at the end")
    (await lab.result_of("negative", _negative_recv, sock)).failed(ValueError)


async def _negative_recv(sock: reactor.StreamSocket) -> bytes:
    return await sock.recv(-1)


@scenario(
    id="partial.iov-max",
    law=3,
    provenance="Linux probed: EMSGSIZE for 1025 buffers; joyent/libuv#770: EINVAL on OS X",
)
async def iov_max(lab: Lab) -> None:
    """Gathering more buffers than the kernel takes in one call is no error."""
    sock, peer = lab.stream_pair()
    data = pattern(4096)
    buffers = [data[index : index + 1] for index in range(len(data))]
    sent = await lab.result_of("sendmsg", sock.sendmsg, buffers)
    lab.equal(sent.get(), len(data), "bytes of 4096 buffers")
    check_pattern(peer.drain(len(data)))


@scenario(
    id="partial.gather-resume",
    law=3,
    needs=("unix", "scm_rights"),
    provenance="libuv c560cf931: the handle was sent again with each partial write",
)
async def gather_resume(lab: Lab) -> None:
    """A partial gathering send resumes inside the right buffer, and passes a descriptor once."""
    sock, peer = lab.stream_pair("unix", tiny_send=True)
    data = pattern(140_001)
    sizes = (1, 4480, 7, 60_000, 13, 75_000)
    buffers = []
    offset = 0
    for size in sizes:
        buffers.append(data[offset : offset + size])
        offset += size
    buffers.append(data[offset:])
    read_end, write_end = lab.world.plain.pipe()
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [read_end]).tobytes())]
    reader = lab.thread(peer.drain_with_descriptors, len(data))
    sent = await lab.result_of("sendmsg", sock.sendmsg, buffers, rights)
    lab.equal(sent.get(), len(data), "bytes sent")
    received, passed = await lab.join(reader)
    check_pattern(received)
    lab.equal(len(passed), 1, "descriptors that arrived")
    for number in (read_end, write_end, *passed):
        lab.world.plain.close(number)


@scenario(
    id="partial.over-int-max",
    law=3,
    needs=("big_memory",),
    provenance="capnproto#2187, erlang/otp#6248, nng#2243: macOS EINVAL above INT_MAX, no partial",
)
async def over_int_max(lab: Lab) -> None:
    """One buffer of more than 2 GiB is sent in parts, not refused."""
    sock, peer = lab.stream_pair()
    view = memoryview(mmap.mmap(-1, (1 << 31) + 1))

    async def send_part() -> bool:  # how large a part is the kernel's affair
        sent: int = await sock.send(view)
        peer.drain(sent)
        return 0 < sent < len(view)

    lab.equal((await lab.result_of("send", send_part)).get(), True, "whether a part was sent")
    send = await lab.parked("sendall", sock.sendall, view)
    await lab.join(lab.thread(peer.drain, _MEGABYTE))
    await lab.settle()
    lab.cancel(send)
    moved = (await lab.outcome(send)).cancelled().transferred
    lab.check(moved >= _MEGABYTE, f"sendall moved {moved} bytes")
    peer.drain(moved - _MEGABYTE)


@scenario(
    id="partial.no-read-without-recv",
    law=2,
    provenance="tornado 41ff81b2, 20bf1653: always reading defeats flow control; level select spins",
)
async def no_read_without_recv(lab: Lab) -> None:
    """With no receive pending the reactor neither reads nor spins, and the sender must wait."""
    sock, peer = lab.stream_pair()
    other, _ = lab.stream_pair()
    # The descriptor is registered, with readiness that nobody asks for.
    recv = await lab.parked("recv", sock.recv, 1)
    peer.send(b"!")
    (await lab.outcome(recv)).get()
    parked = await lab.parked("other", other.recv, 1)
    before = lab.table.calls["recv"]
    sent = peer.fill()
    lab.check(sent < 64 << 20, "the sender was never made to wait")
    await lab.check_no_spin()
    lab.equal(lab.table.calls["recv"], before, "receive calls without a receive")
    lab.still_parked(parked)
    check_pattern(await sock.recv_exactly(sent))


@scenario(
    id="partial.duplex-no-deadlock",
    law=6,
    provenance="corosio 5c87bce, 0b427d8: inline budgets gated one direction",
)
async def duplex_no_deadlock(lab: Lab) -> None:
    """4 MB each way on one connection at the same time completes."""
    left, right = lab.subject_pair()
    data = pattern(4 * _MEGABYTE)
    operations = [
        lab.start(f"{name} {side}", function, argument)
        for side, sock in (("left", left), ("right", right))
        for name, function, argument in (
            ("sends", sock.sendall, data),
            ("receives", sock.recv_exactly, len(data)),
        )
    ]
    for op in operations:
        result = (await lab.outcome(op)).get()
        if isinstance(result, bytes):
            check_pattern(result)


@scenario(
    id="partial.send-order",
    law=3,
    provenance="mitchellh/libxev#125: a second EV_ADD replaced the first; libuv tcp-write-queue-order",
)
async def send_order(lab: Lab) -> None:
    """A send behind a parked one never overtakes it: it is refused, and nothing of it goes out."""
    sock, peer = lab.stream_pair(tiny_send=True)
    data = pattern(200_000)
    first = await lab.parked("first", sock.sendall, data)
    for name, function in (("sendall", sock.sendall), ("send", sock.send)):
        (await lab.result_of(f"second by {name}", function, b"?" * 1000)).failed(reactor.BusyError)
    reader = lab.thread(peer.drain, len(data))
    (await lab.outcome(first)).get()
    check_pattern(await lab.join(reader))
    await sock.sendall(b"in turn")
    lab.equal(peer.drain(7), b"in turn", "a send after the first")


@scenario(
    id="partial.second-waiter",
    law=1,
    provenance="trio BusyResourceError; eventlet#94; trio wait_kevent raises per filter",
)
async def second_waiter(lab: Lab) -> None:
    """A second concurrent receive is refused, the same everywhere, and the first is unharmed."""
    sock, peer = lab.stream_pair()
    first = await lab.parked("first", sock.recv, 100)
    for name, function, args in (
        ("recv", sock.recv, (1,)),
        ("recv_into", sock.recv_into, (bytearray(1),)),
        ("recv_exactly", sock.recv_exactly, (1,)),
        ("wait_readable", sock.wait_readable, ()),
    ):
        (await lab.result_of(f"second {name}", function, *args)).failed(reactor.BusyError)
    peer.send(b"one")
    lab.equal((await lab.outcome(first)).get(), b"one", "the first receive")
    peer.send(b"two")
    lab.equal(await sock.recv(100), b"two", "a receive afterwards")


@scenario(
    id="partial.eintr",
    law=3,
    needs=("setitimer",),
    provenance="corosio fd7c8ab, PR 207: EINTR retry on the kqueue read path; tornado 61f7d104",
)
async def eintr(lab: Lab) -> None:
    """Signals during a 4 MB echo lose nothing and end nothing."""
    sock, peer = lab.stream_pair()
    size = 4 * _MEGABYTE

    async def echo() -> int:
        done = 0
        while done < size:
            data = await sock.recv(65_536)
            done += len(data)
            await sock.sendall(data)
        return done

    with lab.signal_storm() as count:
        loop = lab.start("echo", echo)
        sender = lab.thread(peer.send, pattern(size))
        check_pattern(await lab.join(lab.thread(peer.drain, size)))
        await lab.join(sender)
        lab.equal((await lab.outcome(loop)).get(), size, "bytes echoed")
    lab.info("signals", count[0])


@scenario(
    id="partial.unix-ancillary-boundary",
    law=3,
    needs=("unix", "scm_rights"),
    provenance="unix(7): a read stops at ancillary data, however much is behind it",
)
async def unix_ancillary_boundary(lab: Lab) -> None:
    """A short read before ancillary data does not mean that nothing is behind it."""
    sock, peer = lab.stream_pair("unix")
    recv = await lab.parked("recv", sock.recv, 100)
    with lab.world.socket() as passed:

        def send_both() -> None:
            peer.send_with_descriptor(b"with", passed.fileno())
            peer.send(b"without")

        lab.post_alone(send_both)
        got = bytearray((await lab.outcome(recv)).get())
        while len(got) < len(b"withwithout"):
            got += (await lab.result_of("rest", sock.recv, 100)).get()
    lab.equal(bytes(got), b"withwithout", "the bytes")


@scenario(
    id="partial.failed-send",
    law=3,
    provenance="Python's socket.sendall (its manual): on an error there is no way to know how much was sent",
    permits={
        "reset": "the send is told of the reset (Linux)",
        "broken-pipe": "the send finds that nothing can be sent any more (sosend of the BSDs)",
    },
)
async def failed_send(lab: Lab) -> None:
    """A sendall that fails half way says how much went out."""
    sock, peer = lab.stream_pair(tiny_send=True)
    data = pattern(1 << 20)
    send = await lab.parked("sendall", sock.sendall, data)
    drained = peer.drain(100)
    check_pattern(drained)
    peer.reset()
    outcome = (await lab.outcome(send)).failed(ConnectionResetError, BrokenPipeError)
    lab.permit("reset" if isinstance(outcome.error, ConnectionResetError) else "broken-pipe")
    lab.check(
        100 <= outcome.transferred < len(data), f"{outcome.transferred} bytes are said to be out"
    )
