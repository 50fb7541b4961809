"""Family *cancel*: law 4, and what cancelling must never do to anybody else."""

from __future__ import annotations

import errno
import gc
import socket
from typing import TYPE_CHECKING, Any

import reactor
from harness.peer import check_pattern, pattern
from harness.scenario import scenario

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.lab import Lab
    from harness.outcome import Op


@scenario(
    id="cancel.pending-recv",
    law=4,
    provenance="corosio d249ac3: stop_token only set a flag, the operation stayed in epoll_wait",
)
async def pending_recv(lab: Lab) -> None:
    """A parked receive that is cancelled completes once and consumes nothing."""
    sock, peer = lab.stream_pair()
    recv = await lab.parked("recv", sock.recv, 100)
    lab.post(lab.cancel, recv)
    (await lab.outcome(recv)).cancelled("cancel")
    peer.send(b"hello")
    again = await lab.result_of("recv again", sock.recv, 100)
    lab.equal(again.get(), b"hello", "what the next receive gets")


@scenario(
    id="cancel.pre-cancelled",
    law=4,
    provenance="corosio 5c1194c, 4a739fc (precancel.cpp): fast paths ran before the token was read",
)
async def pre_cancelled(lab: Lab) -> None:
    """An operation started in a cancelled scope ends cancelled without doing I/O, of every kind."""
    sock, peer = lab.stream_pair()
    listener = lab.listener()
    fresh = lab.fresh_stream()
    timer = lab.timer()
    timer.expires_after(0)
    peer.send(b"untouched")
    client = lab.connect_peer(listener)
    await lab.settle()
    before = dict(lab.table.calls)
    operations = {
        "recv": (sock.recv, 100),
        "recv_exactly": (sock.recv_exactly, 3),
        "recv_into": (sock.recv_into, bytearray(5)),
        "send": (sock.send, b"no"),
        "sendall": (sock.sendall, b"no"),
        "sendmsg": (sock.sendmsg, [b"no", b"no"]),
        "wait_readable": (sock.wait_readable,),
        "wait_writable": (sock.wait_writable,),
        "accept": (listener.accept,),
        "timer": (timer.wait,),
        "sleep": (reactor.sleep, 0),
    }
    for label, (function, *args) in operations.items():
        (await lab.outcome(lab.start_cancelled(label, function, *args))).cancelled()
    connect = lab.start_cancelled("connect", fresh.connect, listener.getsockname())
    (await lab.outcome(connect)).cancelled()
    for call in ("recv", "recv_into", "send", "sendmsg", "accept", "connect"):
        lab.equal(lab.table.calls[call], before[call], f"calls of {call}")
    lab.equal(await sock.recv(100), b"untouched", "what a normal receive gets afterwards")
    (await listener.accept()).close()
    await sock.sendall(b"after")
    lab.equal(peer.drain_available(), b"after", "what the peer was sent")
    client.close()


@scenario(
    id="cancel.inline-completion",
    law=4,
    provenance="corosio 477e92f: cancel_pending flags so that the intent survives speculative I/O",
)
async def inline_completion(lab: Lab) -> None:
    """A cancel is not lost on an operation that keeps completing inline."""
    sock, peer = lab.stream_pair()
    size = peer.fill(1 << 18)
    received = 0

    async def receive_all() -> None:
        nonlocal received
        while received < size:
            received += len(await sock.recv(1))

    loop = lab.start("receive loop", receive_all)

    def strike() -> None:
        if not loop.done and not sock.cancel():
            lab.post(strike)  # it was between two receives, on another thread

    lab.post(strike)
    (await lab.outcome(loop)).cancelled("cancel")
    lab.check(received < size // 2, f"{received} receives went through before the cancel did")
    check_pattern(await sock.recv_exactly(1000), received)


@scenario(
    id="cancel.before-wait",
    law=4,
    provenance="corosio 17fa5e5: signal_set::cancel() before the wait was lost, run() hung",
)
async def before_wait(lab: Lab) -> None:
    """Cancelling an idle object is a no-op; cancelling a task before it waits is latched."""
    sock, peer = lab.stream_pair()
    timer = lab.timer()
    timer.expires_after(0.001)
    lab.equal(sock.cancel(), 0, "operations ended by cancel on an idle socket")
    lab.equal(timer.cancel(), 0, "waits ended by cancel on an idle timer")
    recv = await lab.parked("recv", sock.recv, 100)
    peer.send(b"data")
    lab.equal((await lab.outcome(recv)).get(), b"data", "the receive after an idle cancel")
    (await lab.result_of("timer", timer.wait)).get()
    peer.send(b"kept")
    latched: list[Op] = []
    begun = lab.subject.event()

    def start_and_cancel() -> None:
        latched.append(lab.start("cancelled before it ran", sock.recv, 100))
        lab.cancel(latched[0])
        begun.set()

    lab.post_alone(start_and_cancel)
    await begun.wait()
    (await lab.outcome(latched[0])).cancelled()
    lab.equal(await sock.recv(100), b"kept", "what the latched cancel left alone")


@scenario(
    id="cancel.data-in-same-turn",
    law=4,
    provenance="gh-86296; zeromq/pyzmq#1925; asyncio 3.11 probed: cancelled, and payload preserved",
    permits={
        "data": "the receive had its data before the cancel was looked at",
        "cancelled": "the cancel came first; the data waits for the next receive",
    },
)
async def data_in_same_turn(lab: Lab) -> None:
    """Data and cancel in one turn give one of the two results, and the data is never lost."""
    sock, peer = lab.stream_pair()
    recv = await lab.parked("recv", sock.recv, 100)

    def send_and_cancel() -> None:
        peer.send(b"payload")
        lab.cancel(recv)

    lab.post(send_and_cancel)
    outcome = await lab.outcome(recv)
    if outcome.kind == "value":
        lab.permit("data")
        lab.equal(outcome.get(), b"payload", "the result")
        return
    outcome.cancelled()
    lab.permit("cancelled")
    lab.equal(await sock.recv(100), b"payload", "what the next receive gets")


@scenario(
    id="cancel.completion-already-queued",
    law=1,
    provenance="chriskohlhoff/asio#423; corosio PR 208 (await_resume re-read the token)",
    permits={
        "kept": "the completion was decided, so it was delivered",
        "cancelled": "the cancel came before the completion was decided",
    },
)
async def completion_already_queued(lab: Lab) -> None:
    """A cancel after the completion was queued neither replaces the result nor drops its bytes."""
    socks, peers = zip(*(lab.stream_pair() for _ in range(2)), strict=True)
    order: list[int] = []

    async def receive(index: int) -> bytes:
        data: bytes = await socks[index].recv(100)
        order.append(index)
        if order[0] == index:
            lab.cancel_silently(ops[1 - index])
        return data

    ops = [await lab.parked(f"recv {index}", receive, index) for index in range(2)]

    def send_both() -> None:
        for index, peer in enumerate(peers):
            peer.send(b"for %d" % index)

    lab.post(send_both)
    variant = "kept"
    for index, op in enumerate(ops):
        outcome = await lab.outcome(op)
        if outcome.kind == "cancelled":
            variant = "cancelled"
            lab.equal(await socks[index].recv(100), b"for %d" % index, "the data left")
        else:
            lab.equal(outcome.get(), b"for %d" % index, "the data delivered")
    lab.permit(variant)


@scenario(
    id="cancel.retry-same-tick",
    law=4,
    provenance="CPython PR 20369 / gh-74250: cancel() followed directly by a retry lost the retry",
)
async def retry_same_tick(lab: Lab) -> None:
    """Cancel a receive and start another on the same socket in the same tick: it completes."""
    sock, peer = lab.stream_pair()
    first = await lab.parked("first", sock.recv, 100)
    started = []

    def cancel_and_retry() -> None:
        lab.cancel(first)
        started.append(lab.start("second", sock.recv, 100))

    lab.post(cancel_and_retry)
    (await lab.outcome(first)).cancelled()
    await lab.settle()
    peer.send(b"for the second")
    lab.equal((await lab.outcome(started[0])).get(), b"for the second", "the retried receive")

    third = await lab.parked("third", sock.recv, 100)

    def retry_and_cancel() -> None:
        started.append(lab.start("fourth", _after_cancel, lab, sock, third))

    lab.post(retry_and_cancel)
    (await lab.outcome(third)).cancelled()
    await lab.settle()
    peer.send(b"for the fourth")
    lab.equal((await lab.outcome(started[1])).get(), b"for the fourth", "the overtaking retry")


async def _after_cancel(lab: Lab, sock: reactor.StreamSocket, op: object) -> bytes:
    """Cancel one receive and start the next in the same breath, before the first has resumed."""
    lab.cancel(op)  # type: ignore[arg-type]  # an Op
    return await sock.recv(100)


@scenario(
    id="cancel.accept-keeps-connection",
    law=4,
    provenance="gh-153761, gh-85489: the accept ran before the future was checked, and was dropped",
)
async def accept_keeps_connection(lab: Lab) -> None:
    """A cancelled accept leaves the pending connection for the next accept."""
    listener = lab.listener()
    accept = await lab.parked("accept", listener.accept)
    peers = []

    def connect_and_cancel() -> None:
        lab.cancel(accept)
        peers.append(lab.connect_peer(listener))

    lab.post_alone(connect_and_cancel)
    (await lab.outcome(accept)).cancelled()
    stream = lab.keep(await listener.accept())
    peers[0].send(b"not dropped")
    lab.equal(await stream.recv(100), b"not dropped", "what the kept connection carries")


@scenario(
    id="cancel.connect-releases-fd",
    law=5,
    provenance="gh-131728: the writer was removed later and hit the reused number; uvloop#738, #740",
)
async def connect_releases_fd(lab: Lab) -> None:
    """After a cancelled connect and a close, the number is nobody's business any more."""
    crowd = lab.crowd()
    sock = lab.fresh_stream()
    connect = await lab.parked("connect", sock.connect, crowd.address)
    lab.cancel(connect)
    (await lab.outcome(connect)).cancelled()
    number = sock.fileno()
    sock.close()
    canary = lab.canary(number)
    crowd.accept_all()
    await lab.settle()
    sock.close()
    canary.check()
    await lab.check_no_spin()


@scenario(
    id="cancel.one-direction-only",
    law=4,
    provenance="python-trio/trio#1272; hivesolutions/netius#103; libevent b77d3e78",
)
async def one_direction_only(lab: Lab) -> None:
    """Cancelling the reader leaves the writer on the same socket intact, and the reverse."""
    sock, peer = lab.stream_pair(tiny_send=True)
    data = pattern(100_000)
    recv = await lab.parked("recv", sock.recv, 100)
    send = await lab.parked("send", sock.sendall, data)
    lab.cancel(recv)
    (await lab.outcome(recv)).cancelled()
    lab.still_parked(send)
    reader = lab.thread(peer.drain, len(data))
    lab.equal((await lab.outcome(send)).get(), len(data), "bytes sent")
    check_pattern(await lab.join(reader))

    recv = await lab.parked("recv again", sock.recv, 100)
    send = await lab.parked("send again", sock.sendall, data)
    lab.cancel(send)
    (await lab.outcome(send)).cancelled()
    lab.still_parked(recv)
    peer.send(b"reply")
    lab.equal((await lab.outcome(recv)).get(), b"reply", "the receive beside a cancelled send")


@scenario(
    id="cancel.one-of-many-waiters",
    law=4,
    clock="fake",
    provenance="eventlet PR 498: removed the primary listener; corosio MultipleWaitersStopTokenCancelsOne",
)
async def one_of_many_waiters(lab: Lab) -> None:
    """Cancelling one of several waiters ends that one and no other."""
    timer = lab.timer()
    timer.expires_after(0.02)
    waits = [lab.start(f"wait {n}", timer.wait) for n in range(3)]
    lab.cancel(waits[1])
    outcomes = [(await lab.outcome(wait)).kind for wait in waits]
    lab.equal(outcomes, ["value", "cancelled", "value"], "how the timer's waits ended")

    listener = lab.listener()
    accepts = [await lab.parked(f"accept {n}", listener.accept) for n in range(3)]
    lab.cancel(accepts[1])
    (await lab.outcome(accepts[1])).cancelled()
    for number, accept in ((0, accepts[0]), (2, accepts[2])):
        peer = lab.connect_peer(listener)
        stream = lab.keep((await lab.outcome(accept)).get())
        peer.send(b"%d" % number)
        lab.equal(await stream.recv(10), b"%d" % number, f"what accept {number} got")


@scenario(
    id="cancel.from-other-thread",
    law=4,
    provenance="corosio de218ef: the reactor stayed blocked on a stale setting; libcoro PR 422",
)
async def from_other_thread(lab: Lab) -> None:
    """A cancel from another thread wakes a loop that is blocked without a timeout."""
    sock, peer = lab.stream_pair()
    for number in range(20):
        recv = lab.start(f"recv {number}", sock.recv, 100)
        thread = lab.when_asleep(sock.cancel if number % 2 else recv.task.cancel, op=recv)
        (await lab.outcome(recv)).cancelled("cancel")
        lab.check(await lab.join(thread), "the cancel did not say that it ended something")
    peer.send(b"still fine")
    lab.equal(await sock.recv(100), b"still fine", "a receive afterwards")


@scenario(
    id="cancel.idempotent",
    law=4,
    provenance="corosio tests CancelMultipleTimes, CancelNoWaiters: latched flags hit the next op",
)
async def idempotent(lab: Lab) -> None:
    """Cancelling twice, after completion or on a closed socket does nothing to anybody."""
    sock, peer = lab.stream_pair()
    recv = await lab.parked("recv", sock.recv, 100)
    lab.equal([sock.cancel(), sock.cancel()], [1, 0], "operations ended by two cancels")
    (await lab.outcome(recv)).cancelled()
    lab.equal(sock.cancel(), 0, "operations ended after completion")
    recv.task.cancel()
    peer.send(b"next")
    lab.equal((await lab.result_of("next", sock.recv, 100)).get(), b"next", "the next receive")
    sock.close()
    lab.equal(sock.cancel(), 0, "operations ended on a closed socket")
    sock.close()


@scenario(
    id="cancel.armed-in-callback",
    law=4,
    provenance="zoxy-io/zoxy#209: libxev's kqueue dropped the completion of an accept armed there",
)
async def armed_in_callback(lab: Lab) -> None:
    """An operation started in a continuation and cancelled in the same turn still completes."""
    sock, peer = lab.stream_pair()
    listener = lab.listener()
    accepts = []

    async def continue_with_accept() -> None:
        await sock.recv(100)
        accepts.append(lab.start("accept", listener.accept))
        lab.cancel(accepts[0])

    recv = await lab.parked("recv", continue_with_accept)
    peer.send(b"go")
    (await lab.outcome(recv)).get()
    (await lab.outcome(accepts[0])).cancelled()
    lab.connect_peer(listener)
    lab.keep((await lab.result_of("accept again", listener.accept)).get())


@scenario(
    id="cancel.batch-mate",
    law=1,
    provenance="socketry/io-event#65, #66; tornado PR 2080; python-trio/trio#3500",
    permits={
        "kept": "the event of the cancelled one had decided already, and its data was delivered",
        "cancelled": "the cancel decided; the data went to the next wait",
    },
)
async def batch_mate(lab: Lab) -> None:
    """A handler that cancels a batch mate and waits anew there sees no stray resumption."""
    socks, peers = zip(*(lab.stream_pair() for _ in range(2)), strict=True)
    order: list[int] = []
    fresh: list[Op] = []

    async def receive(index: int) -> bytes:
        data: bytes = await socks[index].recv(100)
        order.append(index)
        if order[0] == index:
            mate = 1 - index
            lab.cancel_silently(ops[mate])
            fresh.append(lab.start("fresh wait", wait_anew, 100))
        return data

    async def wait_anew(size: int) -> Any:
        while True:
            try:
                return await socks[1 - order[0]].recv(size)
            except reactor.BusyError:
                # Readiness had decided already, and another thread is on its way to tell the mate.
                if lab.threads == 1:
                    raise
                await lab.turns()

    ops = [await lab.parked(f"recv {index}", receive, index) for index in range(2)]

    def send_both() -> None:
        for peer in peers:
            peer.send(b"one")

    lab.post(send_both)
    outcomes = [await lab.outcome(op) for op in ops]
    mate = 1 - order[0]
    await lab.settle()
    if outcomes[mate].kind == "value":
        lab.permit("kept")
        lab.equal(outcomes[mate].get(), b"one", "the delivered data")
        lab.still_parked(fresh[0])
        peers[mate].send(b"two")
        lab.equal((await lab.outcome(fresh[0])).get(), b"two", "what the fresh wait gets")
    else:
        outcomes[mate].cancelled()
        lab.permit("cancelled")
        lab.equal((await lab.outcome(fresh[0])).get(), b"one", "what the fresh wait gets")


@scenario(
    id="cancel.partial-send",
    law=3,
    provenance="corosio: cancel keeps bytes_transferred; asyncio's sock_sendall does not say",
)
async def partial_send(lab: Lab) -> None:
    """A sendall that is cancelled half way says how much went out; nothing is repeated."""
    sock, peer = lab.stream_pair(tiny_send=True)
    data = pattern(1 << 20)
    send = await lab.parked("sendall", sock.sendall, data)
    lab.cancel(send)
    gone = (await lab.outcome(send)).cancelled("cancel").transferred
    lab.info("transferred", gone)
    lab.check(0 < gone < len(data), f"{gone} bytes are said to be out of {len(data)}")
    check_pattern(peer.drain(gone))
    lab.equal(peer.drain_available(), b"", "bytes beyond what was reported")
    await sock.sendall(pattern(100, gone))
    check_pattern(peer.drain(100), gone)


@scenario(
    id="cancel.tie-with-deadline",
    law=1,
    clock="fake",
    provenance="corosio 069ba7e; gh-86296; libevent 342a0faa: a due timer dropped the ready events",
    permits={
        "completed": "the data decided; the deadline came too late",
        "timed-out": "the deadline decided; the data waits for the next receive",
    },
)
async def tie_with_deadline(lab: Lab) -> None:
    """Deadline and completion in the same turn give one outcome, and no byte is lost."""
    sock, peer = lab.stream_pair()
    recv = lab.start_within("recv", 5.0, sock.recv, 100)
    await lab.settle()

    def both() -> None:
        peer.send(b"in time?")
        lab.clock.advance(10)

    lab.post(both)
    outcome = await lab.outcome(recv)
    if outcome.kind == "value":
        lab.permit("completed")
        lab.equal(outcome.get(), b"in time?", "the completed receive")
    else:
        outcome.failed(TimeoutError)
        lab.permit("timed-out")
        lab.equal(await sock.recv(100), b"in time?", "the data left")


@scenario(
    id="cancel.shutdown-with-parked-ops",
    law=5,
    needs=("unix",),
    provenance="corosio 07fab88, 7869f62, 2068af1 (test ShutdownWithParkedOps): use after free",
)
async def shutdown_with_parked_ops(lab: Lab) -> None:
    """Closing a context with an operation of each kind parked ends them, and runs nothing later."""
    context = lab.fresh_context()
    ours, theirs = lab.raw_pair(tiny_send=True)
    peer = lab.peer(theirs)
    stream = reactor.StreamSocket.from_socket(ours, context)
    other = reactor.StreamSocket.pair(context)
    listener = reactor.listen_tcp(context=context)
    crowd = lab.crowd()
    fresh = reactor.StreamSocket(socket.AF_INET, context=context)
    timer = reactor.Timer(context=context)
    timer.expires_after(3600)
    event = reactor.Event(context=context)
    queue: reactor.Queue[int] = reactor.Queue(context=context)
    ended: dict[str, str] = {}
    closed = False

    async def park(name: str, function, *args) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN002
        try:
            await function(*args)
            ended[name] = "completed"
        except reactor.OperationCancelled as exc:
            lab.check(not closed, f"{name} ran after close")
            ended[name] = exc.cause_name
            raise

    operations = {
        "recv": (stream.recv, 10),
        "send": (stream.sendall, bytes(1 << 20)),
        "wait": (other[0].wait_readable,),
        "accept": (listener.accept,),
        "second accept": (listener.accept,),
        "connect": (fresh.connect, crowd.address),
        "timer": (timer.wait,),
        "sleep": (reactor.sleep, 3600),
        "event": (event.wait,),
        "queue": (queue.get,),
    }
    for name, (function, *args) in operations.items():
        context.spawn(park, name, function, *args)
    context.poll()
    lab.equal(context.task_count, len(operations), "parked tasks")
    context.post(lab.surfaced.append, AssertionError("a posted call ran in close"))
    context.close()
    closed = True
    gc.collect()
    lab.equal(ended, dict.fromkeys(operations, "close"), "how the operations ended")
    lab.check(context.closed and stream.closed and listener.closed, "something is still open")
    peer.drain_to_end()


@scenario(
    id="cancel.shutdown-flag-crash",
    law=9,
    provenance="corosio f789d24: null dereference on accept without listen",
)
async def never_registered(lab: Lab) -> None:
    """Operations, cancel and close on an object that was never registered fail cleanly."""
    acceptor = lab.unlistened()
    lab.equal(acceptor.cancel(), 0, "operations ended on a virgin acceptor")
    (await lab.result_of("accept unbound", acceptor.accept)).failed(errno.EINVAL, errno.EOPNOTSUPP)
    acceptor.bind(("127.0.0.1", 0))
    (await lab.result_of("accept bound", acceptor.accept)).failed(errno.EINVAL, errno.EOPNOTSUPP)
    lab.equal(acceptor.cancel(), 0, "operations ended afterwards")
    acceptor.close()
    (await lab.result_of("accept closed", acceptor.accept)).failed(reactor.ClosedError)
    sock = lab.fresh_stream()
    (await lab.result_of("recv unconnected", sock.recv, 1)).failed(errno.ENOTCONN)
    sock.close()
    (await lab.result_of("recv closed", sock.recv, 1)).failed(reactor.ClosedError)


@scenario(
    id="cancel.handed-over-turn",
    law=4,
    provenance="chriskohlhoff/asio#423: handed over, and lost when the waiter looks at its token again",
)
async def handed_over_turn(lab: Lab) -> None:
    """An accept that is cancelled just as its turn came passes the turn on."""
    listener = lab.listener()

    async def accept_and_cancel_the_next() -> None:
        lab.keep(await listener.accept())
        lab.cancel_silently(second)

    first = await lab.parked("first", accept_and_cancel_the_next)
    second = await lab.parked("second", listener.accept)
    third = await lab.parked("third", listener.accept)
    lab.connect_peer(listener)
    (await lab.outcome(first)).get()
    (await lab.outcome(second)).cancelled("cancel")
    peer = lab.connect_peer(listener)
    peer.send(b"for the third")
    stream = lab.keep((await lab.outcome(third)).get())
    lab.equal(await stream.recv(100), b"for the third", "what the third got")


@scenario(
    id="cancel.false-readiness",
    law=4,
    provenance="corosio 477e92f: cancel_pending, a cancel while the operation is in its call; asio a50b53864",
)
async def false_readiness(lab: Lab) -> None:
    """A cancel that comes while the receive is in its call holds when that call finds nothing."""
    ours, theirs = lab.raw_pair()
    thief = lab.keep(ours.dup())
    sock, peer = lab.take(ours), lab.peer(theirs)

    def steal_and_cancel(real: Callable[[], Any]) -> Any:
        thief.recv(100)
        sock.cancel()
        return real()

    recv = await lab.parked("recv", sock.recv, 100)
    rule = lab.fault("recv", answers=[steal_and_cancel], on=sock)
    peer.send(b"stolen")
    (await lab.outcome(recv)).cancelled("cancel")
    lab.equal(rule.times, 1, "receives that were robbed")
    peer.send(b"real")
    lab.equal(await sock.recv(100), b"real", "what the next receive gets")


@scenario(
    id="cancel.partial-receive",
    law=3,
    provenance="tokio AsyncReadExt::read_exact (its manual): not cancellation safe, what was read is lost",
)
async def partial_receive(lab: Lab) -> None:
    """A recv_exactly that is cancelled half way gives back what it had."""
    sock, peer = lab.stream_pair()
    recv = lab.start("recv", sock.recv_exactly, 10)
    peer.send(b"half")
    await lab.settle_parked(recv)
    lab.cancel(recv)
    outcome = (await lab.outcome(recv)).cancelled("cancel")
    lab.equal(outcome.transferred, 4, "bytes taken")
    assert isinstance(outcome.error, reactor.OperationCancelled)
    lab.equal(outcome.error.partial, b"half", "what it had")
    peer.send(b"rest")
    lab.equal(await sock.recv(10), b"rest", "the next receive")
