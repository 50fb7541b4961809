"""The whole scheduler over a scripted backend, with the moves of a Hypothesis state machine as its schedule.

Four threads are in nobody's hands but the machine's: a rule gives one something to do, or lets one
go on for some steps or until it has to wait. Between two rules the threads stand still, wherever
they are, and what must hold at any moment is looked at.
"""

from __future__ import annotations

import contextlib
from typing import Any, ClassVar

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import reactor
from harness.explore.control import Crew
from harness.explore.track import tracking
from reactor.descriptor import READ, WRITE
from reactor.signals import ABSENT
from tests.reactor.scheduler_model import Call, Job, Sock, World

#: Which of several.
INDEX = st.integers(0, 3)

#: How far a thread goes: until it has to wait, or for some steps.
STEPS = st.sampled_from([0, 0, 0, 1, 2, 3, 4, 6, 9])

#: Seconds; few, so that many are equal.
SECONDS = st.sampled_from([0, 1, 2])

ALONE = ["recv", "send", "sleep", "timer", "limited", "scoped", "turns", "fail"]


def pick(things: list[Any], index: int) -> Any:
    return things[index % len(things)]


class SchedulerMachine(RuleBasedStateMachine):
    """The rules; see `World` for the model."""

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
        kinds=st.lists(st.sampled_from(ALONE), max_size=3),
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

        def cancel() -> None:
            for job in self.jobs():
                if job.sock is sock:
                    job.may_cancel = True
            sock.cancels += sock.stream.cancel()

        if self.do("cancel", cancel, steps, inside=inside):
            self.must(pending, "cancel")

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
                    job.may_cancel = True
                    job.deadline = min(job.deadline, world.run.now + (seconds or 0))
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
                job.scope.reschedule(deadline)
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

    @precondition(lambda self: self.idle() and not self.world.closing and self.count > 15)
    @rule(steps=STEPS, sure=st.sampled_from([False, False, True]))
    def close_context(self, steps, sure):
        if sure:
            self.do("close", self.world.close, steps)

    # -- What holds at any moment

    def asleep(self):
        """The threads in `run` that nothing has woken."""
        world = self.world
        return [
            worker
            for worker in world.turns
            if worker not in world.gated and not world.run.can(worker)
        ]

    @invariant()
    def it_holds(self):
        self.nothing_went_wrong()
        self.whoever_has_to_go_on_can()
        self.every_waiter_is_accounted_for()
        self.the_reactor_turn_is_in_one_place()
        self.the_wait_ends_with_the_earliest_timer()
        self.nothing_is_left_to_do_when_nobody_can_go_on()
        self.no_byte_is_lost()

    def nothing_went_wrong(self):
        self.check()
        for job in self.world.jobs:
            if job.waiting and not job.parked:
                job.parked = self.world.tick()

    def whoever_has_to_go_on_can(self):
        """Law 2, and the time limits: with the mutex free, nobody sleeps over what there is to do."""
        world, signal = self.world, self.world.signal
        if not self.free() or not (asleep := self.asleep()):
            return
        names = [f"{worker.name}: {worker.step.label}" for worker in asleep]
        awake = [worker for worker in world.turns if world.run.can(worker)]
        queued = world.queue.handlers()
        assert awake or not queued, f"lost wake-up: {queued} queued, asleep: {names}"
        assert not signal.stopped, f"stopped, asleep: {names}"
        assert signal.work, f"missing return: no work, asleep: {names}"
        for worker in asleep:
            turn = world.turns[worker]
            assert turn.how not in {"poll", "poll_one"}, f"{turn.how} sleeps"
            assert world.run.now < turn.deadline, f"{turn.how} sleeps beyond its time"

    def every_waiter_is_accounted_for(self):
        world, signal = self.world, self.world.signal
        if not self.free() or world.closing:
            return
        (condition,) = world.ground.conditions
        waits = [
            worker for worker in world.turns if worker.step.label == "wakes up on the condition"
        ]
        told = len(waits) - len(condition.waiters)
        assert signal.idle == len(waits), f"{signal.as_dict()}, but {len(waits)} wait"
        assert signal.signalled <= told, f"{signal.as_dict()}, but {told} were told"
        assert signal.runners >= len(waits) + world.poller.inside

    def the_reactor_turn_is_in_one_place(self):
        """Law 8, from the other side: it is queued, or one thread has it."""
        world = self.world
        if not self.free() or world.closing:
            return
        away = sum(worker is world.queue.turn for worker in world.turns)
        assert world.queue.turns() + away == 1, "the reactor turn is lost, or there are two"
        assert world.poller.inside <= 1
        if world.signal.leader is not ABSENT:
            assert not world.queue.turns()

    def the_wait_ends_with_the_earliest_timer(self):
        """Law 7: whoever is in the kernel wait comes back in time."""
        world = self.world
        poller = world.poller
        if not self.free() or not poller.inside or world.closing or poller._ready():
            return
        back = min(poller.deadline, poller.timer)
        for job in world.jobs:
            if job.waiting and job.kind in {"sleep", "limited"}:
                assert back <= job.deadline, f"{job.name} is due before the wait ends"

    def nothing_is_left_to_do_when_nobody_can_go_on(self):
        world, signal = self.world, self.world.signal
        if any(world.run.can(worker) for worker in world.run.workers):
            return
        assert self.free(), "everybody waits for the mutex"
        if not world.gated:
            alone = [worker for worker in world.run.workers if not worker.finished]
            assert all(worker in world.turns for worker in alone), "a caller hangs"
            if not world.closing:
                assert signal.work == world.work(), f"{signal.as_dict()}, work {world.work()}"
        elif not world.closing:
            assert signal.work >= world.work(), f"{signal.as_dict()}, work {world.work()}"
        if not self.asleep() or world.closing:
            return
        assert world.poller.inside == 1, "nobody is in the kernel wait"
        for job in self.jobs():
            if not job.waiting:
                continue
            if job.deadline <= world.run.now:
                raise AssertionError(f"{job.name} was due")
            op = job.task.operation
            sock = job.sock
            if sock is not None and sock.fake.readiness() & op.slot.direction:
                raise AssertionError(f"{job.name} waits for what is there")

    def no_byte_is_lost(self):
        for sock in self.world.socks:
            assert sock.sent.startswith(sock.received), f"{sock.received!r} of {sock.sent!r}"
            if not any(self.world.run.can(worker) for worker in self.world.run.workers):
                assert sock.received + b"".join(sock.fake.inbox) == sock.sent

    # -- The end

    def teardown(self):
        with self.exits:
            if self.world.run.violation is None and not self.world.run.over:
                self.finish()

    def finish(self):
        """Let everything come to its end, and look whether it did."""
        world = self.world
        self.open_gates()
        if not world.closing:
            self.wind_up()
        if not world.context.closed:
            self.do("close", world.close, 0)
            self.go_all()
        assert all(worker.finished for worker in world.run.workers), "a thread hangs"
        for job in world.jobs:
            assert len(job.ends) + job.refused == 1, f"{job.name} ended {job.ends}"
            if job.task is not None:
                assert job.task.done
        assert sorted(world.raised) == sorted(world.surfaced), "swallowed, or told twice"
        for sock in world.socks:
            ends = [job.ends[0] for job in world.jobs if job.sock is sock and job.ends]
            assert sock.fake.closed
            assert ends.count("cancel") >= sock.cancels
        ends = [job.ends[0] for job in world.jobs if job.timer is not None and job.ends]
        assert ends.count("cancel") >= world.timer_cancels
        assert not world.signal.runners
        assert not world.signal.idle
        assert not world.scheduler.descriptors
        assert not world.context.timer_count

    def open_gates(self):
        for call in self.world.calls:
            call.gated = False
        self.go_all()

    def wind_up(self):
        """Give every task what it waits for, and run until there is no work."""
        world = self.world
        while world.guards:
            self.release(False, 0)
        for sock in world.socks:
            if not sock.fake.closed:
                sock.fake.room = False
                sock.fake.drain()
                sock.fake.end()
        for index in range(len(world.timers)):
            self.set_timer(index, None, False, 0)
        for _ in range(50):  # a handler that raises or stops ends a run
            self.open_gates()
            if not world.work():
                break
            if world.stopping:
                self.restart(0)
            if not world.turns:
                self.start("run", None, 0)
            self.set_timer(0, None, False, 0)
            world.run.now += 1
        self.go_all()
        assert not world.work(), f"not ended: {self.jobs()}"
        assert not world.turns, "run does not return"
        assert world.signal.work == 0
        for call in world.calls:
            assert call.ran == 1, f"{call.name} ran {call.ran} times"
        scheduler = world.scheduler
        ends = [job.ends[0] for job in world.jobs]
        ready = scheduler.claims_ready
        assert 0 <= scheduler.parks - ready <= len(ends), "an operation was not claimed once"
        assert scheduler.handlers == sum(world.queue.taken.values())
        assert scheduler.spawned == len(ends)


VARIANTS = [("edge", False), ("edge-timer", False), ("level", False), ("edge", True)]


@pytest.mark.parametrize(("backend", "tracked"), VARIANTS)
def test_the_scheduler_does_what_the_model_allows(backend, tracked):
    class Machine(SchedulerMachine):
        pass

    Machine.backend, Machine.tracked = backend, tracked
    with Crew() as Machine.crew:
        run_state_machine_as_test(Machine, settings=settings(stateful_step_count=40))
