"""The exhaustive strategy: one schedule of each class of equivalent ones, and no state twice.

Two schedules are equivalent when one becomes the other by swapping neighbouring steps that commute
(of one thread, or on one key with a write among them, steps do not). `Exhaustive` runs one of each
class: dynamic partial-order reduction with source sets and sleep sets (Flanagan and Godefroid, POPL
2005; Abdulla, Aronis, Jonsson and Sagonas, POPL 2014). After each step it looks for the last ones
that it conflicts with and that nothing orders before it, and notes, at the place where each was
taken, a thread with which to begin in order to turn the two around.

An execution that comes to a state from which everything has been run already is given up there
(stateful partial-order reduction: Yang, Chen, Gopalakrishnan and Kirby, SPIN 2008). What could follow
is known from the first time: each of those steps is taken for one that conflicts with what led here
this time, so that nothing is missed that this way would have shown to be turned around. A thread
that slept the first time, because what begins with it had been run elsewhere, must sleep now too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .steps import ExploreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .control import Execution, Worker
    from .steps import Access, Step


class _Key:
    """Who accessed what a key stands for, as far as it matters for who comes next."""

    __slots__ = ("read_clock", "reads", "write", "write_clock", "writer")

    def __init__(self) -> None:
        self.writer = -1
        self.write = -1  # number of the event
        self.write_clock: list[int] = []
        self.reads: dict[int, int] = {}  # since that write: thread -> event
        self.read_clock: list[int] = []

    def rivals(self, me: int, clock: list[int], *, write: bool) -> Iterator[tuple[int, int]]:
        """Yield the last events, and their threads, that an access of `me` is not ordered after."""
        if write and self.reads:
            for other, event in self.reads.items():
                if other != me and clock[other] <= event:
                    yield event, other
        elif self.writer not in (-1, me) and clock[self.writer] <= self.write:
            yield self.write, self.writer


class Seen(NamedTuple):
    """A state from which everything has been run.

    Attributes:
        sleep: the threads that slept there.
        steps: a bit for each step of a thread that followed, one way or another.
        schedules: how many ways to go on from there, as far as they were told apart.
        choices: a way to get there.
    """

    sleep: frozenset[int]
    steps: int
    schedules: int
    choices: list[int]


class _Node:
    """A state on the way, before the event of the same number.

    Attributes:
        pending: the next step of each thread.
        enabled: the threads that can go on.
        sleep: threads with which everything has been explored from here, one way or another.
        todo: threads to begin with; `done` those that were.
        chosen: the one that goes now.
        accesses: what the event did.
        ready: whether a thread blocked on what the step concerns could go on before it.
        clock: after the event: of each thread, how many events are known to come before.
        state: the number of the state, None if there is none.
        seen: what will be known of it.
    """

    __slots__ = (
        "accesses",
        "chosen",
        "clock",
        "done",
        "enabled",
        "pending",
        "ready",
        "seen",
        "sleep",
        "state",
        "todo",
    )

    def __init__(
        self, enabled: list[int], sleep: set[int], chosen: int, state: int | None, way: list[int]
    ) -> None:
        self.enabled = enabled
        self.sleep = sleep
        self.chosen = chosen
        self.todo = {chosen}
        self.done: set[int] = set()
        self.pending: dict[int, Step] = {}
        self.accesses: Sequence[Access] = ()
        self.ready = True
        self.clock: list[int] = []
        self.state = state
        self.seen = Seen(frozenset(sleep), 0, 0, way)

    def add(self, steps: int, schedules: int) -> None:
        """Account for what followed once."""
        seen = self.seen
        self.seen = seen._replace(steps=seen.steps | steps, schedules=seen.schedules + schedules)


class Exhaustive:
    """Depth first through every class of equivalent schedules.

    Args:
        merge: give up where a state is reached for the second time.

    Attributes:
        complete: there is nothing left to run.
        states: those from which everything has been run, by number.
        schedules: how many were run to their end, those included that were given up in a state
            known already, once for each way that led on from there.
        twin: where the last execution was given up, the way that led to the same state before.
    """

    def __init__(self, *, merge: bool = True) -> None:
        self.complete = False
        self.states: dict[int, list[Seen]] = {}
        self.schedules = 0
        self.twin: list[int] = []
        self._merge = merge
        self._path: list[_Node] = []
        self._depth = 0
        # In which ways the execution could have gone on from its end, and with which steps.
        self._ways = self._following = 0
        self._keys: dict[str, _Key] = {}
        self._clocks: list[list[int]] = []
        self._sleep: set[int] = set()
        self._bits: dict[tuple[int, Access], int] = {}
        self._steps: list[tuple[int, Access]] = []  # by the number of their bit

    def begin(self, threads: int) -> None:
        """Prepare for the next execution."""
        self._depth = 0
        self._ways, self._following = 1, 0
        self._keys = {}
        self._clocks = [[0] * threads for _ in range(threads)]
        self._sleep = set()

    def end(self) -> None:
        """Find the next path; there is none when `complete` is true afterwards."""
        path = self._path
        del path[self._depth :]
        steps, schedules = self._following, self._ways
        while path:
            node = path[-1]
            for access in node.accesses:
                steps |= self._bit(node.chosen, access)
            node.add(steps, schedules)
            node.done.add(node.chosen)
            node.sleep.add(node.chosen)
            left = node.todo - node.done - node.sleep
            if left:
                node.chosen = min(left)
                return
            path.pop()
            steps, schedules = node.seen.steps, node.seen.schedules
            if node.state is not None:
                self.states.setdefault(node.state, []).append(node.seen)
        self.schedules = schedules
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
                self._ways = 0
                return None  # all of this has been seen
            state: int | None = None
            if self._merge and len(ready) > 1 and execution.fingerprint is not None:
                state = execution.fingerprint()
                if state is not None and self._known(state):
                    execution.merged = True
                    return None
            worker = current if current in fresh else fresh[0]
            assert worker is not None
            enabled = [item.index for item in ready]
            way = execution.choices[:] if state is not None else []
            node = _Node(enabled, self._sleep, worker.index, state, way)
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
        accesses = step.accesses()
        clock = self._clocks[me]
        touched: list[tuple[_Key, bool]] = []
        for name, write in accesses:
            key = self._keys.get(name)
            if key is None:
                key = self._keys[name] = _Key()
            for event, other in key.rivals(me, clock, write=write):
                self._turn_around(event, other, worker)
            touched.append((key, write))
        for key, write in touched:
            if key.write >= 0:
                _join_into(clock, key.write_clock)
            if write and key.reads:
                _join_into(clock, key.read_clock)
                key.reads = {}
                key.read_clock = []
        clock[me] = depth + 1
        for key, write in touched:
            if write:
                key.writer, key.write, key.write_clock = me, depth, clock[:]
            else:
                key.reads[me] = depth
                key.read_clock = _join(key.read_clock, clock)
        node.accesses = accesses
        node.clock = clock[:]
        node.ready = step.ready is None or step.ready()
        # Who sleeps wakes up when something happens that its step does not commute with.
        self._sleep = {
            other for other in node.sleep if other != me and not node.pending[other].meets(accesses)
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
                clock[first] > index or step.meets(self._path[index].accesses)
                for index, first in seen
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

    # -- States that were reached before

    def _known(self, state: int) -> bool:
        """Tell whether all that matters from here on has been run, and account for it."""
        for seen in self.states.get(state, ()):
            if seen.sleep <= self._sleep:
                self._ways, self._following = seen.schedules, seen.steps
                self.twin = seen.choices
                self._could_follow(seen.steps)
                return True
        return False

    def _could_follow(self, steps: int) -> None:
        """See to it that steps which may follow are tried before those that they may conflict with.

        What lies between is not at hand, so the thread itself is to begin (Flanagan and
        Godefroid's rule): what must come before its step is found when it has begun.
        """
        while steps:
            bit = steps & -steps
            steps ^= bit
            thread, (name, write) = self._steps[bit.bit_length() - 1]
            key = self._keys.get(name)
            if key is None:
                continue
            for event, _ in key.rivals(thread, self._clocks[thread], write=write):
                node = self._path[event]
                if thread in node.enabled:
                    node.todo.add(thread)
                else:
                    node.todo.update(node.enabled)

    def _bit(self, thread: int, access: Access) -> int:
        """Return the bit that stands for a step of a thread."""
        number = self._bits.get((thread, access))
        if number is None:
            number = self._bits[thread, access] = len(self._steps)
            self._steps.append((thread, access))
        return 1 << number


def _join(left: list[int], right: list[int]) -> list[int]:
    if not left:
        return right[:]
    return [max(pair) for pair in zip(left, right, strict=True)]


def _join_into(clock: list[int], other: list[int]) -> None:
    for index, value in enumerate(other):
        clock[index] = max(clock[index], value)
