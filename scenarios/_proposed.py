"""Proposed scenarios, not in the catalogue yet: a name that begins with ``_`` is not loaded.

Each is for a mutant of `tests/harness/test_sensitivity.py` (`UNNOTICED`) that no scenario notices, and
was seen to kill it, and to pass without it on epoll, poll and select with 1 and 3 threads. Before one
moves to its family, its provenance has to be looked up.
"""

from __future__ import annotations

import array
import errno
import socket
import threading
import time
from typing import TYPE_CHECKING
from unittest import mock

import reactor
from harness.peer import check_pattern, pattern
from harness.scenario import scenario

if TYPE_CHECKING:
    from harness.lab import Lab
    from harness.peer import Peer

_DAY = 86_400.0


@scenario(
    id="cancel.handed-over-turn",
    law=4,
    provenance="a mutant that survived: the turn handed to a waiter that is cancelled was lost with it",
)
async def handed_over_turn(lab: Lab) -> None:
    """An accept that is cancelled just as its turn came passes the turn on."""
    # kills a-cancel-takes-back-what-was-handed-over
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


def _thieves(lab: Lab) -> tuple[list[reactor.StreamSocket], list[Peer], list[socket.socket]]:
    """Two streams, their peers, and for each a second descriptor that can take its data away."""
    socks, peers, thieves = [], [], []
    for _ in range(2):
        ours, theirs = lab.raw_pair()
        thieves.append(lab.keep(ours.dup()))
        socks.append(lab.take(ours))
        peers.append(lab.peer(theirs))
    return socks, peers, thieves


@scenario(
    id="partial.false-readiness",
    law=2,
    provenance="asio a50b53864, 484af78b2; select(2) BUGS: readiness that is not true any more",
)
async def false_readiness(lab: Lab) -> None:
    """A receive whose readiness has become false since it was reported goes on waiting."""
    # kills false-readiness-is-the-end
    socks, peers, thieves = _thieves(lab)
    order: list[int] = []

    async def receive(index: int) -> bytes:
        data: bytes = await socks[index].recv(100)
        order.append(index)
        if len(order) == 1:
            # The other one has been told already, in the same batch, and has not run yet.
            try:
                thieves[1 - index].recv(100)
            except BlockingIOError:
                stolen.append(False)  # on another thread it has
            else:
                stolen.append(True)
        return data

    stolen: list[bool] = []
    ops = [await lab.parked(f"recv {index}", receive, index) for index in range(2)]

    def send_both() -> None:
        for peer in peers:
            peer.send(b"first")

    lab.post_alone(send_both)
    await lab.settle()
    first, second = order[0], 1 - order[0]
    lab.equal((await lab.outcome(ops[first])).get(), b"first", "the thief's own")
    if stolen[0]:
        lab.still_parked(ops[second])
        peers[second].send(b"second")
        lab.equal((await lab.outcome(ops[second])).get(), b"second", "what came later")
    else:
        (await lab.outcome(ops[second])).get()


@scenario(
    id="cancel.false-readiness",
    law=4,
    provenance="asio a50b53864; a mutant that survived: a cancel between the event and the read was lost",
)
async def cancel_false_readiness(lab: Lab) -> None:
    """A cancel after readiness was reported holds when that readiness has become false."""
    # kills a-late-cancel-is-forgotten
    socks, peers, thieves = _thieves(lab)
    order: list[int] = []
    stolen: list[bool] = []

    async def receive(index: int) -> bytes:
        data: bytes = await socks[index].recv(100)
        order.append(index)
        if len(order) == 1:
            try:
                thieves[1 - index].recv(100)
            except BlockingIOError:
                stolen.append(False)
            else:
                stolen.append(True)
            socks[1 - index].cancel()
        return data

    ops = [await lab.parked(f"recv {index}", receive, index) for index in range(2)]

    def send_both() -> None:
        for peer in peers:
            peer.send(b"first")

    lab.post_alone(send_both)
    await lab.settle()
    second = 1 - order[0]
    (await lab.outcome(ops[1 - second])).get()
    if stolen[0]:
        (await lab.outcome(ops[second])).cancelled("cancel")
    peers[second].send(b"second")
    lab.equal(await socks[second].recv(100), b"second", "what the next receive gets")


@scenario(
    id="partial.unix-ancillary-boundary",
    law=3,
    needs=("unix", "scm_rights"),
    provenance="unix(7): a read stops at ancillary data, however much is behind it",
)
async def unix_ancillary_boundary(lab: Lab) -> None:
    """A short read before ancillary data does not mean that nothing is behind it."""
    # kills a-short-read-counts-over-unix
    sock, peer = lab.stream_pair("unix")
    recv = await lab.parked("recv", sock.recv, 100)
    with socket.socket() as passed:

        def send_both() -> None:
            rights = array.array("i", [passed.fileno()])
            peer.sock.sendmsg([b"with"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
            peer.send(b"without")

        lab.post_alone(send_both)
        got = bytearray((await lab.outcome(recv)).get())
        while len(got) < len(b"withwithout"):
            got += (await lab.result_of("rest", sock.recv, 100)).get()
    lab.equal(bytes(got), b"withwithout", "the bytes")


@scenario(
    id="partial.failed-send",
    law=3,
    provenance="a mutant that survived: `transferred` of an OSError; asyncio's sock_sendall does not say",
)
async def failed_send(lab: Lab) -> None:
    """A sendall that fails half way says how much went out."""
    # kills progress-is-lost-on-an-error
    sock, peer = lab.stream_pair(tiny_send=True)
    data = pattern(1 << 20)
    send = await lab.parked("sendall", sock.sendall, data)
    drained = peer.drain(100)
    check_pattern(drained)
    peer.reset()
    outcome = (await lab.outcome(send)).failed(ConnectionResetError, BrokenPipeError)
    lab.check(
        100 <= outcome.transferred < len(data), f"{outcome.transferred} bytes are said to be out"
    )


@scenario(
    id="cancel.partial-receive",
    law=3,
    provenance="a mutant that survived: `partial` of a cancelled recv_exactly was lost",
)
async def partial_receive(lab: Lab) -> None:
    """A recv_exactly that is cancelled half way gives back what it had."""
    # kills what-a-cancelled-recv-exactly-had-is-lost
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


@scenario(
    id="wake.failed-write",
    law=2,
    provenance="corosio ca33581: a failed write to the waker was taken for done, all later coalesced",
)
async def failed_write(lab: Lab) -> None:
    """After a wake-up that failed, the next one wakes the loop."""
    # kills a-failed-wake-up-counts-as-done
    sock, _ = lab.stream_pair()
    recv = lab.start("recv", sock.recv, 10)
    rule = lab.fault("wake", errno.EAGAIN)

    def post_twice() -> None:
        lab.post(lambda: None)
        lab.post(recv.task.cancel)

    thread = lab.when_asleep(post_twice, op=recv)
    (await lab.outcome(recv)).cancelled("cancel")
    await lab.join(thread)
    if not rule.times:
        lab.unsupported("this waker is no descriptor")


@scenario(
    id="timer.event-flood",
    law=6,
    provenance="joyent/libuv#657; curio#106: timers ran only when the poll was empty",
)
async def event_flood(lab: Lab) -> None:
    """Timers fire while every single poll has an event to report."""
    # kills events-keep-the-timers-waiting
    left, right = lab.subject_pair()
    limit = 20_000
    rounds = 0
    ticked = False

    async def ping() -> None:
        nonlocal rounds
        while not ticked and rounds < limit:
            await left.sendall(b"x")
            await left.recv(1)
            rounds += 1
        left.close()

    async def pong() -> None:
        while data := await right.recv(1):
            await right.sendall(data)

    async def tick() -> None:
        nonlocal ticked
        await reactor.sleep(0.001)
        ticked = True

    ops = [lab.start("tick", tick), lab.start("pong", pong), lab.start("ping", ping)]
    for op in ops:
        (await lab.outcome(op)).get()
    lab.check(rounds < limit, f"a timer of 1 ms had to wait for {rounds} rounds")


@scenario(
    id="timer.clock-jump-in-mid-sleep",
    law=7,
    clock="fake",
    provenance="tornado 88664396, a5e7ee7a; libuv 4685be236: deadlines on the wall clock",
)
async def clock_jump_in_mid_sleep(lab: Lab) -> None:
    """A jump of the wall clock by a day, either way, while a timer is armed changes nothing."""
    # kills deadlines-are-on-the-wall-clock
    real = time.time
    for jump in (-_DAY, _DAY):
        begin = lab.clock.monotonic()
        sleep = lab.start("sleep", reactor.sleep, 5)
        await lab.turns(2)
        with mock.patch("time.time", lambda jump=jump: real() + jump):
            (await lab.outcome(sleep)).get()
        slept = lab.clock.monotonic() - begin
        lab.check(5 <= slept < 6, f"a sleep of 5 s took {slept} s")


@scenario(
    id="timer.set-anew",
    law=7,
    provenance="Asio: expires_after cancels the pending waits; twisted PR 1232",
)
async def set_anew(lab: Lab) -> None:
    """Setting a timer anew ends the waits for the old deadline, and says how many."""
    # kills setting-a-timer-anew-leaves-its-waits
    timer = lab.timer()
    timer.expires_after(3600)
    waits = [await lab.parked(f"wait {number}", timer.wait) for number in range(2)]
    lab.equal(timer.expires_after(0.001), 2, "waits ended")
    for wait in waits:
        (await lab.outcome(wait)).cancelled("cancel")
    (await lab.result_of("anew", timer.wait)).get()
    lab.equal(timer.expires_after(0.001), 0, "waits ended when nobody waits")


@scenario(
    id="timer.cancelled-heads",
    law=7,
    provenance="libevent b2192269: lazy deletion woke the loop for nothing",
)
async def cancelled_heads(lab: Lab) -> None:
    """Twenty cancelled timers before the next one do not wake the loop."""
    # kills a-cancelled-head-wakes-the-loop
    heads = [await lab.parked(f"head {n}", reactor.sleep, 0.1 + n / 100) for n in range(20)]
    tail = await lab.parked("tail", reactor.sleep, 0.4)
    for head in heads:
        lab.cancel(head)
        (await lab.outcome(head)).cancelled()
    await lab.settle()
    before = lab.subject.counters()["waits"]
    (await lab.outcome(tail)).get()
    waits = lab.subject.counters()["waits"] - before
    lab.check(waits <= 3, f"{waits} waits for one timer")


@scenario(
    id="connect.refused",
    law=9,
    provenance="connect(2): SO_ERROR says how it went once the socket is writable",
)
async def refused(lab: Lab) -> None:
    """A connect to where nobody listens is refused."""
    # kills a-connect-does-not-look-at-its-error, if the refusal comes later
    sock = lab.fresh_stream()
    connect = await lab.result_of("connect", sock.connect, lab.refused_address())
    connect.failed(ConnectionRefusedError)
    fake = lab.fresh_stream()
    lab.fault("getsockopt", answers=[lambda _: errno.ECONNREFUSED], on=fake)
    crowd = lab.crowd()
    late = await lab.parked("late", fake.connect, crowd.address)
    await lab.join(lab.thread(crowd.accept_all))
    accepter = lab.thread(crowd.accept_all)
    (await lab.outcome(late)).failed(ConnectionRefusedError)
    await lab.join(accepter)


@scenario(
    id="close.description-lives-on",
    law=5,
    provenance="epoll(7) Q6: a closed descriptor goes on being reported while a duplicate is open",
)
async def description_lives_on(lab: Lab) -> None:
    """A closed socket whose description lives on in a duplicate is not reported any more."""
    # kills close-does-not-leave-the-poller, close-comes-before-leaving-the-poller (epoll)
    ours, theirs = lab.raw_pair()
    lab.keep(ours.dup())
    sock, peer = lab.take(ours), lab.peer(theirs)
    recv = await lab.parked("recv", sock.recv, 10)
    sock.close()
    (await lab.outcome(recv)).cancelled("close")
    await lab.settle()
    before = lab.subject.counters()["waits"]

    def send() -> None:
        pause = threading.Event()
        for _ in range(20):
            peer.send(b"x")
            pause.wait(0.005)

    await lab.join(lab.thread(send))
    waits = lab.subject.counters()["waits"] - before
    lab.check(waits <= 5, f"{waits} waits for events of a closed socket")
