"""Strategies that follow a plan: a list, few preemptions, or draws.

`Randomly` draws priorities with a few change points (PCT: Burckhardt et al., ASPLOS 2010), for
programs that are too large to be run through. `Replaying` follows a list.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from .steps import ExploreError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .control import Execution, Worker


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


class Continuing(Replaying):
    """Follows a list, and from its end on draws who goes.

    Args:
        choices: numbers of threads, one for each step.
        seed: of the draws.
        at_end: called with the execution at the end of the list.
    """

    def __init__(
        self, choices: Sequence[int], seed: int, at_end: Callable[[Execution], None]
    ) -> None:
        super().__init__(choices)
        self._draw = random.Random(seed).choice
        self._at_end: Callable[[Execution], None] | None = at_end

    def choose(
        self, execution: Execution, ready: Sequence[Worker], current: Worker | None
    ) -> Worker | None:
        """The next of the list, or a draw."""
        if len(execution.choices) >= len(self._choices):
            if self._at_end is not None:
                self._at_end(execution)
                self._at_end = None
            return self._draw(ready)
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
