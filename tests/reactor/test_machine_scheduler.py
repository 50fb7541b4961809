"""The whole scheduler over a scripted backend, with the moves of a Hypothesis state machine as its schedule.

A few threads are in nobody's hands but the machine's: a rule gives one something to do, or lets one
go on for some steps or until it has to wait. Between two rules the threads stand still, wherever
they are, and what must hold at any moment is looked at.
"""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis.stateful import invariant, run_state_machine_as_test

from harness.explore.control import Crew
from harness.explore.track import queued
from reactor.signals import ABSENT
from tests.reactor.scheduler_rules import SchedulerRules

#: What has a timer of its own while it waits.
TIMED = {"sleep", "timer", "limited"}


class SchedulerMachine(SchedulerRules):
    """What must hold after each rule, and in the end."""

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
            assert not (job.must and job.waiting), f"{job.name} was ended, and waits"
            assert not (job.told and job.waiting), f"{job.name} waits again: the cancel is lost"
            if job.waiting and not job.parked:
                job.parked = self.world.tick()
                job.behind = [other for other in self.jobs() if other.resuming]

    def whoever_has_to_go_on_can(self):
        """Law 2, and the time limits: with the mutex free, nobody sleeps over what there is to do."""
        world, signal = self.world, self.world.signal
        if not self.free() or not (asleep := self.asleep()):
            return
        names = [f"{worker.name}: {worker.step.label}" for worker in asleep]
        awake = [worker for worker in world.turns if world.run.can(worker)]
        handlers, _ = queued(world.ground.queues)
        # A post takes no mutex: between its two halves somebody sleeps over what it has queued.
        posting = [
            worker
            for worker in world.run.workers
            if not worker.finished and worker not in world.turns and world.run.can(worker)
        ]
        assert awake or posting or not handlers, f"lost wake-up: {handlers} queued, asleep: {names}"
        assert not signal.stopped, f"stopped, asleep: {names}"
        assert signal.work or posting or signal.busy, f"missing return: no work, asleep: {names}"
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
        away = sum(worker is world.ground.turn for worker in world.turns)
        _, turns = queued(world.ground.queues)
        assert turns + away == 1, "the reactor turn is lost, or there are two"
        assert world.poller.inside <= 1
        if world.signal.leader is not ABSENT:
            assert not turns

    def the_wait_ends_with_the_earliest_timer(self):
        """Law 7: whoever is in the kernel wait comes back in time."""
        world = self.world
        poller = world.poller
        if not self.free() or not poller.inside or world.closing or poller._ready():
            return
        back = min(poller.deadline, poller.timer)
        for job in world.jobs:
            if job.waiting and not job.moving and job.kind in {"sleep", "limited"}:
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
                assert signal.work == world.counted(), f"{signal.as_dict()}, {world.counted()}"
            if not (world.closing or any(job.resuming for job in self.jobs())):
                armed = [job for job in self.jobs() if job.waiting and job.kind in TIMED]
                assert world.context.timer_count == len(armed), f"armed for {armed}"
        elif not world.closing:
            assert signal.work >= world.counted(), f"{signal.as_dict()}, {world.counted()}"
        if not self.asleep() or world.closing:
            return
        assert world.poller.inside == 1, "nobody is in the kernel wait"
        for job in self.jobs():
            if not job.waiting:
                continue
            if job.deadline <= world.run.now:
                raise AssertionError(f"{job.name} was due")
            if any("boom" in other.ends for other in job.among):
                raise AssertionError(f"{job.name} waits beside one that failed")
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
        counts = world.context.counters()
        claims = counts.claims_ready + counts.claims_cancel + counts.claims_close
        assert claims + counts.claims_deadline >= counts.parks, "a parked operation was not claimed"
        assert counts.handlers == sum(world.ground.taken.values())
        assert counts.tasks_spawned == len(world.jobs)


VARIANTS = [("edge", False), ("edge-timer", False), ("level", False), ("edge", True)]


@pytest.mark.parametrize(("backend", "tracked"), VARIANTS)
def test_the_scheduler_does_what_the_model_allows(backend, tracked):
    class Machine(SchedulerMachine):
        pass

    Machine.backend, Machine.tracked = backend, tracked
    with Crew() as Machine.crew:
        run_state_machine_as_test(Machine, settings=settings(stateful_step_count=40))
