"""Strategies: which schedules of a program are run.

`Exhaustive` runs one schedule of each class of equivalent ones: two schedules are equivalent when one
becomes the other by swapping neighbouring steps that commute (of one thread, or on one key with a
write among them, steps do not). The method is dynamic partial-order reduction with source sets and
sleep sets (Flanagan and Godefroid, POPL 2005; Abdulla, Aronis, Jonsson and Sagonas, POPL 2014): after
each step it looks for the last ones that it conflicts with and that nothing orders before it, and
notes, at the place where each was taken, a thread with which to begin in order to turn the two
around. `Randomly` draws priorities with a few change points (PCT: Burckhardt et al., ASPLOS 2010),
for programs that are too large. `Replaying` follows a list.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from .control import ExploreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .control import Execution, Step, Worker


class _Key:
    """Who accessed what a key stands for, as far as it matters for who comes next."""

    __slots__ = ("read_clock", "reads", "write", "write_clock", "writer")

    def __init__(self) -> None:
        self.writer = -1
        self.write = -1  # number of the event
        self.write_clock: list[int] = []
        self.reads: dict[int, int] = {}  # since that write: thread -> event
        self.read_clock: list[int] = []


class _Node:
    """A state on the way, before the event of the same number.

    Attributes:
        pending: the next step of each thread.
        enabled: the threads that can go on.
        sleep: threads with which everything has been explored from here, one way or another.
        todo: threads to begin with; `done` those that were.
        chosen: the one that goes now.
        key: what the event concerned; `write` whether it changed that.
        ready: whether a thread blocked on what the step concerns could go on before it.
        clock: after the event: of each thread, how many events are known to come before.
    """

    __slots__ = (
        "chosen",
        "clock",
        "done",
        "enabled",
        "key",
        "pending",
        "ready",
        "sleep",
        "todo",
        "write",
    )

    def __init__(self, enabled: list[int], sleep: set[int], chosen: int) -> None:
        self.enabled = enabled
        self.sleep = sleep
        self.chosen = chosen
        self.todo = {chosen}
        self.done: set[int] = set()
        self.pending: dict[int, Step] = {}
        self.key = ""
        self.write = False
        self.ready = True
        self.clock: list[int] = []

    def conflicts(self, step: Step) -> bool:
        """Tell whether the event and `step` do not commute."""
        return self.key == step.key and (self.write or step.write)


class Exhaustive:
    """Depth first through every class of equivalent schedules.

    Attributes:
        complete: there is nothing left to run.
    """

    def __init__(self) -> None:
        self.complete = False
        self._path: list[_Node] = []
        self._depth = 0
        self._keys: dict[str, _Key] = {}
        self._clocks: list[list[int]] = []
        self._sleep: set[int] = set()

    def begin(self, threads: int) -> None:
        """Prepare for the next execution."""
        self._depth = 0
        self._keys = {}
        self._clocks = [[0] * threads for _ in range(threads)]
        self._sleep = set()

    def end(self) -> None:
        """Find the next path; there is none when `complete` is true afterwards."""
        path = self._path
        del path[self._depth :]
        while path:
            node = path[-1]
            node.done.add(node.chosen)
            node.sleep.add(node.chosen)
            left = node.todo - node.done - node.sleep
            if left:
                node.chosen = min(left)
                return
            path.pop()
        self.complete = True

    # -- As a `Strategy`

    def choose(
        self, execution: Execution, ready: Sequence[Worker], current: Worker | None
    ) -> Worker | None:
        """Follow the path, and from its end on go straight ahead."""
        depth = self._depth
        if depth < len(self._path):
            node = self._path[depth]
            worker = next((item for item in ready if item.index == node.chosen), None)
            if worker is None:
                raise ExploreError(f"not in control: at step {depth} another thread was able to go")
        else:
            fresh = [item for item in ready if item.index not in self._sleep]
            if not fresh:
                return None  # all of this has been seen
            worker = current if current in fresh else fresh[0]
            assert worker is not None
            node = _Node([item.index for item in ready], self._sleep, worker.index)
            self._path.append(node)
        node.pending = {item.index: item.step for item in execution.unfinished()}
        self._take(node, worker)
        self._depth += 1
        return worker

    def released(self, key: str, worker: Worker) -> None:
        """What was done under the lock comes before whatever its next owner does."""
        found = self._keys.get(key)
        if found is not None:
            found.write_clock = _join(found.write_clock, self._clocks[worker.index])

    def barrier(self) -> None:
        """Everything so far comes before everything from now on."""
        together: list[int] = []
        for clock in self._clocks:
            together = _join(together, clock)
        for clock in self._clocks:
            clock[:] = together

    # -- The reduction

    def _take(self, node: _Node, worker: Worker) -> None:
        """Account for the step that `worker` takes from `node`."""
        depth, me = self._depth, worker.index
        step = worker.step
        write = step.changes
        clock = self._clocks[me]
        key = self._keys.get(step.key)
        if key is None:
            key = self._keys[step.key] = _Key()
        if write and key.reads:
            for other, event in key.reads.items():
                if other != me and clock[other] <= event:
                    self._turn_around(event, other, worker)
        elif key.writer not in (-1, me) and clock[key.writer] <= key.write:
            self._turn_around(key.write, key.writer, worker)
        if key.write >= 0:
            _join_into(clock, key.write_clock)
        if write:
            if key.reads:
                _join_into(clock, key.read_clock)
                key.reads = {}
                key.read_clock = []
            clock[me] = depth + 1
            key.writer, key.write, key.write_clock = me, depth, clock[:]
        else:
            clock[me] = depth + 1
            key.reads[me] = depth
            key.read_clock = _join(key.read_clock, clock)
        node.key, node.write = step.key, write
        node.clock = clock[:]
        node.ready = step.ready is None or step.ready()
        # Who sleeps wakes up when something happens that its step does not commute with.
        pending = node.pending
        self._sleep = {
            other
            for other in node.sleep
            if other != me
            and (pending[other].key != step.key or not (write or pending[other].write))
        }

    def _turn_around(self, event: int, other: int, worker: Worker) -> None:
        """See to it that the step `worker` is about to take is also tried before `event`."""
        node = self._path[event]
        me, step = worker.index, worker.step
        if node.pending.get(me) is step and me not in node.enabled:
            return  # it was waiting then, and could not go on: there is no other order
        if step.blocks and not node.ready:
            return  # it would have waited for just this event
        # What comes between the two and is not ordered after the first; the threads that can begin it.
        initials: set[int] = set()
        seen: list[tuple[int, int]] = []
        known: set[int] = set()
        for number in range(event + 1, self._depth):
            between = self._path[number]
            if between.clock[other] > event:
                continue
            who = between.chosen
            if who not in known:
                known.add(who)
                if all(between.clock[first] <= index for index, first in seen if first != who):
                    initials.add(who)
            seen.append((number, who))
        if me not in known:
            clock = self._clocks[me]
            if not any(
                clock[first] > index or self._path[index].conflicts(step) for index, first in seen
            ):
                initials.add(me)
        if initials & (node.todo | node.sleep):
            return
        able = initials.intersection(node.enabled)
        if me in able:
            node.todo.add(me)
        elif able:
            node.todo.add(min(able))
        else:
            node.todo.update(node.enabled)


def _join(left: list[int], right: list[int]) -> list[int]:
    if not left:
        return right[:]
    return [max(pair) for pair in zip(left, right, strict=True)]


def _join_into(clock: list[int], other: list[int]) -> None:
    for index, value in enumerate(other):
        clock[index] = max(clock[index], value)


class Straight:
    """Goes on with one thread for as long as it can; the base of the strategies that follow a plan."""

    def begin(self, threads: int) -> None:
        """Prepare for the next execution."""

    def end(self) -> None:
        """Nothing to find."""

    def choose(
        self, execution: Execution, ready: Sequence[Worker], current: Worker | None
    ) -> Worker | None:
        """The current thread, else the first."""
        return current if current in ready else ready[0]

    def released(self, key: str, worker: Worker) -> None:
        """Does not matter."""

    def barrier(self) -> None:
        """Does not matter."""


class Replaying(Straight):
    """Follows a list of choices, and goes straight ahead from its end on.

    Args:
        choices: numbers of threads, one for each step.
        strict: a choice that cannot be made is an error, else it is left out.
    """

    def __init__(self, choices: Sequence[int], *, strict: bool = True) -> None:
        self._choices = choices
        self._strict = strict

    def choose(
        self, execution: Execution, ready: Sequence[Worker], current: Worker | None
    ) -> Worker | None:
        """The next of the list."""
        # Accesses that were no choice are in the list too.
        depth = len(execution.choices)
        if depth < len(self._choices):
            for worker in ready:
                if worker.index == self._choices[depth]:
                    return worker
            if self._strict:
                raise ExploreError(
                    f"the replay does not fit: at step {depth} thread "
                    f"{self._choices[depth] + 1} cannot go on"
                )
        return super().choose(execution, ready, current)


class Switching(Straight):
    """Goes straight ahead but for some switches: ``{step: thread}``."""

    def __init__(self, switches: dict[int, int]) -> None:
        self._switches = switches

    def choose(
        self, execution: Execution, ready: Sequence[Worker], current: Worker | None
    ) -> Worker | None:
        """The thread that is switched to, if it can go on."""
        wanted = self._switches.get(len(execution.choices))
        for worker in ready:
            if worker.index == wanted:
                return worker
        return super().choose(execution, ready, current)


class Bounded(Straight):
    """Depth first through every schedule with so many preemptions at most.

    Most bugs of this kind need one or two (Musuvathi and Qadeer, PLDI 2007), so this finds at once
    what is badly broken.

    Args:
        preemptions: how often a thread may be stopped that could go on.

    Attributes:
        complete: there is nothing left to run.
    """

    def __init__(self, preemptions: int) -> None:
        self.complete = False
        self._preemptions = preemptions
        # At each step: the threads that may go, straight ahead first; which of them does; the
        # preemptions left before it; and whether any but the first is one.
        self._path: list[tuple[list[int], int, int, bool]] = []
        self._depth = 0

    def begin(self, threads: int) -> None:
        """Prepare for the next execution."""
        self._depth = 0

    def end(self) -> None:
        """Find the next path."""
        path = self._path
        del path[self._depth :]
        while path:
            options, index, left, costs = path.pop()
            if index + 1 < len(options):
                path.append((options, index + 1, left, costs))
                return
        self.complete = True

    def choose(
        self, execution: Execution, ready: Sequence[Worker], current: Worker | None
    ) -> Worker | None:
        """Follow the path, and from its end on go straight ahead."""
        if self._depth == len(self._path):
            left = self._preemptions
            if self._path:
                _, index, left, costs = self._path[-1]
                left -= bool(costs and index)
            costs = current in ready
            first = current if current is not None and costs else ready[0]
            others = [item.index for item in ready if item is not first]
            self._path.append(
                ([first.index, *(others if left or not costs else ())], 0, left, costs)
            )
        options, index, _, _ = self._path[self._depth]
        self._depth += 1
        return next(item for item in ready if item.index == options[index])


class Randomly(Straight):
    """PCT: the thread with the highest priority goes; at a few steps, drawn before, it is lowered.

    Args:
        seed: of the draws; the n-th execution has ``seed + n``.
        changes: how many change points.
    """

    def __init__(self, seed: int, changes: int = 3) -> None:
        self.seed = seed
        self._changes = changes
        self._length = 100
        self._priorities: list[float] = []
        self._points: set[int] = set()

    def begin(self, threads: int) -> None:
        """Draw priorities and change points."""
        rng = random.Random(self.seed)
        self._priorities = [rng.random() + 1 for _ in range(threads)]
        self._points = {rng.randrange(self._length) for _ in range(self._changes)}

    def end(self) -> None:
        """The next draw."""
        self.seed += 1

    def choose(
        self, execution: Execution, ready: Sequence[Worker], current: Worker | None
    ) -> Worker | None:
        """The one with the highest priority."""
        depth = len(execution.choices)
        self._length = max(self._length, depth + 1)
        worker = max(ready, key=lambda item: self._priorities[item.index])
        if depth in self._points:
            self._priorities[worker.index] = -depth / MOST
            worker = max(ready, key=lambda item: self._priorities[item.index])
        return worker


#: Larger than the number of any step.
MOST = 1 << 30
