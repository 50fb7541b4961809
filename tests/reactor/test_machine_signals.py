"""The signal state beside a model of named threads, in any order of moves.

The model has no counts: it is the set of threads that are asleep, of those a wake-up is on its way
to, of those in `run`, and of the work there is. What is asked of the signal state is whom to wake,
and that its numbers are the sizes of those sets.
"""

from __future__ import annotations

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from reactor import IllegalTransition
from reactor.signals import SignalState, Wake

INDEX = st.integers(0, 5)


class SignalMachine(RuleBasedStateMachine):
    """Threads come into `run`, sleep, lead, are woken by notification or by the clock, and leave."""

    def __init__(self):
        super().__init__()
        self.signal = SignalState()
        self.names = iter(range(10_000))
        self.awake: list[int] = []  # in `run`, neither asleep nor in the kernel wait
        self.asleep: list[int] = []  # on the condition, who came first first
        self.owed: set[int] = set()  # of those: a wake-up was spent on them
        self.leader: int | None = None
        self.blocking = False
        self.written = False  # the waker, for this wait
        self.work: set[int] = set()

    @initialize(awake=st.integers(0, 3), asleep=st.integers(0, 3))
    def begin(self, awake, asleep):
        for _ in range(awake + asleep):
            self.enter()
        for _ in range(asleep):
            self.follow(0)

    # -- Threads

    @rule()
    def enter(self):
        self.signal.enter()
        self.awake.append(next(self.names))

    @precondition(lambda self: self.awake)
    @rule(index=INDEX)
    def leave(self, index):
        self.signal.leave()
        self.awake.pop(index % len(self.awake))

    @precondition(lambda self: self.awake)
    @rule(index=INDEX)
    def follow(self, index):
        self.signal.follow()
        self.asleep.append(self.awake.pop(index % len(self.awake)))

    @precondition(lambda self: self.owed)
    @rule(index=INDEX)
    def notified(self, index):
        """One of those that were told wakes up, in whatever order they get the mutex."""
        told = sorted(self.owed)
        name = told[index % len(told)]
        self.signal.unfollow()
        self.owed.remove(name)
        self.asleep.remove(name)
        self.awake.append(name)

    @precondition(lambda self: self.asleep)
    @rule(index=INDEX)
    def timed_out(self, index):
        """One wakes up by itself, and takes what another may have been told of: that one is owed nothing."""
        name = self.asleep.pop(index % len(self.asleep))
        self.signal.unfollow()
        self.awake.append(name)
        if name in self.owed:
            self.owed.remove(name)
        elif self.owed:
            self.owed.pop()

    @precondition(lambda self: self.awake)
    @rule(index=INDEX, blocking=st.booleans())
    def lead(self, index, blocking):
        if self.leader is not None:
            before = self.signal.as_dict()
            with pytest.raises(IllegalTransition):
                self.signal.lead(blocking=blocking)
            assert self.signal.as_dict() == before
            return
        self.signal.lead(blocking=blocking)
        self.leader = self.awake.pop(index % len(self.awake))
        self.blocking, self.written = blocking, False

    @rule()
    def returned(self):
        if self.leader is None:
            with pytest.raises(IllegalTransition):
                self.signal.returned()
            return
        self.signal.returned()
        self.awake.append(self.leader)
        self.leader = None

    # -- Wake-ups

    def _reachable(self):
        return self.leader is not None and self.blocking and not self.written

    @rule()
    def wake(self):
        """Law 2: an item goes to a sleeper that is owed nothing, else to the leader, else to who is awake."""
        untold = [name for name in self.asleep if name not in self.owed]
        decision = self.signal.wake()
        if untold:
            assert decision is Wake.FOLLOWER
            self.owed.add(untold[0])
        elif self._reachable():
            assert decision is Wake.LEADER
            self.written = True
        else:
            assert decision is Wake.NOBODY
            assert (
                self.awake or self.owed or self.written or self.leader is not None
            ) or not self.asleep, "an item, everybody asleep, and nobody told"

    @rule()
    def interrupt(self):
        reachable = self._reachable()
        assert self.signal.interrupt() is reachable
        self.written = self.written or reachable

    @rule()
    def missed(self):
        """The write to the waker failed; only one that was decided on can."""
        if not self.written or self.leader is None:
            with pytest.raises(IllegalTransition):
                self.signal.missed()
            return
        self.signal.missed()
        self.written = False

    # -- Work

    @rule(count=st.integers(1, 3))
    def add_work(self, count):
        self.signal.add_work(count)
        self.work.update(next(self.names) for _ in range(count))

    @rule(count=st.integers(1, 3))
    def finish_work(self, count):
        if count > len(self.work):
            with pytest.raises(IllegalTransition):
                self.signal.finish_work(count)
            return
        self.signal.finish_work(count)
        for _ in range(count):
            self.work.pop()

    @rule(stopped=st.booleans())
    def stop_or_restart(self, stopped):
        self.signal.stopped = stopped

    # -- What holds at any moment

    @invariant()
    def the_numbers_are_the_sizes_of_the_sets(self):
        state = "ABSENT"
        if self.leader is not None:
            state = "POLLING"
            if self.blocking:
                state = "INTERRUPTED" if self.written else "WAITING"
        fields = self.signal.as_dict()
        del fields["stopped"]
        assert fields == {
            "leader": state,
            "idle": len(self.asleep),
            "signalled": len(self.owed),
            "runners": len(self.awake) + len(self.asleep) + (self.leader is not None),
            "work": len(self.work),
        }
        assert self.signal.asleep is self._reachable() or len(self.asleep) > len(self.owed)
        assert self.signal.busy == len(self.awake)


TestSignalMachine = SignalMachine.TestCase
TestSignalMachine.settings = settings(
    stateful_step_count=30, max_examples=3 * settings().max_examples
)
