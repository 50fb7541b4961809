"""Family *timer*: never early, in order, cheap when far, and nobody's clock but the monotonic one."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING
from unittest import mock

import reactor
from harness.scenario import scenario

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from harness.lab import Lab

_DAY = 86_400.0
_FAR = {"25 days": 25 * _DAY, "10 years": 3650 * _DAY, "1e18 s": 1e18, "for ever": math.inf}


async def _forever() -> None:
    await reactor.sleep(math.inf)


@scenario(
    id="timer.never-early",
    law=7,
    clock="fake",
    provenance="libuv PR 168 (epoll_wait returned up to 10 ms early); asio cd952893a",
)
async def never_early(lab: Lab) -> None:
    """A timer does not fire before its deadline, also when the kernel returns early."""
    for early in (0.0001, 0.001, 0.003, 0.01):
        deadline = lab.subject.now() + 0.02
        lab.clock.early(early, early / 2)
        await lab.subject.sleep(0.02)
        lab.check(lab.subject.now() >= deadline, f"fired early when the kernel was {early} s early")


@scenario(
    id="timer.never-early-live",
    law=7,
    provenance="libuv PR 168; the same on the real clock, where milliseconds are rounded",
)
async def never_early_live(lab: Lab) -> None:
    """On the real clock too, sleeps of 0.1 to 20 ms are never too short."""
    for microseconds in (100, 300, 500, 999, 1000, 1001, 1500, 3700, 10_700, 20_000):
        before = lab.subject.now()
        await lab.subject.sleep(microseconds / 1e6)
        slept = lab.subject.now() - before
        lab.check(slept >= microseconds / 1e6, f"slept {slept} s instead of {microseconds} µs")


@scenario(
    id="timer.no-spin-before-deadline",
    law=2,
    provenance="python/asyncio#106 (918 polls), smol#109, bun#34780, ceph#60265, mio a07049d6",
)
async def no_spin_before_deadline(lab: Lab) -> None:
    """A remainder below the poller's resolution costs at most one extra wait, not a burst."""
    await lab.settle()
    for milliseconds in (0.3, 0.5, 1.5, 2.4, 10.7):
        before = lab.subject.counters()["waits"]
        await lab.subject.sleep(milliseconds / 1000)
        waits = lab.subject.counters()["waits"] - before
        lab.check(waits <= 3, f"{waits} waits for a sleep of {milliseconds} ms")


@scenario(
    id="timer.resolution",
    law=7,
    strictness="INFO",
    provenance="asyncio medians probed: epoll 1.184, poll 1.165, select 0.434 ms for 0.3 ms",
)
async def resolution(lab: Lab) -> None:
    """The lateness of short sleeps is recorded."""
    late = []
    for _ in range(200):
        before = lab.subject.now()
        await lab.subject.sleep(0.0003)
        late.append(lab.subject.now() - before)
    late.sort()
    lab.info("median of 0.3 ms sleeps", f"{late[100] * 1000:.3f} ms")


@scenario(
    id="timer.far-future",
    law=7,
    provenance="twisted#6259, curio#377, uvloop#259, bitcoin#12375, erlang/otp#5339, netty#13503; "
    "OpenBSD kqueue(2) BUGS; CPython: OverflowError above 2**31 ms",
)
async def far_future(lab: Lab) -> None:
    """Deadlines of 25 days, 10 years and 1e18 s neither raise nor fire, and I/O goes on."""
    sock, peer = lab.stream_pair()
    for name, seconds in _FAR.items():
        timer = lab.timer()
        timer.expires_after(seconds)
        waits = [
            await lab.parked(f"timer {name}", timer.wait),
            await lab.parked(f"sleep {name}", reactor.sleep, seconds),
            await lab.parked(f"timeout {name}", lab.subject.within, seconds, _forever),
        ]
        recv = await lab.parked(f"recv beside {name}", sock.recv, 10)
        lab.post(peer.send, b"ping")
        lab.equal((await lab.outcome(recv)).get(), b"ping", "the receive")
        await lab.check_no_spin(0.05)
        for wait in waits:
            lab.still_parked(wait)
            lab.cancel(wait)
            (await lab.outcome(wait)).cancelled()
    if lab.world.virtual:  # then they cost nothing: live them through
        before = lab.subject.now()
        await lab.subject.sleep(_FAR["10 years"])
        slept = lab.subject.now() - before
        lab.check(0 <= slept - _FAR["10 years"] < 1, f"ten years took {slept} s")
        lab.info("seconds waited", round(slept))


@scenario(
    id="timer.infinite",
    law=2,
    provenance="corosio 412e747 (a negative timeout became an indefinite block); nginx c108f04e8",
)
async def infinite(lab: Lab) -> None:
    """With no timer the loop blocks until something happens, in one wait."""
    idle = await lab.idle_untimed(0.3)
    lab.check(idle.waits <= 3, f"{idle.waits} waits in 0.3 s without a timer")


@scenario(
    id="timer.capped-wait-is-silent",
    law=7,
    clock="fake",
    provenance="ntf-core#268; libuv 70002c80b",
)
async def capped_wait_is_silent(lab: Lab) -> None:
    """When a wait is cut short by a cap, nothing fires, and it starts again."""
    lab.clock.cap(_DAY)
    sleep = lab.start("sleep", reactor.sleep, 10 * _DAY)
    begin = lab.subject.now()
    (await lab.outcome(sleep)).get()
    elapsed = lab.subject.now() - begin
    lab.check(elapsed >= 10 * _DAY, f"a sleep of ten days took {elapsed} s")
    long = [wait for wait in lab.clock.waits if wait is not None and wait > _DAY]
    lab.equal(long, [], "waits of more than a day")
    lab.check(len(lab.clock.waits) < 40, f"{len(lab.clock.waits)} waits for ten days")


@scenario(
    id="timer.same-deadline-fifo",
    law=7,
    clock="fake",
    provenance="asyncio 3.11 to 3.13: 0, 2, 6, 14, 30, 62 ...; trio 0.22: reversed; libuv fadfeaf6e",
)
async def same_deadline_fifo(lab: Lab) -> None:
    """Timers with the same deadline fire in the order in which they were set."""
    order: list[int] = []
    deadline = lab.subject.now() + 1

    async def wait(number: int) -> None:
        await reactor.sleep_until(deadline)
        order.append(number)

    ops = [lab.start(f"sleep {number}", wait, number) for number in range(200)]
    for op in ops:
        (await lab.outcome(op)).get()
    if lab.threads == 1:  # on several threads the handlers overlap
        lab.equal(order, list(range(200)), "the order of firing")
    lab.equal(sorted(order), list(range(200)), "the timers that fired")


@scenario(
    id="timer.deadline-order-when-late",
    law=7,
    clock="fake",
    provenance="perry#6287; nodejs/node#46644: lists per duration, not one queue",
)
async def deadline_order_when_late(lab: Lab) -> None:
    """Overdue timers fire in the order of their deadlines, not of their creation."""
    order: list[int] = []

    async def wait(milliseconds: int) -> None:
        await reactor.sleep(milliseconds / 1000)
        order.append(milliseconds)

    ops = [lab.start(f"sleep {number}", wait, number) for number in (30, 10, 20, 5, 40)]
    await lab.turns(2)
    lab.post(lab.clock.advance, 0.05)
    for op in ops:
        (await lab.outcome(op)).get()
    if lab.threads == 1:
        lab.equal(order, [5, 10, 20, 30, 40], "the order of firing")


@scenario(
    id="timer.zero-delay-yields",
    law=6,
    provenance="corosio 388d4b7; libuv 51a22f60d; gh-95051",
)
async def zero_delay_yields(lab: Lab) -> None:
    """sleep(0) always gives others a turn, and lets ready I/O in."""
    sock, peer = lab.stream_pair()
    recv = await lab.parked("recv", sock.recv, 10)
    peer.send(b"ready")
    # One thread asks the poller itself, every turn. Where there are more, the one that is told may
    # have to wait for the interpreter while turns go by; only never would be wrong.
    bound = 20 if lab.threads == 1 else 200_000
    turns = 0
    while not recv.done and turns <= bound:
        await reactor.sleep(0)
        turns += 1
    lab.check(turns <= bound, f"ready I/O had to wait for {turns} turns of sleep(0)")
    lab.equal((await lab.outcome(recv)).get(), b"ready", "the receive")


@scenario(
    id="timer.rearm-zero-in-callback",
    law=6,
    provenance='libuv 51a22f60d: "0 timeout ... infinite loop" when set from a timer callback',
)
async def rearm_zero_in_callback(lab: Lab) -> None:
    """A timer that sets itself anew with zero delay does not live-lock the timer phase."""
    sock, peer = lab.stream_pair()
    # On several threads the one that is told may have to wait for a processor while rounds go by.
    bound = 5000 if lab.threads == 1 else 200_000
    rounds = sent = 0
    echoed = -1

    async def rearm() -> None:
        nonlocal rounds
        timer = lab.timer()
        while echoed < 0 and rounds <= sent + bound:
            timer.expires_after(0)
            await timer.wait()
            rounds += 1

    async def echo() -> None:
        nonlocal echoed
        await sock.sendall(await sock.recv(10))
        echoed = rounds

    waiting = await lab.parked("echo", echo)
    loop = lab.start("rearm", rearm)
    await lab.turns(5)
    sent = rounds
    peer.send(b"ping")
    for op in (waiting, loop):
        (await lab.outcome(op)).get()
    lab.check(echoed <= sent + bound, f"the echo had to wait for {echoed - sent} rounds")
    lab.equal(peer.drain(4), b"ping", "the echo")


@scenario(
    id="timer.cancel-in-callback",
    law=7,
    clock="fake",
    provenance="tornado 7bf3b143; mio 9f17b70d: the batch had already been taken out",
)
async def cancel_in_callback(lab: Lab) -> None:
    """A handler that cancels a timer due in the same batch can rely on it: it does not fire."""
    first, second = lab.timer(), lab.timer()
    deadline = lab.subject.now() + 1
    for timer in (first, second):
        timer.expires_at(deadline)
    ended = []

    async def wait_and_cancel() -> None:
        await first.wait()
        ended.append(second.cancel())

    ops = [lab.start("first", wait_and_cancel), lab.start("second", second.wait)]
    (await lab.outcome(ops[0])).get()
    outcome = await lab.outcome(ops[1])
    if lab.threads == 1:
        lab.equal(ended, [1], "waits that the cancel ended")
    if ended == [1]:
        outcome.cancelled("cancel")
    else:
        outcome.get()


@scenario(
    id="timer.cancel-self-in-callback",
    law=7,
    clock="fake",
    provenance="index into the heap was reset before the callback: a classic of intrusive heaps",
)
async def cancel_self_in_callback(lab: Lab) -> None:
    """Cancelling the timer that is firing is a no-op and leaves a thousand others in order."""
    base = lab.subject.now()
    order: list[int] = []

    async def other(number: int) -> None:
        await reactor.sleep_until(base + 2 + number / 1000)
        order.append(number)

    async def self_cancel() -> int:
        timer = lab.timer()
        timer.expires_at(base + 1)
        await timer.wait()
        ended: int = timer.cancel()
        return ended

    numbers = list(range(1000))
    lab.rng.shuffle(numbers)
    async with reactor.TaskGroup() as group:
        for number in numbers:
            group.spawn(other, number)
        ended = await lab.result_of("self", self_cancel)
        lab.equal(ended.get(), 0, "waits ended by the own cancel")
    if lab.threads == 1:
        lab.equal(order, sorted(numbers), "the order of the others")
    lab.equal(sorted(order), sorted(numbers), "the others that fired")


@scenario(
    id="timer.earlier-than-current-sleep",
    law=7,
    provenance="corosio de218ef (stale on ARM64); libevent b2192269; asio 83a1c6380",
)
async def earlier_than_current_sleep(lab: Lab) -> None:
    """A new earliest deadline set by another thread shortens the sleep in progress."""
    scopes: list[reactor.CancelScope] = []

    async def long() -> None:
        with reactor.timeout(3600) as scope:
            scopes.append(scope)
            await _forever()

    op = await lab.parked("long", long)

    def shorten() -> None:
        scopes[0].reschedule(lab.subject.now() + 0.02)
        # The end of this thread would wake the loop, and hide that the deadline did not.
        while not op.done:
            lab.world.pause(0.001)

    thread = lab.when_asleep(shorten, op=op)
    (await lab.outcome(op)).failed(TimeoutError)
    await lab.join(thread)


@scenario(
    id="timer.past-deadline",
    law=7,
    provenance="corosio 412e747; gh-75967; gh-75515; illumos-gate#136; nginx c108f04e8",
)
async def past_deadline(lab: Lab) -> None:
    """A deadline in the past, however far, is due at the next turn and never means "for ever"."""
    for delay in (-1e-9, -1.0, -1e9, -1e18, -math.inf):
        (await lab.result_of(f"sleep {delay}", reactor.sleep, delay)).get()
        (await lab.result_of(f"until {delay}", reactor.sleep_until, delay)).get()
        timer = lab.timer()
        timer.expires_after(delay)
        (await lab.result_of(f"timer {delay}", timer.wait)).get()
        cut = await lab.outcome(lab.start_within(f"timeout {delay}", delay, _forever))
        cut.failed(TimeoutError)
    for number, function in enumerate((reactor.sleep, reactor.sleep_until)):
        (await lab.result_of(f"NaN {number}", function, math.nan)).failed(ValueError)


@scenario(
    id="timer.timerfd-zero",
    law=7,
    provenance="timerfd_create(2): an it_value of zero disarms the timer",
)
async def timerfd_zero(lab: Lab) -> None:
    """A deadline that is exactly now fires."""
    timer = lab.timer()
    for _ in range(50):
        timer.expires_at(lab.subject.now())
        await timer.wait()
        await reactor.sleep_until(lab.subject.now())
        # Due within a nanosecond: whatever is left when it is armed, it must not be zero.
        await reactor.sleep(1e-9)


@scenario(
    id="timer.kernel-timer-drained",
    law=2,
    provenance="corosio e56eb71: a level-triggered timerfd that was not read",
)
async def kernel_timer_drained(lab: Lab) -> None:
    """A timer that has fired does not keep the loop awake."""
    await reactor.sleep(0.005)
    idle = await lab.idle_untimed()
    lab.check(idle.waits <= 3, f"{idle.waits} waits after a timer had fired")
    await lab.check_no_spin()


@scenario(
    id="timer.kernel-timer-stale",
    law=2,
    provenance="polling c20f0e7 (#250): the timerfd stayed armed",
)
async def kernel_timer_stale(lab: Lab) -> None:
    """A wait without a timer is not cut short by the deadline of an earlier one."""
    sock, peer = lab.stream_pair()
    recv = lab.start_within("recv", 0.4, sock.recv, 10)
    await lab.settle()
    peer.send(b"early")
    lab.equal((await lab.outcome(recv)).get(), b"early", "the receive")
    # One wait, in which it sleeps until the helper thread calls; a second one is the old timer's.
    idle = await lab.idle_untimed(0.5)
    lab.check(idle.waits <= 1, f"{idle.waits} waits, though no timer was armed any more")


@scenario(
    id="timer.reschedule",
    law=7,
    clock="fake",
    provenance="twisted PR 1232; libevent 8c36acd0; corosio reheapify test; DragonFly re-EV_ADD",
)
async def reschedule(lab: Lab) -> None:
    """Moved deadlines take effect, once each, and leave the order of the others alone."""
    base = lab.subject.now() + 10
    scopes: dict[int, reactor.CancelScope] = {}
    fired: list[tuple[int, float]] = []

    async def wait(number: int) -> None:
        with reactor.CancelScope(base + number) as scope:
            scopes[number] = scope
            await _forever()
        fired.append((number, lab.subject.now()))

    async with reactor.TaskGroup() as group:
        for number in range(50):
            group.spawn(wait, number)
        await lab.settle()
        for _ in range(1000):
            scopes[lab.rng.randrange(50)].reschedule(base + lab.rng.random() * 100)
    wanted = sorted(range(50), key=lambda number: scopes[number].deadline)
    if lab.threads == 1:
        lab.equal([number for number, _ in fired], wanted, "the order of firing")
    for number, when in fired:
        lab.check(when >= scopes[number].deadline, f"timer {number} fired early")


@scenario(
    id="timer.mass",
    law=7,
    clock="fake",
    patience=5,
    provenance="wpull#166, asyncpg#831: cancelled entries stayed in the heap; corosio TimerFreeList",
)
async def mass(lab: Lab) -> None:
    """50,000 timers, 90 % cancelled at random: the rest fire in order, and nothing is left."""
    total = 50_000 if lab.threads == 1 else 10_000  # several threads only contend for them
    base = lab.subject.now() + 1
    fired: list[float] = []

    async def wait(deadline: float) -> None:
        await reactor.sleep_until(deadline)
        fired.append(deadline)

    context = reactor.current_context()
    deadlines = [base + lab.rng.random() * 1000 for _ in range(total)]
    tasks = [context.spawn(wait, deadline) for deadline in deadlines]
    for _ in range(10_000):
        if context.timer_count == total:
            break
        await lab.turns()
    lab.equal(context.timer_count, total, "armed timers")
    keep = set(lab.rng.sample(range(total), total // 10))
    for number, task in enumerate(tasks):
        if number not in keep:
            task.cancel()
    lab.equal(context.timer_count, len(keep), "timers left armed")
    garbage = context.dump().data["timers"]["garbage"]
    lab.check(garbage <= len(keep) + 64, f"{garbage} dead entries beside {len(keep)} live ones")
    for number in keep:
        await tasks[number]
    expected = sorted(deadlines[number] for number in keep)
    lab.equal((fired if lab.threads == 1 else sorted(fired)) == expected, True, "fired in order")
    lab.equal(context.timer_count, 0, "timers left")


@scenario(
    id="timer.cancelled-head",
    law=7,
    clock="fake",
    provenance="libevent b2192269: lazy deletion woke the loop for nothing",
)
async def cancelled_head(lab: Lab) -> None:
    """Cancelled timers before the next one neither wake the loop nor keep run() from returning."""
    # So many that a wait for each cannot be mistaken for the one or two that are allowed.
    heads = [await lab.parked(f"head {n}", reactor.sleep, 10 + n) for n in range(20)]
    tail = await lab.parked("tail", reactor.sleep, 40)
    for head in heads:
        lab.cancel(head)
        (await lab.outcome(head)).cancelled()
    await lab.settle()
    before = lab.subject.counters()["waits"]
    (await lab.outcome(tail)).get()
    waits = lab.subject.counters()["waits"] - before
    lab.check(waits <= 3, f"{waits} waits for one timer")

    context = lab.fresh_context()
    task = context.spawn(reactor.sleep, 3600)
    context.poll()
    task.cancel()
    context.run()
    lab.check(task.done, "run() returned with the task undone")


@scenario(
    id="timer.idle-no-fds",
    law=2,
    provenance="curio#156 / bpo-29255: kevent with no events returns at once; epoll maxevents 0",
)
async def idle_no_fds(lab: Lab) -> None:
    """With a timer and no descriptor the loop sleeps."""
    context = lab.fresh_context()
    context.spawn(reactor.sleep, 0.2)
    context.run()
    waits = context.counters().waits
    lab.check(waits <= 4, f"{waits} waits for one sleep of 0.2 s")


@scenario(
    id="timer.signal-storm",
    law=7,
    needs=("setitimer",),
    provenance="bun#34780; micropython#216; bpo-35310: the timeout was restarted in full",
)
async def signal_storm(lab: Lab) -> None:
    """Under 1 kHz of signals a timer still fires, and no phantom event ends a receive."""
    sock, peer = lab.stream_pair()
    recv = await lab.parked("recv", sock.recv, 10)
    with lab.signal_storm() as count:
        before = lab.subject.now()
        await reactor.sleep(0.2)
        slept = lab.subject.now() - before
    lab.check(slept >= 0.2, f"slept only {slept} s")
    lab.info("signals", count[0])
    lab.still_parked(recv)
    peer.send(b"real")
    lab.equal((await lab.outcome(recv)).get(), b"real", "the receive")


@scenario(
    id="timer.clock-jump",
    law=7,
    clock="fake",
    provenance="tornado 88664396, a5e7ee7a; libuv 4685be236: deadlines on the wall clock",
)
async def clock_jump(lab: Lab) -> None:
    """A jump of the wall clock by a day, either way, while a timer is armed changes nothing."""
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
    id="timer.run-for-bound",
    law=7,
    clock="fake",
    provenance="corosio f34a1ba, 412e747: the bound was ignored in nested waits",
)
async def run_for_bound(lab: Lab) -> None:
    """run_for and run_one end at their bound, with nothing to do and with work that never ends."""

    async def tick() -> None:
        while True:
            await reactor.sleep(0.001)

    async def spin() -> None:
        while True:
            lab.clock.advance(0.001)  # each turn takes a millisecond
            await reactor.sleep(0)

    context = lab.fresh_context()
    bounds: list[tuple[str, Callable[[], int]]] = [
        ("run_for", lambda: context.run_for(0.5)),
        ("run_one", lambda: context.run_one(0.5)),
    ]
    with context.work_guard():
        for name, call in bounds:
            begin = lab.subject.now()
            lab.equal(call(), 0, f"handlers run by an idle {name}")
            took = lab.subject.now() - begin
            lab.check(0.5 <= took < 0.502, f"an idle {name}(0.5) took {took} s")
    lab.equal(context.run_for(0.5), 0, "handlers run without work")
    work: list[Callable[[], Awaitable[None]]] = [tick, spin]
    for function in work:
        task = context.spawn(function)
        begin = lab.subject.now()
        lab.check(context.run_for(0.5) > 100, "it ran next to nothing")
        took = lab.subject.now() - begin
        lab.check(0.5 <= took < 0.51, f"run_for(0.5) beside endless work took {took} s")
        task.cancel()
        context.run()


@scenario(
    id="timer.timeout-and-io-same-turn",
    law=7,
    clock="fake",
    provenance="libevent 342a0faa, 38ec0a77: on a timeout the events were dropped, or the reverse",
)
async def timeout_and_io_same_turn(lab: Lab) -> None:
    """When one wait covers a deadline and readiness, neither is lost."""
    sock, peer = lab.stream_pair()
    recv = await lab.parked("recv", sock.recv, 10)
    sleep = lab.start("sleep", reactor.sleep, 5)
    await lab.turns(2)

    def both() -> None:
        peer.send(b"data")
        lab.clock.advance(10)

    lab.post(both)
    lab.equal((await lab.outcome(recv)).get(), b"data", "the receive")
    (await lab.outcome(sleep)).get()


@scenario(
    id="timer.io-flood-starvation",
    law=6,
    provenance="joyent/libuv#657 (UDP); curio#106: timers ran only when the poll was empty",
)
async def io_flood_starvation(lab: Lab) -> None:
    """Timers fire while every single poll has an event to report."""
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
    id="timer.shutdown-owned",
    law=5,
    provenance="corosio 07fab88: the heap was changed while it was iterated, entries freed twice",
)
async def shutdown_owned(lab: Lab) -> None:
    """Closing a context with a hundred sleepers ends each once and leaves no timer."""
    context = lab.fresh_context()
    ended: list[int] = []

    async def sleeper(number: int) -> None:
        timer = reactor.Timer()
        timer.expires_after(3600 + number)
        try:
            with reactor.timeout(7200):
                await timer.wait()
        finally:
            ended.append(number)

    for number in range(100):
        context.spawn(sleeper, number)
    context.poll()
    lab.equal(context.timer_count, 200, "armed timers")
    context.close()
    lab.equal(sorted(ended), list(range(100)), "sleepers that ended")
    lab.equal(context.timer_count, 0, "timers left")


@scenario(
    id="timer.set-anew",
    law=7,
    provenance="Asio: expires_after cancels the pending waits; twisted PR 1232",
)
async def set_anew(lab: Lab) -> None:
    """Setting a timer anew ends the waits for the old deadline, and says how many."""
    timer = lab.timer()
    timer.expires_after(3600)
    waits = [await lab.parked(f"wait {number}", timer.wait) for number in range(2)]
    lab.equal(timer.expires_after(0.001), 2, "waits ended")
    for wait in waits:
        (await lab.outcome(wait)).cancelled("cancel")
    (await lab.result_of("anew", timer.wait)).get()
    lab.equal(timer.expires_after(0.001), 0, "waits ended when nobody waits")
