"""The timer queue: the next few deadlines sorted, those far away in buckets, deletion lazy.

The usual timer is the timeout that never fires: it is armed far ahead and cancelled soon. So arming is
to append to a list, and only who asks what comes next, once in a turn of the loop, has what is still
armed put where it belongs. And a deadline that is not among the next is only appended to the bucket that
it falls into, which is O(1) but for finding it (`bisect`, in C, over the few places where buckets begin).
When the next ones have gone, the
first bucket is sorted, most of which it is already, and laid out again: a few next ones, and buckets
that grow fourfold with the distance. A timer that lives until it fires is so sorted O(log n) times in C;
what most of them never pay. (The idea is that of lazy and ladder queues: Tang, Goh and Thng, "Ladder
queue", ACM TOMACS 15(3), 2005.)

Due timers come out in deadline order however late the loop is, equal deadlines in the order they were
made (asyncio and trio do not promise that, libuv fixed it in fadfeaf6e): sorting is stable, and what is
added later goes behind what is equal.

Cancelling marks the entry, O(1). Garbage is bounded: once more than half of all entries are cancelled,
they are thrown out, so memory stays proportional to the live timers. No tuple, number or node goes with
an entry, which takes a pointer.

A deadline of infinity is only counted. Guarded by the scheduler's mutex.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from operator import attrgetter
from typing import Any

_INFINITY = math.inf
_deadline_of = attrgetter("deadline")

#: Below this many cancelled entries it is not worth their while to throw them out.
_MIN_GARBAGE = 64

#: At most this many are kept sorted: inserting moves what is behind, 2 KiB at most.
_NEAR = 256

#: How many times larger a bucket is than the one before.
_GROWTH = 4


class TimerEntry:
    """One armed deadline; `action` is None once it has fired or was cancelled.

    What the action is, is for who takes it out.
    """

    __slots__ = ("action", "deadline")

    def __init__(self, deadline: float, action: Any) -> None:
        self.deadline = deadline
        self.action: Any = action

    def take(self) -> Any:
        """Return what to do, and keep nothing of it."""
        action, self.action = self.action, None
        return action


class MovableEntry(TimerEntry):
    """A deadline that is put off again and again, which costs a store each time.

    It stays at its place in the queue, `deadline`, until that has come, and only then goes to where it
    is wanted. So it can be moved to anything that is not before `deadline`, without the mutex: who does
    it looks at `deadline` afterwards, as the place may have moved meanwhile (to infinity when it has left
    the queue).

    Attributes:
        wanted: when it is to be due, in seconds; infinity if it is not needed at present.
    """

    __slots__ = ("wanted",)

    def __init__(self, deadline: float, action: Any) -> None:
        super().__init__(deadline, action)
        self.wanted = deadline


class TimerQueue:
    """Deadlines in seconds of the context's monotonic clock, with actions to run when due.

    Attributes:
        fresh: the latest entries, in the order they were made, which all count as later than others.
        near: the next entries of the others, in the order they come due; empty only if all are.
    """

    __slots__ = (
        "_bound",
        "_buckets",
        "_deadlines",
        "_garbage",
        "_horizon",
        "_infinite",
        "_starts",
        "fresh",
        "near",
    )

    def __init__(self) -> None:
        self.fresh: list[TimerEntry] = []
        self.near: list[TimerEntry] = []
        self._deadlines: list[float] = []  # those of `near`
        # Everything from `_horizon` on is in buckets: of `_starts[i]` up to `_starts[i + 1]`, not
        # sorted, but equal deadlines in the order they were made.
        self._buckets: list[list[TimerEntry]] = []
        self._starts: list[float] = []
        self._horizon = _INFINITY
        self._garbage = 0
        self._bound = _MIN_GARBAGE  # as long as garbage is no more, it need not be looked at
        self._infinite = 0

    def __len__(self) -> int:
        """Return how many timers are armed; looks at all of them."""
        return self._infinite + sum(
            entry.action is not None
            and not (isinstance(entry, MovableEntry) and entry.wanted == _INFINITY)
            for entries in (self.fresh, self.near, *self._buckets)
            for entry in entries
        )

    @property
    def held(self) -> int:
        """Return how many entries there are, armed and cancelled, but for those without an end."""
        return len(self.fresh) + len(self.near) + sum(map(len, self._buckets))

    @property
    def garbage(self) -> int:
        """Return how many cancelled entries are still held."""
        return self._garbage

    def add(self, deadline: float, action: Any) -> TimerEntry:
        """Arm `action` for `deadline`.

        Raises:
            ValueError: the deadline is not a number.
        """
        entry = TimerEntry(deadline, action)
        self.put(entry)
        return entry

    def put(self, entry: TimerEntry) -> None:
        """Arm an entry that has been made; raises as `add`."""
        deadline = entry.deadline
        if deadline < _INFINITY:
            self.fresh.append(entry)
        elif deadline == _INFINITY:
            self._infinite += 1
        else:
            raise ValueError("a deadline must be a number of seconds, not NaN")

    def cancel(self, entry: TimerEntry) -> bool:
        """Disarm `entry`; False when it had fired or been cancelled before."""
        if entry.action is None:
            return False
        entry.action = None
        if entry.deadline == _INFINITY:
            self._infinite = max(0, self._infinite - 1)  # 0 after `clear`
            return True
        self._garbage = garbage = self._garbage + 1
        if garbage > self._bound:
            self._sweep()
        return True

    def next_deadline(self) -> float:
        """Return the earliest armed deadline, infinity when there is none.

        One that was moved may count with its place, which is before it.
        """
        if self.fresh:
            self._place()
        while self.near:
            gone = 0
            for entry in self.near:
                if entry.action is not None:
                    break
                gone += 1
            if gone:
                self._forget(gone)
                self._drop(gone)
            else:
                return self._deadlines[0]
        return _INFINITY

    def pop_due(self, now: float) -> list[Any]:
        """Take out what is due at `now`, in deadline order, equal deadlines in FIFO order."""
        if self.fresh:
            self._place()
        due: list[Any] = []
        gone = 0
        while count := bisect_right(self._deadlines, now):
            if self._move(count):
                continue
            for entry in self.near[:count]:
                action = entry.take()
                if action is None:
                    gone += 1
                else:
                    due.append(action)
            self._drop(count)
        self._forget(gone)
        if due:
            self._sweep()
        return due

    def clear(self) -> None:
        """Forget every timer, without running any."""
        for entries in (self.fresh, self.near, *self._buckets):
            for entry in entries:
                entry.take()
        self._garbage = self._infinite = 0
        self.fresh, self._buckets, self._starts = [], [], []
        self._lay_out([])

    def _move(self, count: int) -> bool:
        """Send those of so many next ones that were moved to where they are wanted; False if none was."""
        moved = [
            entry
            for entry in self.near[:count]
            if isinstance(entry, MovableEntry)
            and entry.wanted > entry.deadline
            and entry.action is not None
        ]
        if not moved:
            return False
        gone = set(map(id, moved))
        self.near = [entry for entry in self.near if id(entry) not in gone]
        self._deadlines = [entry.deadline for entry in self.near]
        self._drop(0)
        for entry in moved:
            # Who moves an entry says so first and then looks at its place, and this the other way round.
            entry.deadline = wanted = entry.wanted
            while entry.wanted < wanted:
                entry.deadline = wanted = entry.wanted
            if wanted == _INFINITY:
                entry.take()
            else:
                self.fresh.append(entry)
        self._place()
        return True

    def _place(self) -> None:
        """Put the fresh ones that are still armed where they belong."""
        fresh, self.fresh = self.fresh, []
        gone = 0
        for entry in fresh:
            if entry.action is None:
                gone += 1
                continue
            deadline = entry.deadline
            if deadline < self._horizon:
                deadlines = self._deadlines
                at = bisect_right(deadlines, deadline)
                deadlines.insert(at, deadline)
                self.near.insert(at, entry)
                if len(deadlines) > _NEAR:
                    self._lay_out(self.near)
            else:
                self._buckets[bisect_right(self._starts, deadline) - 1].append(entry)
        self._forget(gone)

    def _forget(self, gone: int) -> None:
        """So many cancelled entries are not held any more."""
        self._garbage -= gone
        # What is held is less now, of which half may be garbage.
        self._bound = max(_MIN_GARBAGE, self._bound - gone)

    def _drop(self, count: int) -> None:
        """Let go of so many of the next ones, and see to it that there are others."""
        del self.near[:count]
        del self._deadlines[:count]
        while not self.near and self._buckets:
            del self._starts[0]
            self._lay_out(self._buckets.pop(0))

    def _lay_out(self, entries: list[TimerEntry]) -> None:
        """Put what is armed of `entries`, all before any bucket, where it belongs; sorts them."""
        live = [entry for entry in entries if entry.action is not None]
        self._forget(len(entries) - len(live))
        live.sort(key=_deadline_of)
        size = _NEAR // 2
        self.near = live[:size]
        self._deadlines = [entry.deadline for entry in self.near]
        start = size
        buckets = []
        while start < len(live):
            size *= _GROWTH
            buckets.append(live[start : start + size])
            start += size
        self._buckets[:0] = buckets
        self._starts[:0] = [bucket[0].deadline for bucket in buckets]
        self._horizon = self._starts[0] if self._starts else _INFINITY

    def _sweep(self) -> None:
        """Throw cancelled entries out if they are too many: either more were, or the rest has fired."""
        if self._garbage > _MIN_GARBAGE and self._garbage * 2 > self.held:
            self._place()
            kept = []
            for start, bucket in zip(self._starts, self._buckets, strict=True):
                live = [entry for entry in bucket if entry.action is not None]
                self._garbage -= len(bucket) - len(live)
                if live:
                    kept.append((start, live))
            self._starts = [start for start, _ in kept]
            self._buckets = [live for _, live in kept]
            self._lay_out(self.near)
            self._drop(0)
        self._bound = max(_MIN_GARBAGE, self.held // 2)
