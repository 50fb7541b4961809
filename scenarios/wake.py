"""Family *wake*: a sleeping loop is woken by whoever has work for it, and by nothing else."""

from __future__ import annotations

import errno
import itertools
import socket
import statistics
from typing import TYPE_CHECKING, Any

import reactor
from harness.outcome import observed
from harness.peer import SAFETY
from harness.scenario import scenario

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from harness.lab import Lab
    from harness.outcome import Outcome
    from harness.provoke import Canary
    from harness.world.threads import Event


class _Watched:
    """A task of a fresh context, whose end the scenario can wait for with its own thread."""

    def __init__(
        self,
        lab: Lab,
        context: reactor.IoContext,
        function: Callable[..., Awaitable[Any]],
        *args: Any,
    ) -> None:
        self._ended = lab.world.event()
        self._outcome: Outcome
        self.task = context.spawn(self._run, function, args)

    async def _run(self, function: Callable[..., Awaitable[Any]], args: tuple[Any, ...]) -> None:
        self._outcome = await observed(function(*args))
        self._ended.set()

    def outcome(self, what: str) -> Outcome:
        """Wait for its end; `what` is said of one that never comes."""
        if not self._ended.wait(SAFETY):
            raise AssertionError(f"{what} never ended")
        return self._outcome


def _post_when_asleep(lab: Lab, context: reactor.IoContext, threads: int, times: int) -> float:
    """Post a call each time the loop has fallen asleep; returns the median seconds until it ran."""
    took = []
    for number in range(times):
        lab.until_asleep(context, threads)
        ran = lab.world.event()
        begin = lab.world.monotonic()
        context.post(ran.set)
        lab.check(ran.wait(SAFETY), f"post {number} to a sleeping loop found nobody")
        took.append(lab.world.monotonic() - begin)
    return statistics.median(took)


def _storm(
    lab: Lab,
    context: reactor.IoContext,
    threads: int,
    each: int,
    post_alone: Callable[..., object],
) -> None:
    """Post `each` calls from four threads at once, most of them to a loop that is held.

    A pipe would be full by then, had each call written its byte (65,536 of them on Linux).
    """
    came: list[list[int]] = [[] for _ in range(4)]
    held = lab.world.event()
    most = lab.world.semaphore()

    def be_held() -> None:
        held.set()
        for _ in came:
            lab.check(most.acquire(timeout=SAFETY), "a post waits for a loop that is busy")

    def post_all(numbers: list[int]) -> None:
        held.wait(SAFETY)
        for number in range(each):
            if number == each * 9 // 10:
                most.release()
            context.post(numbers.append, number)

    posters = [lab.thread(post_all, numbers) for numbers in came]
    post_alone(be_held)
    for poster in posters:
        poster.ended()
    lab.until_asleep(context, threads)
    for numbers in came:
        if threads == 1:  # on several threads the handlers overlap
            lab.check(numbers == sorted(numbers), "the calls of one thread were not run in order")
        lab.equal(len(numbers), each, "calls that ran")
        lab.equal(len(set(numbers)), each, "different calls that ran")


def _fail_wakes(lab: Lab, context: reactor.IoContext, times: int) -> int:
    """Let so many writes of the waker fail, and post once more; returns how many there were."""
    lab.until_asleep(context)
    rule = lab.fault("wake", errno.EAGAIN, repeat=times)
    ran = [lab.world.event() for _ in range(times + 1)]
    for event in ran:
        context.post(event.set)
    for number, event in enumerate(ran):
        lab.check(event.wait(SAFETY), f"post {number} beside {times} failed wake-ups never ran")
    lab.table.clear()
    return rule.times


def _one_turn(lab: Lab, context: reactor.IoContext, threads: int) -> None:
    """Wake the loop once, and count the waits until it sleeps again."""
    lab.until_asleep(context, threads)
    before = context.counters().waits
    ran = lab.world.event()
    context.post(ran.set)
    lab.check(ran.wait(SAFETY), "the post found nobody")
    lab.until_asleep(context, threads)
    waits = context.counters().waits - before
    lab.check(waits <= 2, f"{waits} waits for one wake-up")


@scenario(
    id="wake.post-from-thread",
    law=2,
    provenance="libxev#4; corosio de218ef: the loop slept on, the post had found it awake",
)
async def post_from_thread(lab: Lab) -> None:
    """A call posted from another thread to a loop that sleeps without a timeout runs at once."""
    context = reactor.current_context()
    thread = lab.thread(_post_when_asleep, lab, context, lab.threads, 1000)
    lab.info("median until it ran", f"{(await lab.join(thread)) * 1e6:.0f} µs")


@scenario(
    id="wake.storm",
    law=2,
    provenance="trio WakeupSocketpair: 6 bytes fill it on Linux, 1 on macOS; libkrun#171; mio#909",
)
async def storm(lab: Lab) -> None:
    """Of 100,000 calls posted from four threads none blocks, none is lost and none runs twice."""
    context = reactor.current_context()
    await lab.join(lab.thread(_storm, lab, context, lab.threads, 25_000, lab.post_alone))


@scenario(
    id="wake.coalescing-flag",
    law=2,
    provenance='corosio ca33581: wake_pending_ "stuck true: every subsequent wake is coalesced away"',
)
async def coalescing_flag(lab: Lab) -> None:
    """After a wake-up was taken, and after one could not be written, the next post wakes again."""
    context = lab.fresh_context()
    with lab.running(context):
        _post_when_asleep(lab, context, 1, 1000)
        failed = [_fail_wakes(lab, context, times) for times in (1, 2, 5)]
        _post_when_asleep(lab, context, 1, 10)
    lab.info("wake-ups that could not be written", failed)


@scenario(
    id="wake.no-spin-after",
    law=2,
    provenance="nng#575 (5 M kevents), xenopsd#391, corosio e56eb71, gh-156344: an undrained pipe",
)
async def no_spin_after(lab: Lab) -> None:
    """One wake-up costs one turn, and the loop sleeps on."""
    context = reactor.current_context()
    for _ in range(20):
        await lab.join(lab.thread(_one_turn, lab, context, lab.threads))
    idle = await lab.idle_untimed(0.3)
    lab.check(idle.waits <= 3, f"{idle.waits} waits in 0.3 s after a wake-up")
    await lab.check_no_spin()


@scenario(
    id="wake.self-post",
    law=2,
    clock="fake",
    provenance="the wake-up is left out in the loop's own thread, but its timeout was computed before",
)
async def self_post(lab: Lab) -> None:
    """A call posted from a handler runs on the next turn and in order, although a timer is far."""
    sleep = await lab.parked("sleep", reactor.sleep, 10)
    generations = 5
    before = lab.subject.now()
    order: list[tuple[int, int]] = []
    waits: list[int] = []
    ended = lab.subject.event()

    def call(generation: int, number: int) -> None:
        order.append((generation, number))
        if number < 2:
            return
        waits.append(lab.subject.counters()["waits"])
        if generation == generations:
            ended.set()
            return
        for following in range(3):
            lab.post(call, generation + 1, following)

    lab.post(call, 0, 2)
    await ended.wait()
    lab.equal(lab.subject.now(), before, "the time: nothing was to sleep meanwhile")
    lab.check(waits[-1] - waits[0] <= 2 * generations * lab.threads, f"waits between them: {waits}")
    wanted = [(0, 2), *itertools.product(range(1, generations + 1), range(3))]
    if lab.threads == 1:
        lab.equal(order, wanted, "the order of the calls")
    await lab.settle()
    lab.equal(sorted(order), wanted, "the calls")
    lab.still_parked(sleep)


@scenario(
    id="wake.post-flood-vs-io",
    law=6,
    provenance="libtorrent#757; libevent e3d82497: the queue was drained until it was empty",
)
async def post_flood_vs_io(lab: Lab) -> None:
    """A call that keeps posting itself lets a socket and a timer have their turn."""
    # One thread looks after each round. Where there are more, one that is told of the event may
    # have to wait for the interpreter while rounds go by; only never would be wrong.
    bound = 50 if lab.threads == 1 else 200_000
    sock, peer = lab.stream_pair()
    rounds = 0
    due = lab.subject.now() + 0.002
    begun: dict[str, int] = {}
    ended: dict[str, int] = {}

    async def echo() -> None:
        await sock.sendall(await sock.recv(10))
        ended["echo"] = rounds

    async def tick() -> None:
        await reactor.sleep_until(due)
        ended["timer"] = rounds

    def again() -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 100:
            begun["echo"] = rounds
            peer.send(b"ping")
        if lab.subject.now() >= due:
            begun.setdefault("timer", rounds)
        if len(ended) < 2 and rounds < 1_000_000:
            lab.post(again)

    ops = [await lab.parked("echo", echo), lab.start("timer", tick)]
    lab.post(again)
    for op in ops:
        (await lab.outcome(op)).get()
    for what, when in ended.items():
        late = when - begun.get(what, when)
        lab.check(late <= bound, f"the {what} had to wait for {late} rounds")
    lab.equal(peer.drain(4), b"ping", "the echo")


@scenario(
    id="wake.stop-from-thread",
    law=2,
    provenance="Java-WebSocket#373: a flag was set, and the selector slept on",
)
async def stop_from_thread(lab: Lab) -> None:
    """stop() from another thread ends every run() that is blocked, whatever it waits for."""
    for threads in (1, 3):
        for sleeps in (False, True):
            context = lab.fresh_context()
            with context.work_guard():
                if sleeps:
                    context.spawn(reactor.sleep, 3600)
                    context.poll()
                runners = [lab.thread(context.run) for _ in range(threads)]
                lab.until_asleep(context, threads)
                context.stop()
                for runner in runners:
                    lab.equal(runner.ended(), 0, "handlers run by a run() that was stopped")
            lab.check(context.stopped, "it does not say that it is stopped")


@scenario(
    id="wake.stop-before-run",
    law=2,
    provenance="corosio c6d53a9: the flag was cleared at different points on different backends",
)
async def stop_before_run(lab: Lab) -> None:
    """stop() holds until restart(): run() returns at once meanwhile, and nothing queued is lost."""
    context = lab.fresh_context()
    ran: list[int] = []
    runs = (context.run, context.run_one, context.poll, context.poll_one)

    context.stop()
    for number in range(3):
        context.post(ran.append, number)
    for run in (*runs, lambda: context.run_for(1)):
        lab.equal(run(), 0, "handlers run while stopped")
    context.restart()
    lab.check(not context.stopped, "restart() did not undo the stop")
    lab.equal((context.run(), ran), (3, [0, 1, 2]), "what ran after restart()")

    lab.equal(context.run(), 0, "handlers run without work")
    lab.check(not context.stopped, "a run() without work counts as stopped")
    context.post(ran.append, 3)
    lab.equal(context.run(), 1, "handlers run after a run() without work")

    def stop_here() -> None:
        ran.append(4)
        context.stop()

    context.post(stop_here)
    context.post(ran.append, 5)
    lab.equal((context.run(), ran[4:]), (1, [4]), "what ran until a handler stopped it")
    for run in runs:
        lab.equal(run(), 0, "handlers run after a handler stopped it")
    context.restart()
    lab.equal((context.run(), ran[4:]), (1, [4, 5]), "what ran after that")


@scenario(
    id="wake.run-returns-when-idle",
    law=2,
    provenance="libuv 03f1a6979, 1fe609ea0: the work count leaked, or a kernel timer kept it up",
)
async def run_returns_when_idle(lab: Lab) -> None:
    """run() returns in every thread when its last work ends, also when that is by a cancel."""
    context = lab.fresh_context()
    ours, theirs = lab.raw_pair()
    sock, peer = reactor.StreamSocket.from_socket(ours, context), lab.peer(theirs)

    def received() -> Callable[[], object]:
        context.spawn(sock.recv, 10)
        return lambda: peer.send(b"x")

    def cancelled_recv() -> Callable[[], object]:
        return context.spawn(sock.recv, 10).cancel

    def cancelled_sleep() -> Callable[[], object]:
        return context.spawn(reactor.sleep, 3600).cancel

    def guarded() -> Callable[[], object]:
        return context.work_guard().release

    def closed() -> Callable[[], object]:
        context.spawn(sock.recv, 10)
        return lambda: context.post(sock.close)

    for begin in (received, cancelled_recv, cancelled_sleep, guarded, closed):
        end = begin()
        runners = [lab.thread(context.run) for _ in range(2)]
        lab.until_asleep(context, 2)
        end()
        for runner in runners:
            runner.ended()
        lab.equal(context.run(), 0, f"handlers run after the end of what was {begin.__name__}")


@scenario(
    id="wake.run-does-not-return-early",
    law=2,
    provenance="corosio 9e22ae2: a lookup in progress was not counted as work",
)
async def run_does_not_return_early(lab: Lab) -> None:
    """run() goes on while a thread, a parked operation or a guard is all that is left."""
    context = lab.fresh_context()

    def blocking() -> str:
        lab.until_asleep(context)
        return "from a thread"

    call = context.spawn(reactor.to_thread, blocking)
    context.run()
    lab.check(call.done, "run() returned before a blocking call had")
    lab.equal(call.result(), "from a thread", "the result of the blocking call")

    ours, theirs = lab.raw_pair()
    sock, peer = reactor.StreamSocket.from_socket(ours, context), lab.peer(theirs)

    def send() -> None:
        lab.until_asleep(context)
        peer.send(b"late")

    recv = context.spawn(sock.recv, 10)
    sender = lab.thread(send)
    context.run()
    sender.ended()
    lab.check(recv.done, "run() returned before a parked receive had ended")
    lab.equal(recv.result(), b"late", "what the receive got")

    ran: list[str] = []

    def post_and_release() -> None:
        lab.until_asleep(context)
        context.post(ran.append, "posted")
        guard.release()

    guard = context.work_guard()
    poster = lab.thread(post_and_release)
    context.run()
    poster.ended()
    lab.equal(ran, ["posted"], "what ran under the guard")


@scenario(
    id="wake.add-interest-while-waiting",
    law=2,
    provenance="polling e0789a8; mio#1158; asio aa41681de; epoll_wait(2): added while blocked",
)
async def add_interest_while_waiting(lab: Lab) -> None:
    """An operation that parks in one thread is seen by another that is in the poller already."""
    context = lab.fresh_context()
    ours, theirs = lab.raw_pair(tiny_send=True)
    sock, peer = reactor.StreamSocket.from_socket(ours, context), lab.peer(theirs)
    with lab.running(context, 2):
        for number in range(20):
            recv = _Watched(lab, context, sock.recv, 10)
            lab.until_asleep(context, 2)
            peer.send(b"%d" % number)
            got = recv.outcome("a receive that parked while another thread waited").get()
            lab.equal(got, b"%d" % number, "what it received")
            lab.until_asleep(context, 2)
            peer.send(b"there already")
            ready = _Watched(lab, context, sock.wait_readable)
            ready.outcome("a wait for data that was there").get()
            lab.equal(
                _Watched(lab, context, sock.recv, 20)
                .outcome("a receive of data that was there")
                .get(),
                b"there already",
                "the data that was there",
            )
        data = bytes(100_000)
        send = _Watched(lab, context, sock.sendall, data)
        lab.until_asleep(context, 2)
        lab.equal(len(peer.drain(len(data))), len(data), "bytes that arrived")
        send.outcome("a send that parked while another thread waited").get()


@scenario(
    id="wake.remove-interest-while-waiting",
    law=5,
    provenance='select(2), poll(2) NOTES: closing a monitored descriptor is "unspecified"; epoll(7) Q6',
)
async def remove_interest_while_waiting(lab: Lab) -> None:
    """What leaves the poller while another thread waits in it causes no event, spin or error."""
    context = lab.fresh_context()
    canaries: list[Canary] = []

    def close_and_reuse(sock: reactor.StreamSocket) -> None:
        number = sock.fileno()
        sock.close()
        canaries.append(lab.canary(number))

    with lab.running(context, 2):
        for _ in range(20):
            ours, theirs = lab.raw_pair()
            sock, peer = reactor.StreamSocket.from_socket(ours, context), lab.peer(theirs)
            recv = _Watched(lab, context, sock.recv, 10)
            lab.until_asleep(context, 2)
            lab.equal(sock.cancel(), 1, "operations ended by a cancel during the wait")
            recv.outcome("a receive that was cancelled").cancelled("cancel")
            peer.send(b"left alone")
            lab.until_asleep(context, 2)
            got = _Watched(lab, context, sock.recv, 10).outcome("a receive after a cancel").get()
            lab.equal(got, b"left alone", "what the next receive gets")

            recv = _Watched(lab, context, sock.recv, 10)
            lab.until_asleep(context, 2)
            context.post(close_and_reuse, sock)
            recv.outcome("a receive whose socket was closed").cancelled("close")
            lab.until_asleep(context, 2)
        lab.idle_of(context, 0.2).check()
    for canary in canaries:
        canary.check()


@scenario(
    id="wake.arm-in-callback",
    law=2,
    provenance="zoxy-io/zoxy#209 (libxev); tornado 15ceda22: changes waited for the next batch",
)
async def arm_in_callback(lab: Lab) -> None:
    """An operation that is armed in a continuation is in the very next wait, with no timer to help."""
    left, right = lab.subject_pair()
    rounds = 10_000

    async def answer() -> None:
        for _ in range(rounds):
            await right.sendall(await right.recv(10))

    async def ask() -> int:
        for number in range(rounds):
            question = b"%d" % number
            await left.sendall(question)
            lab.equal(await left.recv(10), question, "the answer")
        return rounds

    ops = [lab.start("answers", answer), lab.start("questions", ask)]
    for op in ops:
        (await lab.outcome(op)).get()


@scenario(
    id="wake.reentrant-run",
    law=8,
    provenance="corosio 2e13bb5: the inner run could not see the outer one's private queue: deadlock",
)
async def reentrant_run(lab: Lab) -> None:
    """Running a context from inside itself is refused; another one runs inside it."""
    context = reactor.current_context()
    inner = lab.fresh_context()
    refused: list[str] = []
    runs = (context.run, context.run_one, context.poll, context.poll_one)

    def nest() -> None:
        for run in runs:
            try:
                run()
            except reactor.ReactorError:
                refused.append(run.__name__)

    def run_inner() -> int:
        inner.post(nest)
        return inner.run()

    wanted = [run.__name__ for run in runs]
    nest()
    lab.equal(refused, wanted, "refused in a task")
    refused.clear()
    ended = lab.subject.event()
    for function in (nest, ended.set):
        lab.post(function)
    await ended.wait()
    await lab.settle()
    lab.equal(refused, wanted, "refused in a posted call")
    refused.clear()
    lab.equal(run_inner(), 1, "handlers that another context ran inside")
    lab.equal(refused, wanted, "refused inside another context")
    lab.check(reactor.current_context() is context, "the inner run() left its mark")


@scenario(
    id="wake.fork-child",
    law=5,
    needs=("fork",),
    provenance="epoll(7) Q6; kqueue(2): not inherited; libuv 6a101e78e; gh-66285; libevent d61b2f33",
)
async def fork_child(lab: Lab) -> None:
    """A forked child that closes its copies does not disturb the parent, and can run a loop anew."""
    context = reactor.current_context()
    sock, peer = lab.stream_pair()

    def refuses() -> None:
        for function, *args in ((context.post, print), (context.spawn, reactor.sleep, 0)):
            try:
                function(*args)
            except reactor.ContextClosedError:
                continue
            raise AssertionError("the parent's context takes work in the child")

    async def echo(left: reactor.StreamSocket, right: reactor.StreamSocket) -> bytes:
        await left.sendall(b"anew")
        await reactor.sleep(0.001)
        return await right.recv(10)

    def close_and_run_anew() -> None:
        refuses()
        sock.close()
        context.close()
        refuses()
        own = lab.fresh_context()
        task = own.spawn(echo, *reactor.StreamSocket.pair(own))
        own.run()
        lab.equal(task.result(), b"anew", "an echo in the child's own context")
        own.close()

    def close_from_inside() -> None:
        refuses()
        sock.close()
        try:
            context.close()
        except reactor.ReactorError:
            return
        raise AssertionError("a context was closed inside its own run()")

    for number in range(2):
        recv = lab.start(f"recv {number}", sock.recv, 100)
        sleep = lab.start(f"sleep {number}", reactor.sleep, 0.2)  # due after the child's close
        thread = lab.when_asleep(lab.forked, close_and_run_anew, op=recv)
        await lab.join(thread)
        lab.forked(close_from_inside)
        (await lab.outcome(sleep)).get()
        peer.send(b"for the parent")
        lab.equal((await lab.outcome(recv)).get(), b"for the parent", "what the parent receives")
    await sock.sendall(b"from the parent")
    lab.equal(peer.drain(15), b"from the parent", "what the parent sends")
    await lab.check_no_spin()


@scenario(
    id="wake.cloexec",
    law=5,
    needs=("exec",),
    provenance="libkqueue#173; tornado 8637a738; mio 9eeaf902: kqueue() took no flags",
)
async def cloexec(lab: Lab) -> None:
    """Everything that a context opens, poller, waker, timer and sockets, is close-on-exec."""
    before = lab.world.descriptors()
    for waker in lab.wakers():
        context = lab.fresh_context(waker)
        context.spawn(reactor.sleep, 0)
        context.run()
    lab.keep(reactor.StreamSocket(socket.AF_INET, context=context))
    for one in (*reactor.StreamSocket.pair(context), reactor.listen_tcp(context=context)):
        lab.keep(one)
    opened = sorted(lab.world.descriptors() - before)
    lab.check(len(opened) > 4, f"only {len(opened)} descriptors: what did it open?")
    for number in opened:
        survives = lab.world.is_inheritable(number)
        lab.check(not survives, "a descriptor would survive exec")
    lab.equal(lab.world.inherited(opened), [], "descriptors that a program inherited")


@scenario(
    id="wake.two-loops-one-fd",
    law=2,
    provenance="polling c7cc91a; epoll(7) Q2: two instances are both told; kqueue: one knote per queue",
    permits={
        "both": "both loops were told",
        "refused": "the second loop would not have it",
    },
)
async def two_loops_one_fd(lab: Lab) -> None:
    """One descriptor in two loops: both are told or the second is refused; the first loses nothing."""
    first, second = lab.fresh_context(), lab.fresh_context()
    ours, theirs = lab.raw_pair()
    peer = lab.peer(theirs)
    sock = reactor.StreamSocket.from_socket(ours, first)
    guest = reactor.StreamSocket.from_socket(lab.borrowed(sock), second)
    with lab.running(first), lab.running(second):
        owner_waits = _Watched(lab, first, sock.wait_readable)
        lab.until_asleep(first)
        guest_waits = _Watched(lab, second, guest.wait_readable)
        lab.until_asleep(second)
        peer.send(b"one")
        owner_waits.outcome("the wait in the first loop").get()
        seen = guest_waits.outcome("the wait in the second loop")
        lab.permit("refused" if seen.kind == "error" else "both")
        second.post(guest.close)
        lab.until_asleep(second)
        got = _Watched(lab, first, sock.recv, 10).outcome("a receive in the first loop")
        lab.equal(got.get(), b"one", "what it received")
        recv = _Watched(lab, first, sock.recv, 10)
        lab.until_asleep(first)
        peer.send(b"two")
        got = recv.outcome("a receive in the first loop, after the second had left")
        lab.equal(got.get(), b"two", "what it received then")


class _DeliberateError(Exception):
    """What a handler of a scenario raises."""


@scenario(
    id="wake.exception-keeps-batch",
    law=10,
    provenance="corosio PR 207 (exception-safe task_cleanup): the rest of the batch was dropped",
)
async def exception_keeps_batch(lab: Lab) -> None:
    """A handler that raises does not cost the others of its batch their event."""
    socks, peers = zip(*(lab.stream_pair() for _ in range(5)), strict=True)
    context = reactor.current_context()

    async def fail(index: int) -> None:
        await socks[index].recv(10)
        raise _DeliberateError(index)

    for index in (0, 2):
        context.spawn(fail, index)
    ops = {index: await lab.parked(f"recv {index}", socks[index].recv, 10) for index in (1, 3, 4)}

    def send_to_all() -> None:
        for index, peer in enumerate(peers):
            peer.send(b"%d" % index)

    lab.post_alone(send_to_all)
    for index, op in ops.items():
        lab.equal((await lab.outcome(op)).get(), b"%d" % index, f"what receive {index} got")
    for _ in range(10_000):
        if len(lab.surfaced) == 2:
            break
        await lab.turns()  # it is on its way out of run(), maybe in another thread
    came = sorted(str(error) for error in lab.surfaced if isinstance(error, _DeliberateError))
    lab.equal(came, ["0", "2"], "what came out of run()")
    lab.surfaced.clear()


@scenario(
    id="wake.mechanism-parity",
    law=2,
    provenance="gaea#69, nng#1232, io-event#72, zig#9685, libxev#163: EVFILT_USER is not everywhere",
)
async def mechanism_parity(lab: Lab) -> None:
    """Every waker that this machine has wakes, coalesces, drains, and gets over a failed write."""
    wakers = lab.wakers()
    lab.check(wakers, "no waker at all")
    lab.info("wakers", wakers)
    for waker in wakers:
        context = lab.fresh_context(waker)
        ours, theirs = lab.raw_pair()
        sock, peer = reactor.StreamSocket.from_socket(ours, context), lab.peer(theirs)
        with lab.running(context):
            _post_when_asleep(lab, context, 1, 100)
            _storm(lab, context, 1, 2000, context.post)
            for _ in range(5):
                _one_turn(lab, context, 1)
            _fail_wakes(lab, context, 2)
            lab.until_asleep(context)
            idle = lab.idle_of(context, 0.1)
            lab.check(idle.waits <= 2, f"{idle.waits} waits in 0.1 s after wake-ups")
            recv = _Watched(lab, context, sock.recv, 10)
            lab.until_asleep(context)
            peer.send(b"beside it")
            lab.equal(recv.outcome("a receive").get(), b"beside it", "what it received")
        with lab.running(_restarted(context), 2):  # a leader, and one behind it
            _post_when_asleep(lab, context, 2, 20)


def _restarted(context: reactor.IoContext) -> reactor.IoContext:
    context.restart()
    return context


@scenario(
    id="wake.thundering-herd",
    law=8,
    strictness="INFO",
    provenance="corosio aa81932, PR 49: notify_all woke every thread for one handler",
)
async def thundering_herd(lab: Lab) -> None:
    """How many of four threads one posted call wakes, and how many turns it costs, is recorded."""
    context = lab.fresh_context()
    posts, threads = 200, 4
    with lab.running(context, threads):
        waits, wakeups = context.counters().waits, lab.wakeups(context)
        _post_when_asleep(lab, context, threads, posts)
        lab.until_asleep(context, threads)
        turns = context.counters().waits - waits
        woken = lab.wakeups(context) - wakeups
    lab.info("threads woken for each post", round(woken / posts, 2))
    lab.info("turns for each post", round(turns / posts, 2))


@scenario(
    id="wake.send-after-close",
    law=5,
    provenance="libuv 37042a5bc: async_send raced the close; gh-131728: a reused number was hit",
)
async def send_after_close(lab: Lab) -> None:
    """What is posted to a closing or closed context is refused, and wakes no descriptor of others."""
    for _ in range(10):
        before = lab.world.descriptors()
        context = lab.fresh_context()
        numbers = sorted(lab.world.descriptors() - before)
        guard = context.work_guard()
        task = context.spawn(reactor.sleep, 3600)
        runner = lab.thread(context.run)
        lab.until_asleep(context)
        begun = lab.world.event()
        closed = lab.world.event()
        poster = lab.thread(_post_until_refused, context, begun, closed)
        begun.wait(SAFETY)
        context.close()
        canaries = [lab.canary(number) for number in numbers]
        closed.set()
        poster.ended()
        runner.ended()
        context.stop()
        task.cancel()
        guard.release()
        for canary in canaries:
            canary.check()


def _post_until_refused(context: reactor.IoContext, begun: Event, closed: Event) -> None:
    """Post at full speed until the context is closed, and some more after that."""
    refused = 0
    while not closed.is_set() or refused < 100:
        try:
            context.post(int)
        except reactor.ContextClosedError:
            refused += 1
        begun.set()
