"""The rules of the scheduler's state machine: what threads are given to do, and how far they go."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

import reactor
from harness.explore.track import tracking
from reactor.descriptor import READ, WRITE
from reactor.signals import ABSENT
from tests.reactor.scheduler_model import Call, Job, Sock, World

if TYPE_CHECKING:
    from harness.explore.control import Crew

#: Which of several.
INDEX = st.integers(0, 3)

#: How far a thread goes: until it has to wait, or for some steps.
STEPS = st.sampled_from([0, 0, 0, 1, 2, 3, 4, 6, 9])

#: Seconds; few, so that many are equal.
SECONDS = st.sampled_from([0, 1, 2])

ALONE = ["recv", "send", "sleep", "timer", "limited", "scoped", "turns", "fail"]


def pick(things: list[Any], index: int) -> Any:
    return things[index % len(things)]


class SchedulerRules(RuleBasedStateMachine):
    """The rules; `World` has the model, and `SchedulerMachine` what must hold in between."""

    backend: ClassVar[str] = "edge"
    tracked: ClassVar[bool] = False
    crew: ClassVar[Crew]

    def __init__(self):
        super().__init__()
        self.exits = contextlib.ExitStack()
        if self.tracked:
            self.exits.enter_context(tracking())
        self.world = World(self.crew, self.backend, tracking=self.tracked)
        self.exits.callback(self.world.leave)
        self.count = 0
        self.context = self.world.context

    def name(self, kind: str) -> str:
        self.count += 1
        return f"{kind}-{self.count}"

    # -- What threads do

    def free(self) -> bool:
        """Nobody holds the mutex, so this thread, which is not under control, may."""
        return not self.world.scheduler.mutex.held  # type: ignore[attr-defined]  # a controlled one

    def idle(self) -> bool:
        """A thread has nothing to do; one more is kept for the end."""
        return any(worker.finished for worker in self.world.run.workers[:-1])

    def do(self, what: str, action: Any, steps: int, *, inside: bool = False) -> bool:
        """Have `action` done by a thread, or by a posted call; True when that is done by now."""
        world = self.world
        if inside:
            call = Call(self.name(what), then=action)
            action = lambda: world.post(call)  # noqa: E731
        worker = next(worker for worker in world.run.workers if worker.finished)
        world.run.give(worker, what, action)
        world.run.go(worker, steps)
        self.check()
        return worker.finished and not inside

    def check(self) -> None:
        violation = self.world.run.violation
        if violation is not None:
            self.world.run.over = True
            raise AssertionError(f"{violation.kind}: {violation.detail}")

    # -- Threads

    @initialize(runners=st.integers(0, 3), socks=st.integers(0, 2))
    def begin(self, runners, socks):
        for _ in range(socks):
            self.open(0)
        self.world.timers.append(reactor.Timer(context=self.context))
        if runners:
            self.guard()
        for _ in range(runners):
            self.start("run", None, 0)

    @precondition(idle)
    @rule(how=st.sampled_from(["run", "run", "run_one", "poll", "poll_one"]), steps=STEPS)
    def enter(self, how, steps):
        self.start(how, None, steps)

    @precondition(idle)
    @rule(how=st.sampled_from(["run_for", "run_one"]), seconds=SECONDS, steps=STEPS)
    def enter_for(self, how, seconds, steps):
        self.start(how, seconds, steps)

    def start(self, how, seconds, steps):
        self.do(how, lambda: self.world.turn(how, seconds), steps)

    @rule(index=INDEX, steps=STEPS)
    def go(self, index, steps):
        self.world.run.go(self.world.run.workers[index], steps)
        self.check()

    @rule()
    def go_all(self):
        self.world.run.go_all()
        self.check()

    @rule(seconds=st.sampled_from([0.5, 1, 3]))
    def pass_time(self, seconds):
        # Not while a leader is on its way to the wait: it has worked out how long that may last. Nor
        # with the mutex held, when it may have read the clock and be about to set a kernel timer.
        leading = self.world.signal.leader is not ABSENT and not self.world.poller.inside
        if leading or not self.free():
            return
        self.world.run.now += seconds
        self.world.tick()

    # -- Work

    @precondition(idle)
    @rule(fails=st.booleans(), gated=st.booleans(), inside=st.booleans(), steps=STEPS)
    def post(self, fails, gated, inside, steps):
        call = Call(self.name("call"), fails=fails, gated=gated)
        self.do("post", lambda: self.world.post(call), steps, inside=inside)

    @precondition(lambda self: self.world.gated)
    @rule(index=INDEX)
    def open_gate(self, index):
        pick(list(self.world.gated.values()), index).gated = False

    @precondition(idle)
    @rule(
        kind=st.sampled_from(ALONE), index=INDEX, seconds=SECONDS, inside=st.booleans(), steps=STEPS
    )
    def spawn(self, kind, index, seconds, inside, steps):
        job = self.job(kind, index, seconds)
        self.do("spawn", lambda: self.world.spawn(job), steps, inside=inside)

    @precondition(idle)
    @rule(
        kinds=st.lists(st.sampled_from(["fail", "recv", *ALONE]), max_size=3),
        index=INDEX,
        seconds=SECONDS,
        steps=STEPS,
    )
    def spawn_group(self, kinds, index, seconds, steps):
        job = Job(self.name("group"), "group")
        job.children = [self.job(kind, index, seconds) for kind in kinds]
        self.do("spawn", lambda: self.world.spawn(job), steps)

    def job(self, kind, index, seconds):
        world = self.world
        if kind in {"recv", "send", "limited", "scoped"} and not world.socks:
            kind = "sleep"
        job = Job(self.name(kind), kind)
        if kind in {"recv", "send", "limited", "scoped"}:
            job.sock = pick(world.socks, index)
        if kind in {"sleep", "limited"}:
            job.deadline = world.run.now + seconds
        if kind == "timer":
            job.timer = pick(world.timers, index)
        if kind == "scoped":
            job.scope = reactor.CancelScope()
        return job

    @precondition(idle)
    @rule(steps=STEPS)
    def guard(self, steps=0):
        self.do("guard", lambda: self.world.guards.append(self.context.work_guard()), steps)

    @precondition(lambda self: self.world.guards and self.idle())
    @rule(inside=st.booleans(), steps=STEPS)
    def release(self, inside, steps):
        def release() -> None:
            if self.world.guards:
                guard = self.world.guards.pop()
                self.world.tick()
                guard.release()

        self.do("release", release, steps, inside=inside)

    # -- Sockets

    @precondition(free)
    @rule(index=INDEX)
    def open(self, index):
        """A new socket, under a number that a closed one had if there is one."""
        world = self.world
        if len(world.socks) >= 4:
            return
        fake = world.ground.socket_pair_end()
        taken = {sock.fake._fd for sock in world.socks if not sock.fake.closed}
        numbers = [sock.fake._fd for sock in world.socks if sock.fake._fd not in taken]
        if numbers:
            fake._fd = pick(numbers, index)
        with contextlib.suppress(reactor.ContextClosedError):
            stream = reactor.StreamSocket.from_socket(fake, self.context)  # type: ignore[arg-type]
            world.socks.append(Sock(stream, fake))

    def peer(self, index):
        return pick(self.world.socks, index)

    has_socks = precondition(lambda self: self.world.socks)

    @has_socks
    @rule(index=INDEX, what=st.sampled_from(["arrive", "arrive", "end", "drain", "fill"]))
    def peer_does(self, index, what):
        sock = self.peer(index)
        if what == "fill":
            sock.fake.room = False
        elif what == "arrive":
            if not (sock.fake.closed or sock.fake.ended):
                data = f"<{self.name('')}>".encode()
                sock.sent += data
                sock.fake.arrive(data)
        else:
            getattr(sock.fake, what)()

    @has_socks
    @rule(index=INDEX, events=st.sampled_from([READ, WRITE, READ | WRITE]))
    def kernel_reports(self, index, events):
        """An event that says nothing, or one that belongs to who had the number before."""
        poller = self.world.poller
        if self.backend != "level":
            fd = self.peer(index).fake._fd
            poller.pending[fd] = poller.pending.get(fd, 0) | events

    @precondition(lambda self: self.world.socks and self.idle())
    @rule(index=INDEX, inside=st.booleans(), steps=STEPS)
    def close_socket(self, index, inside, steps):
        sock = self.peer(index)
        pending = [job for job in self.jobs() if job.sock is sock and job.waiting]

        def close() -> None:
            sock.closing = True
            sock.stream.close()
            sock.closed = True

        if self.do("close", close, steps, inside=inside):
            self.must(pending, "close")

    # -- Cancelling

    def jobs(self):
        return [job for job in self.world.jobs if not job.ends and not job.refused]

    def must(self, jobs, end):
        """These were waiting when something was done that ends them, and nobody came between."""
        for job in jobs:
            job.must = job.must or end

    @precondition(lambda self: self.jobs() and self.idle())
    @rule(index=st.integers(0, 9), inside=st.booleans(), steps=STEPS)
    def cancel_task(self, index, inside, steps):
        job = pick(self.jobs(), index)
        pending = [job] if job.waiting and job.kind != "group" else []

        def cancel() -> None:
            for each in (job, *job.children):
                each.may_cancel = True
            if job.task is not None:
                job.task.cancel()

        if self.do("cancel", cancel, steps, inside=inside):
            self.must(pending, "cancel")

    @precondition(lambda self: self.idle() and any(job.scope for job in self.jobs()))
    @rule(index=INDEX, inside=st.booleans(), steps=STEPS)
    def cancel_scope(self, index, inside, steps):
        job = pick([job for job in self.jobs() if job.scope], index)
        pending = [job] if job.waiting and job.kind == "scoped" else []

        def cancel() -> None:
            job.may_cancel = True
            job.scope.cancel()

        if self.do("cancel", cancel, steps, inside=inside):
            self.must(pending, "cancel")

    @precondition(lambda self: self.world.socks and self.idle())
    @rule(index=INDEX, inside=st.booleans(), steps=STEPS)
    def cancel_socket(self, index, inside, steps):
        sock = self.peer(index)
        pending = [job for job in self.jobs() if job.sock is sock and job.waiting]
        late = [job for job in self.jobs() if job.sock is sock and job.resuming]

        def cancel() -> None:
            with self.world.cancels(sock):
                sock.cancels += sock.stream.cancel()

        if self.do("cancel", cancel, steps, inside=inside):
            self.must(pending, "cancel")
            for job in late:
                job.told = True

    # -- Timers

    @precondition(idle)
    @rule(index=INDEX, seconds=st.sampled_from([None, 0, 1, 2]), inside=st.booleans(), steps=STEPS)
    def set_timer(self, index, seconds, inside, steps):
        """Cancel it, or set it anew, which cancels those who wait for the old deadline."""
        world = self.world
        timer = pick(world.timers, index)
        pending = [job for job in self.jobs() if job.timer is timer and job.waiting]

        def change() -> None:
            for job in self.jobs():
                if job.timer is timer:
                    job.deadline = min(job.deadline, world.run.now + (seconds or 0))
            with world.cancels(timer):
                world.timer_cancels += (
                    timer.cancel() if seconds is None else timer.expires_after(seconds)
                )

        if self.do("timer", change, steps, inside=inside):
            self.must(pending, "cancel")

    @precondition(lambda self: self.idle() and any(job.kind == "limited" for job in self.jobs()))
    @rule(index=INDEX, seconds=SECONDS, steps=STEPS)
    def reschedule(self, index, seconds, steps):
        job = pick([job for job in self.jobs() if job.kind == "limited"], index)
        deadline = self.world.run.now + seconds

        def move() -> None:
            if job.scope is not None:
                before, job.deadline = job.deadline, min(deadline, job.deadline)
                job.moving = True
                job.scope.reschedule(deadline)
                job.moving = False
                job.deadline = deadline if self.world.run.now < before else job.deadline

        self.do("reschedule", move, steps)

    # -- Stopping

    @precondition(idle)
    @rule(inside=st.booleans(), steps=STEPS)
    def stop(self, inside, steps):
        def stop() -> None:
            self.world.stopping = True
            self.world.tick()
            self.context.stop()
            self.world.stopping = self.context.stopped  # a restart may have come between

        self.do("stop", stop, steps, inside=inside)

    @precondition(lambda self: self.idle() and self.world.stopping)
    @rule(steps=STEPS)
    def restart(self, steps):
        def restart() -> None:
            self.context.restart()
            self.world.tick()
            self.world.stopping = self.context.stopped

        self.do("restart", restart, steps)

    @precondition(lambda self: self.idle() and not self.world.closing and self.count > 8)
    @rule(steps=STEPS, sure=st.sampled_from([False, False, True]))
    def close_context(self, steps, sure):
        if sure:
            self.do("close", self.world.close, steps)
