"""Family *stress*: everything at once, and afterwards every count adds up."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING

import reactor
from harness.outcome import observed
from harness.peer import check_pattern, pattern
from harness.scenario import scenario

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from harness.lab import Lab
    from harness.outcome import Outcome
    from harness.peer import Peer


#: How many calls each thread is ahead of the loop at most.
_AHEAD = 2500

#: Rounds of each kind at least, however soon the calls have come.
_ROUNDS = 20


@scenario(
    id="stress.everything-at-once",
    law=1,
    provenance="corosio 069ba7e, d249ac3; libuv 1fe609ea0: each right by itself, wrong together",
)
async def everything_at_once(lab: Lab) -> None:
    """Posts, echoes, timers, and cancels of timers and receives at once: nothing is lost or doubled."""
    context = reactor.current_context()
    posts, posters = 100_000, 4
    each = posts // posters
    came: list[list[int]] = [[] for _ in range(posters)]
    spawned = lab.subject.counters()["tasks_spawned"]

    def post_all(numbers: list[int]) -> None:
        for number in range(each):
            # Not all of it in one turn: the rest is to go on beside it.
            while number - len(numbers) > _AHEAD:
                lab.world.pause(0.0005)
            context.post(numbers.append, number)

    def going_on() -> bool:
        return sum(map(len, came)) < posts

    echoes = [lab.start(f"echo {n}", _echo, going_on, *lab.subject_pair()) for n in range(2)]
    timers = [
        lab.start(f"timers {n}", _timers, going_on, lab, random.Random(lab.rng.random()))
        for n in range(2)
    ]
    receives = [
        lab.start(f"receives {n}", _receives, going_on, *lab.stream_pair()) for n in range(2)
    ]
    threads = [lab.thread(post_all, numbers) for numbers in came]
    for thread in threads:
        await lab.join(thread)
    counts = [Counter((await lab.outcome(op)).get()) for op in (*echoes, *timers, *receives)]
    total = sum(counts, Counter[str]())

    for numbers in came:
        if lab.threads == 1:  # on several threads the handlers overlap
            lab.check(numbers == sorted(numbers), "the calls of one thread were not run in order")
        lab.equal(len(numbers), each, "calls that one thread posted and that ran")
        lab.equal(len(set(numbers)), each, "different calls of one thread that ran")
    lab.equal(total["echoed"], total["sent"], "bytes that came back")
    lab.equal(total["fired"] + total["cancelled"], total["set"], "timers that ended")
    lab.equal(total["received"] + total["cut"], total["started"], "receives that ended")
    for what in ("sent", "fired", "cancelled", "received", "cut"):
        lab.check(total[what] > 0, f"nothing was {what} while the calls came")
    await lab.settle()
    lab.equal(context.timer_count, 0, "timers left armed")
    wanted = len(counts) + total["set"] + total["started"] + total["answering"]
    lab.equal(lab.subject.counters()["tasks_spawned"] - spawned, wanted, "tasks that were started")
    lab.info("counts", dict(total))


async def _ending(function: Callable[..., Awaitable[object]], *args: object) -> Outcome:
    return await observed(function(*args))


async def _echo(
    going_on: Callable[[], bool], near: reactor.StreamSocket, far: reactor.StreamSocket
) -> dict[str, int]:
    """Send the pattern to and fro in pieces of many sizes."""
    sent = 0

    async def answer() -> int:
        echoed = 0
        while data := await far.recv(65_536):
            await far.sendall(data)
            echoed += len(data)
        return echoed

    async with reactor.TaskGroup() as group:
        answers = group.spawn(answer)
        while going_on():
            size = 1 + sent % 3001
            await near.sendall(pattern(size, sent))
            check_pattern(await near.recv_exactly(size), sent)
            sent += size
        near.close()
    return {"sent": sent, "echoed": answers.result(), "answering": 1}


async def _timers(going_on: Callable[[], bool], lab: Lab, rng: random.Random) -> dict[str, int]:
    """Set timers and cancel every other one, some of those when they are due."""
    context = reactor.current_context()
    ended: Counter[str] = Counter()
    while going_on() or ended["set"] < _ROUNDS:
        timer = lab.timer()
        timer.expires_after(rng.random() * 0.002)
        wait = context.spawn(_ending, timer.wait)
        cancelled = 0
        if rng.random() < 0.5:
            await reactor.sleep(rng.random() * 0.002)
            cancelled = timer.cancel()
        outcome = await wait
        ended["set"] += 1
        ended["cancelled" if outcome.kind == "cancelled" else "fired"] += 1
        lab.equal(outcome.kind, "cancelled" if cancelled else "value", "how a timer ended")
    return ended


async def _receives(
    going_on: Callable[[], bool], sock: reactor.StreamSocket, peer: Peer
) -> dict[str, int]:
    """Start receives, and cancel each about when its data comes; every byte comes in the end."""
    context = reactor.current_context()
    ended: Counter[str] = Counter()
    sent = got = 0
    while going_on() or ended["started"] < _ROUNDS:
        receive = context.spawn(_ending, sock.recv, 100)
        await reactor.sleep(0)
        peer.send(pattern(10, sent))
        sent += 10
        if ended["started"] % 2:
            await reactor.sleep(0)
        receive.cancel()
        outcome = await receive
        ended["started"] += 1
        ended["cut" if outcome.kind == "cancelled" else "received"] += 1
        if outcome.kind != "cancelled":
            check_pattern(outcome.get(), got)
            got += len(outcome.get())
        if sent - got > 50:
            rest = await sock.recv_exactly(sent - got)
            check_pattern(rest, got)
            got = sent
    return ended
