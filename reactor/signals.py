"""The scheduler's signal state: who sleeps where, and whom a new handler must wake.

No I/O and no locking happen here: the scheduler calls every method with its mutex held and acts on
the answer. The leader's part is a table of four states; around it stand the counts of the
followers (threads of `run()` asleep on the condition), of those already signalled, of the threads
inside `run()`, and of the work that keeps `run()` from returning whether or not a thread is at it.
"""

from __future__ import annotations

import enum

from .errors import IllegalTransition
from .machine import State, wire


class LeaderEvent(enum.Enum):
    """What can happen to the thread that polls."""

    POLL = "poll"  # enters the kernel wait with a zero timeout
    WAIT = "wait"  # enters the kernel wait and may block
    INTERRUPT = "interrupt"  # another thread writes to the waker
    MISS = "miss"  # that write failed: nobody was woken
    RETURN = "return_"  # comes back from the kernel wait


class LeaderState(State):
    """A state of the leader; see `State`."""

    machine = "leader"
    events = LeaderEvent

    poll: LeaderState
    wait: LeaderState
    interrupt: LeaderState
    miss: LeaderState
    return_: LeaderState


ABSENT = LeaderState("ABSENT")  # nobody is in the kernel wait; the reactor's turn is on the queue
POLLING = LeaderState("POLLING")  # in a wait that returns at once
WAITING = LeaderState("WAITING")  # in a wait that may block
INTERRUPTED = LeaderState("INTERRUPTED")  # in it, and the waker has been written
LEADER_STATES = (ABSENT, POLLING, WAITING, INTERRUPTED)

TRANSITIONS: dict[tuple[LeaderState, LeaderEvent], LeaderState] = {
    (ABSENT, LeaderEvent.POLL): POLLING,
    (ABSENT, LeaderEvent.WAIT): WAITING,
    (WAITING, LeaderEvent.INTERRUPT): INTERRUPTED,
    (INTERRUPTED, LeaderEvent.MISS): WAITING,
    (POLLING, LeaderEvent.RETURN): ABSENT,
    (WAITING, LeaderEvent.RETURN): ABSENT,
    (INTERRUPTED, LeaderEvent.RETURN): ABSENT,
}
wire(TRANSITIONS)


class Wake(enum.Enum):
    """Whom the caller must wake for one more item on the queue."""

    NOBODY = "nobody"  # a thread that is awake will take it
    FOLLOWER = "follower"  # notify one thread on the condition
    LEADER = "leader"  # write to the waker


# Looked up once, as `errors.READY`.
WAKE_NOBODY, WAKE_FOLLOWER, WAKE_LEADER = Wake.NOBODY, Wake.FOLLOWER, Wake.LEADER


class SignalState:
    """The record; every field is guarded by the scheduler's mutex.

    Attributes:
        leader: where the polling thread is.
        idle: followers on the condition.
        signalled: how many of those have been notified and have not woken up yet.
        runners: threads inside `run()` and its relatives.
        work: live tasks and work guards. Posted calls are not counted: those that wait are on the
            queue, and those that run have a thread that is `busy`.
        stopped: set by `stop`, cleared by `restart`. Also read without the mutex, by threads that
            look again under it before they sleep.
        asleep: `wake` would wake somebody. Also read without the mutex, by who has just put
            something on the queue. The leader sets it before a wait that may block and then looks at
            the queue once more, so one of the two sees the other; and if it finds something, it
            wakes a follower, who need not look again.
    """

    __slots__ = ("asleep", "idle", "leader", "runners", "signalled", "stopped", "work")

    def __init__(self) -> None:
        self.asleep = False
        self.leader = ABSENT
        self.idle = 0
        self.signalled = 0
        self.runners = 0
        self.work = 0
        self.stopped = False

    def lead(self, *, blocking: bool) -> None:
        """The calling thread enters the kernel wait; it must be the only one."""
        self.leader = self.leader.wait if blocking else self.leader.poll
        self._tell()

    def returned(self) -> None:
        """The leader is back; an interrupt that was meant for it is spent."""
        self.leader = self.leader.return_
        self._tell()

    def follow(self) -> None:
        """The calling thread is about to sleep on the condition."""
        self.idle += 1
        self._tell()

    def unfollow(self) -> None:
        """It woke up, by notification or by its own timeout."""
        self._lower("idle", 1, "unfollow")
        self.signalled = min(max(self.signalled - 1, 0), self.idle)
        self._tell()

    def wake(self) -> Wake:
        """Decide who takes one more queued item, and count the decision as carried out."""
        if self.idle > self.signalled:
            self.signalled += 1
            self._tell()
            return WAKE_FOLLOWER
        if self.leader is WAITING:
            self.leader = WAITING.interrupt
            self._tell()
            return WAKE_LEADER
        return WAKE_NOBODY

    def interrupt(self) -> bool:
        """Decide whether the leader must be woken, whatever the followers do."""
        if self.leader is WAITING:
            self.leader = WAITING.interrupt
            self._tell()
            return True
        return False

    def missed(self) -> None:
        """The write to the waker failed: the next one must try again, not be coalesced away."""
        self.leader = self.leader.miss
        self._tell()

    def enter(self) -> None:
        """A thread enters `run()`."""
        self.runners += 1

    def leave(self) -> None:
        """A thread leaves `run()`."""
        self._lower("runners", 1, "leave")

    def add_work(self, count: int = 1) -> None:
        """Something began that `run()` has to wait for."""
        self.work += count

    def finish_work(self, count: int = 1) -> None:
        """It ended."""
        work = self.work - count
        if work < 0:
            self._lower("work", count, "finish_work")
        self.work = work

    @property
    def busy(self) -> int:
        """How many threads of `run()` are neither asleep nor in the kernel wait."""
        return self.runners - self.idle - (self.leader is not ABSENT)

    def _tell(self) -> None:
        self.asleep = self.idle > self.signalled or self.leader is WAITING

    def _lower(self, field: str, count: int, event: str) -> None:
        value: int = getattr(self, field)
        if count > value:
            raise IllegalTransition("signal", f"{field}={value}", event)
        setattr(self, field, value - count)

    def as_dict(self) -> dict[str, object]:
        """Return the record as plain data, for `IoContext.dump`."""
        fields: dict[str, object] = {name: getattr(self, name) for name in self.__slots__}
        del fields["asleep"]  # follows from the others
        fields["leader"] = self.leader.name
        return fields
