"""The timer queue: a heap with lazy deletion, FIFO among equal deadlines.

Why a heap of tuples: `heapq` and tuple comparison run in C, so adding costs O(log n) with a small
constant and due timers come out in deadline order however late the loop is. The sequence number
breaks ties, so equal deadlines fire in the order they were made (asyncio and trio do not promise
that, libuv fixed it in fadfeaf6e). Why lazy deletion: cancelling marks the entry, O(1), which is
what the usual timer needs, the timeout that never fires. Garbage is bounded: once more than half of
a heap of some size is cancelled, it is rebuilt, so memory stays proportional to the live timers.

A deadline of infinity never enters the heap. Guarded by the scheduler's mutex.
"""

from __future__ import annotations

import heapq
import math
from typing import Any

_INFINITY = math.inf
_push = heapq.heappush

#: Below this many cancelled entries a rebuild is not worth its while.
_MIN_GARBAGE = 64


class TimerEntry:
    """One armed deadline; `action` is None once it has fired or was cancelled.

    What the action is, is for who takes it out.
    """

    __slots__ = ("action", "deadline")

    def __init__(self, deadline: float, action: Any) -> None:
        self.deadline = deadline
        self.action: Any = action


class TimerQueue:
    """Deadlines in seconds of the context's monotonic clock, with actions to run when due."""

    __slots__ = ("_garbage", "_infinite", "_sequence", "heap")

    def __init__(self) -> None:
        self.heap: list[tuple[float, int, TimerEntry]] = []
        self._sequence = 0
        self._garbage = 0
        self._infinite = 0

    def __len__(self) -> int:
        """Return how many timers are armed."""
        return len(self.heap) - self._garbage + self._infinite

    @property
    def garbage(self) -> int:
        """Return how many cancelled entries the heap still holds."""
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
            self._sequence = sequence = self._sequence + 1
            _push(self.heap, (deadline, sequence, entry))
        elif deadline == _INFINITY:
            self._infinite += 1
        else:
            raise ValueError("a deadline must be a number of seconds, not NaN")

    def cancel(self, entry: TimerEntry) -> bool:
        """Disarm `entry`; False when it had fired or been cancelled before."""
        if entry.action is None:
            return False
        entry.action = None
        if entry.deadline == math.inf:
            self._infinite = max(0, self._infinite - 1)  # 0 after `clear`
            return True
        self._garbage += 1
        if self._garbage > _MIN_GARBAGE:
            self._sweep()
        return True

    def _sweep(self) -> None:
        """Rebuild the heap if too much of it is cancelled: either more was, or the rest has fired."""
        if self._garbage > _MIN_GARBAGE and self._garbage * 2 > len(self.heap):
            self.heap = [item for item in self.heap if item[2].action is not None]
            heapq.heapify(self.heap)
            self._garbage = 0

    def next_deadline(self) -> float:
        """Return the earliest armed deadline, infinity when there is none."""
        heap = self.heap
        while heap:
            deadline, _, entry = heap[0]
            if entry.action is not None:
                return deadline
            heapq.heappop(heap)
            self._garbage -= 1
        return math.inf

    def pop_due(self, now: float) -> list[Any]:
        """Take out what is due at `now`, in deadline order, equal deadlines in FIFO order."""
        due: list[Any] = []
        while self.next_deadline() <= now and self.heap:  # a deadline of infinity never comes
            entry = heapq.heappop(self.heap)[2]
            assert entry.action is not None
            due.append(entry.action)
            entry.action = None
        if due:
            self._sweep()
        return due

    def clear(self) -> None:
        """Forget every timer, without running any."""
        for _, _, entry in self.heap:
            entry.action = None
        self.heap.clear()
        self._garbage = self._infinite = 0
