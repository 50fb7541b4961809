"""Family *accept*: the listener survives whatever happens to single connections."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Any

import reactor
from harness.outcome import observed
from harness.peer import SAFETY
from harness.scenario import scenario

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.lab import Lab
    from harness.peer import Peer

#: accept(2): errors of a connection or its network, which say nothing about the listener.
_TRANSIENT = [
    getattr(errno, name)
    for name in (
        "ENETDOWN",
        "EPROTO",
        "ENOPROTOOPT",
        "EHOSTDOWN",
        "ENONET",
        "EHOSTUNREACH",
        "EOPNOTSUPP",
        "ENETUNREACH",
        "EPERM",
        "ECONNABORTED",
    )
    if hasattr(errno, name)
]


@scenario(
    id="accept.aborted-connection",
    law=9,
    provenance="Twisted tcp.py on ECONNABORTED; squid PR 404 (OpenBSD hang); accept(2)",
    permits={
        "skipped": "the kernel or the library dropped it, and the next connection was accepted",
        "delivered-then-reset": "it was accepted, and its first operation failed (Linux)",
    },
)
async def aborted_connection(lab: Lab) -> None:
    """A connection that was reset before it is accepted neither fails nor stops accepting."""
    listener = lab.listener()
    lab.aborted_peer(listener)
    good = lab.connect_peer(listener)
    good.send(b"good")
    stream = lab.keep(await listener.accept())
    first = await observed(stream.recv(100))
    if first.kind == "value" and first.value == b"good":
        lab.permit("skipped")
        return
    first.failed(ConnectionResetError)
    lab.permit("delivered-then-reset")
    stream = lab.keep(await listener.accept())
    lab.equal(await stream.recv(100), b"good", "what the good connection carries")


@scenario(
    id="accept.aborted-then-good",
    law=9,
    provenance="gh-127529: return instead of continue ended the burst (OpenBSD)",
)
async def aborted_then_good(lab: Lab) -> None:
    """After connections that died in the queue, a good one is accepted without a new event."""
    listener = lab.listener()
    for _ in range(3):
        lab.aborted_peer(listener)
    good = lab.connect_peer(listener)
    good.send(b"good")
    lab.fault("accept", errno.ECONNABORTED, on=listener)
    for _ in range(4):
        stream = lab.keep(await listener.accept())
        received = await observed(stream.recv(100))
        if received.kind == "value" and received.value:
            lab.equal(received.value, b"good", "what the good connection carries")
            await stream.sendall(b"echo")
            lab.equal(good.drain(4), b"echo", "the echo")
            return
    raise AssertionError("the good connection was not among the first four")


@scenario(
    id="accept.aborted-option-einval",
    law=9,
    provenance="capnproto PR 2365, leap#1318, envoy#1381, socket2#631: macOS setsockopt = EINVAL",
)
async def aborted_option_einval(lab: Lab) -> None:
    """Options and addresses that fail on a dead accepted socket do not fail the acceptor."""
    listener = lab.listener()
    peer = lab.connect_peer(listener)
    lab.fault("setsockopt", errno.EINVAL, repeat=3)
    lab.fault("getpeername", errno.EINVAL, repeat=3)
    stream = lab.keep((await lab.result_of("accept", listener.accept)).get())
    lab.table.clear()
    peer.send(b"alive")
    lab.equal(await stream.recv(100), b"alive", "the accepted connection")
    again = lab.connect_peer(listener)
    again.send(b"too")
    stream = lab.keep((await lab.result_of("accept again", listener.accept)).get())
    lab.equal(await stream.recv(100), b"too", "the next connection")


@scenario(
    id="accept.addrlen-zero",
    law=9,
    provenance="libevent ecfc720a (nmap on Linux); capnproto PR 2365 (macOS)",
)
async def addrlen_zero(lab: Lab) -> None:
    """An accept that tells no address gives an unknown peer, not garbage."""
    listener = lab.listener()
    peer = lab.connect_peer(listener)

    def without_address(real: Callable[[], Any]) -> Any:
        connection, _ = real()
        return connection, None

    rule = lab.fault("accept", answers=[without_address], on=listener)
    stream = lab.keep(await listener.accept())
    lab.equal(rule.times, 1, "accepts without an address")
    lab.equal(stream.peer_address, None, "the address of an unknown peer")
    peer.send(b"x")
    lab.equal(await stream.recv(1), b"x", "the connection works")


@scenario(
    id="accept.emfile-backoff",
    law=9,
    needs=("emfile",),
    provenance="trio ACCEPT_CAPACITY_ERRNOS; gh-151615; joyent/libuv#690; bun#32705; asyncio probed: "
    "200 handler calls in 1.5 s",
)
async def emfile_backoff(lab: Lab) -> None:
    """Out of descriptors, accepting waits: it neither fails, spins nor floods the log."""
    listener = lab.listener()
    accept = await lab.parked("accept", listener.accept)
    peer = lab.connect_peer_later(listener)
    with lab.emfile():
        peer.connect()
        await lab.settle_parked(accept)
        before = lab.table.calls["accept"]
        idle = await lab.idle(0.35)
        tries = lab.table.calls["accept"] - before
        lab.check(idle.waits <= 15, f"{idle.waits} waits while out of descriptors")
        lab.check(0 < tries <= 15, f"{tries} calls of accept while out of descriptors")
        lab.still_parked(accept)
        lab.check(listener.pauses > 0, "it did not notice that it is out of descriptors")
    lab.keep((await lab.outcome(accept)).get())


@scenario(
    id="accept.emfile-no-lost-listener",
    law=9,
    needs=("emfile",),
    provenance="libuv d185607a8: server permanently stopped accepting; nginx 0e3b423dc",
)
async def emfile_no_lost_listener(lab: Lab) -> None:
    """Once descriptors are free, the connection that waited is accepted without a new client."""
    listener = lab.listener()
    accept = await lab.parked("accept", listener.accept)
    peer = lab.connect_peer_later(listener)
    with lab.emfile():
        peer.connect()
        await lab.settle_parked(accept)
        lab.equal(listener.pauses > 0, True, "it noticed")
    stream = lab.keep((await lab.outcome(accept)).get())
    peer.send(b"patient")
    lab.equal(await stream.recv(100), b"patient", "the connection that waited")

    cancelled = await lab.parked("accept, then cancelled", listener.accept)
    other = lab.connect_peer_later(listener)
    with lab.emfile():
        other.connect()
        await lab.settle_parked(cancelled)
        lab.equal(listener.cancel(), 1, "accepts ended by a cancel during the pause")
        (await lab.outcome(cancelled)).cancelled("cancel")
    lab.keep(await listener.accept())


@scenario(
    id="accept.burst",
    law=2,
    provenance="corosio fac69fd (pump on kqueue accept()); epoll(7): one edge for many connections",
)
async def burst(lab: Lab) -> None:
    """Fifty connections made before one turn are all accepted."""
    listener = lab.listener()
    first = await lab.parked("accept", listener.accept)
    peers: list[Peer] = []

    def connect_all() -> None:
        peers.extend(lab.connect_peer(listener) for _ in range(50))

    lab.post_alone(connect_all)
    streams = [lab.keep((await lab.outcome(first)).get())]
    streams += [lab.keep(await listener.accept()) for _ in range(49)]
    for index, peer in enumerate(peers):
        peer.send(b"%d" % index)
    seen = sorted([int(await stream.recv(10)) for stream in streams])
    lab.equal(seen, list(range(50)), "the connections accepted")
    await lab.parked("nothing more", listener.accept)


@scenario(
    id="accept.pending-before-start",
    law=2,
    provenance="corosio test AcceptPendingConnection: the edge came before the registration",
)
async def pending_before_start(lab: Lab) -> None:
    """A connection that came before the first accept, or between two, is accepted."""
    listener = lab.listener()
    for number in range(2):
        peer = lab.connect_peer(listener)
        await lab.settle()
        peer.send(b"early")
        stream = lab.keep((await lab.result_of(f"accept {number}", listener.accept)).get())
        lab.equal(await stream.recv(100), b"early", "the early connection")
        parked = await lab.parked(f"parked {number}", listener.accept)
        lab.cancel(parked)
        (await lab.outcome(parked)).cancelled()


@scenario(
    id="accept.fairness",
    law=6,
    provenance="tornado f16aa39c; libuv 6c692ad1c: accepting until EAGAIN starved the rest",
)
async def fairness(lab: Lab) -> None:
    """A listener under a flood of connections lets a timer and another socket run."""
    listener = lab.listener(backlog=1024)
    count = min(300, lab.world.backlog_limit() - 8)
    for _ in range(count):
        lab.connect_peer(listener)
    address = listener.getsockname()
    sock, peer = lab.stream_pair()
    progress: dict[str, int] = {}
    accepted = 0
    # The budget is some tens of connections a turn; half the flood would be starvation. On several
    # threads the one that is told of the others may have to wait for the interpreter meanwhile, so
    # the flood goes on until they had their turn; only never would be wrong.
    bound = count // 2 if lab.threads == 1 else 5000

    async def accept_all() -> None:
        nonlocal accepted
        while accepted < count or (len(progress) < 2 and accepted < bound):
            (await listener.accept()).close()
            accepted += 1
            if lab.threads > 1:
                lab.world.create_connection(address, SAFETY).close()

    async def echo() -> None:
        await sock.sendall(await sock.recv(100))
        progress["echo"] = accepted

    async def tick() -> None:
        await lab.subject.sleep(0.0001)
        progress["timer"] = accepted

    waiting = [await lab.parked("echo", echo), lab.start("timer", tick)]
    flood = lab.start("accept loop", accept_all)
    peer.send(b"ping")
    for op in (*waiting, flood):
        (await lab.outcome(op)).get()
    lab.equal(peer.drain(4), b"ping", "the echo")
    lab.check(progress["echo"] < bound, f"the echo had to wait for {progress} of {count}")
    lab.info("accepted before", str(progress))


@scenario(
    id="accept.not-listening",
    law=9,
    provenance="trio _socket.py comment; corosio f789d24; Linux EINVAL, macOS never readable",
)
async def not_listening(lab: Lab) -> None:
    """An accept on a bound socket that does not listen fails at once, and does not hang."""
    acceptor = lab.unlistened()
    acceptor.bind(("127.0.0.1", 0))
    accept = await lab.result_of("accept", acceptor.accept)
    accept.failed(errno.EINVAL, errno.EOPNOTSUPP)
    acceptor.listen(1)
    lab.connect_peer(acceptor)
    lab.keep((await lab.result_of("after listen", acceptor.accept)).get())


@scenario(
    id="accept.close-while-pending",
    law=5,
    provenance="corosio test CloseWhilePendingAccept; libcoro#377; trio#3520",
)
async def close_while_pending(lab: Lab) -> None:
    """Closing the listener ends every parked accept as cancelled by close."""
    for kind in ("tcp", "unix"):
        listener = lab.listener(kind)
        accepts = [await lab.parked(f"{kind} accept {n}", listener.accept) for n in range(3)]
        number = listener.fileno()
        # Alone: who is told of the close could otherwise reuse the number before it is free.
        lab.post_alone(listener.close)
        for accept in accepts:
            (await lab.outcome(accept)).cancelled("close")
        canary = lab.canary(number)
        listener.close()
        (await lab.result_of(f"{kind} accept on closed", listener.accept)).failed(
            reactor.ClosedError
        )
        canary.check()


@scenario(
    id="accept.stop-race",
    law=5,
    provenance="tornado 21680e20; libevent 12cedc8a: the burst went on after close",
)
async def stop_race(lab: Lab) -> None:
    """Closing the listener from the continuation of the first of three accepts nothing more."""
    listener = lab.listener()
    accepted = []

    async def accept_loop() -> None:
        async for stream in listener:
            accepted.append(lab.keep(stream))
            listener.close()

    loop = await lab.parked("accept loop", accept_loop)

    def connect_three() -> None:
        for _ in range(3):
            lab.connect_peer(listener)

    lab.post_alone(connect_three)
    (await lab.outcome(loop)).get()
    await lab.settle()
    lab.equal(len(accepted), 1, "connections accepted")


@scenario(
    id="accept.flags-normalised",
    law=9,
    provenance="accept(2): on Linux the new socket does not inherit O_NONBLOCK, on the BSDs it does",
)
async def flags_normalised(lab: Lab) -> None:
    """An accepted socket is non-blocking and close-on-exec, whatever the listener had."""
    listener = lab.listener()
    for blocking in (False, True):
        peer = lab.connect_peer(listener)
        lab.world.set_blocking(listener.fileno(), blocking=blocking)
        stream = lab.keep(await listener.accept())
        lab.world.set_blocking(listener.fileno(), blocking=False)
        blocks = lab.world.is_blocking(stream.fileno())
        lab.check(not blocks, f"blocking, from a listener with blocking={blocking}")
        survives = lab.world.is_inheritable(stream.fileno())
        lab.check(not survives, "the accepted socket survives exec")
        recv = await lab.parked(f"recv, listener blocking={blocking}", stream.recv, 10)
        peer.send(b"x")
        (await lab.outcome(recv)).get()


@scenario(
    id="accept.waiters-fifo",
    law=6,
    provenance="several waiters behind one registration; served in order or not at all by naive loops",
)
async def waiters_fifo(lab: Lab) -> None:
    """Several parked accepts get one connection each, in the order in which they came."""
    listener = lab.listener()
    order: list[int] = []

    async def accept(number: int) -> bytes:
        stream = lab.keep(await listener.accept())
        order.append(number)
        data: bytes = await stream.recv(10)
        return data

    accepts = [await lab.parked(f"accept {number}", accept, number) for number in range(3)]

    def connect_three() -> None:
        for number in range(3):
            lab.connect_peer(listener).send(b"%d" % number)

    lab.post(connect_three)
    got = [(await lab.outcome(op)).get() for op in accepts]
    lab.equal(got, [b"0", b"1", b"2"], "the connection of each waiter")
    lab.equal(sorted(order), [0, 1, 2], "waiters served")


@scenario(
    id="accept.stolen-connection",
    law=2,
    provenance='accept(2) NOTES; select(2) BUGS: "may be reported ready ... blocks"',
)
async def stolen_connection(lab: Lab) -> None:
    """When somebody else takes the connection, accept goes on waiting without blocking the thread."""
    listener = lab.listener()
    thief = lab.duplicate(listener)

    def steal(real: Callable[[], Any]) -> Any:
        # Here the event has been reported, and its call has not been made.
        lab.peer(thief.accept()[0])
        return real()

    accept = await lab.parked("accept", listener.accept)
    for _ in range(3):
        rule = lab.fault("accept", answers=[steal], on=listener)
        lab.connect_peer(listener)
        await lab.settle()
        lab.equal(rule.times, 1, "accepts that were robbed")
        lab.still_parked(accept)
    peer = lab.connect_peer(listener)
    peer.send(b"mine")
    stream = lab.keep((await lab.outcome(accept)).get())
    lab.equal(await stream.recv(100), b"mine", "the connection that was not stolen")


@scenario(
    id="accept.unix-peer-address",
    law=9,
    needs=("unix",),
    provenance="mio 456cad2e, 9f1e9ffd; nginx 2e1e65a5c: a zero path of 16 bytes on macOS, FreeBSD",
)
async def unix_peer_address(lab: Lab) -> None:
    """An unnamed Unix peer is the empty name on every system; a named one is its name."""
    listener = lab.listener("unix")
    lab.connect_peer(listener)
    stream = lab.keep(await listener.accept())
    lab.equal(stream.peer_address, "", "the name of an unnamed peer")
    named = lab.world.socket(socket.AF_UNIX)
    path = lab.world.path()
    named.bind(path)
    named.connect(listener.getsockname())
    lab.peer(named)
    stream = lab.keep(await listener.accept())
    lab.equal(stream.peer_address == path, True, "a named peer is called by its name")


@scenario(
    id="accept.backlog-overflow",
    law=2,
    provenance="Linux probed: TCP listen(1) leaves the third connect pending, AF_UNIX says EAGAIN",
    permits={
        "waited": "connects over the backlog waited until there was room",
        "refused": "the system refused connects over the backlog (BSD AF_UNIX)",
    },
)
async def backlog_overflow(lab: Lab) -> None:
    """Connecting over a full backlog waits, or is refused; it completes when the server accepts."""
    variant = "waited"
    for kind in ("tcp", "unix"):
        crowd = lab.crowd(kind)
        sock = lab.fresh_stream(kind)
        connect = lab.start(f"connect over {kind}", sock.connect, crowd.address)
        await lab.settle()
        if connect.done:
            (await lab.outcome(connect)).failed(ConnectionRefusedError)
            variant = "refused"
            continue
        crowd.accept_all()
        accepter = lab.thread(crowd.accept_all)
        (await lab.outcome(connect)).get()
        await lab.join(accepter)
        await sock.sendall(b"connected")
    lab.permit(variant)


@scenario(
    id="accept.pending-network-error",
    law=9,
    provenance="accept(2): Linux passes already-pending network errors of the new socket; trio, asio",
)
async def pending_network_error(lab: Lab) -> None:
    """Errors of a single connection's network are transient: accepting goes on by itself."""
    listener = lab.listener()
    for code in _TRANSIENT:
        name = errno.errorcode[code]
        rule = lab.fault("accept", code, on=listener)
        peer = lab.connect_peer(listener)
        stream = lab.keep((await lab.result_of(f"accept after {name}", listener.accept)).get())
        lab.equal(rule.times, 1, f"accepts that failed with {name}")
        peer.send(b"x")
        lab.equal(await stream.recv(1), b"x", f"the connection after {name}")
    rule = lab.fault("accept", errno.ENOTSOCK, on=listener)
    lab.connect_peer(listener)
    (await lab.result_of("a lasting error", listener.accept)).failed(errno.ENOTSOCK)
