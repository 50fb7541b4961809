"""The words of the explorer: what a step is, who chooses among them, and what can be wrong in the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ..errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .control import Execution, Worker


class ExploreError(HarnessError):
    """The explorer was asked for something that it cannot do, or found itself not in control."""


class Stopped(BaseException):
    """Unwinds a controlled thread when its execution is over."""


class Access(NamedTuple):
    """What a step does to one thing."""

    key: str
    write: bool


class Step(NamedTuple):
    """What a thread is about to do.

    Attributes:
        key: what it concerns; steps with different keys commute.
        write: whether it changes that; two reads commute.
        label: for people.
        enabled: whether it can be done now; None for always.
        ready: of what it concerns, whether a thread blocked on it could go on as it is *before*
            this step; None where the question makes no sense (see `search.Exhaustive`).
        blocks: it waits for others to make it possible.
        harmless: tells whether a write, done now, would find nothing to change.
        looks: tells what else it reads, done now.
    """

    key: str
    write: bool
    label: str
    enabled: Callable[[], bool] | None = None
    ready: Callable[[], bool] | None = None
    blocks: bool = False
    harmless: Callable[[], bool] | None = None
    looks: Callable[[], Sequence[str]] | None = None

    def accesses(self) -> list[Access]:
        """Return what it does, done now: keys, each with whether that is changed."""
        found = [Access(self.key, self.write and (self.harmless is None or not self.harmless()))]
        if self.looks is not None:
            found += [Access(key, write=False) for key in self.looks()]
        return found

    def meets(self, accesses: Sequence[Access]) -> bool:
        """Tell whether it may not commute with an event that does this."""
        return any(key == self.key and (write or self.write) for key, write in accesses) or (
            self.looks is not None and any(write and key in self.looks() for key, write in accesses)
        )


@dataclass(frozen=True)
class Violation:
    """What went wrong in one execution.

    Attributes:
        kind: such as ``lost wake-up``; two of one kind are taken for the same mistake.
        detail: what was seen.
    """

    kind: str
    detail: str


class Strategy(Protocol):
    """Says which thread goes on."""

    def choose(
        self, execution: Execution, ready: Sequence[Worker], current: Worker | None
    ) -> Worker | None:
        """Return one of `ready` (in the order of their numbers), None to give the execution up.

        Args:
            execution: the one that runs.
            ready: the threads whose next step can be done; never empty.
            current: the thread that took the step before, None at the beginning.
        """

    def released(self, key: str, worker: Worker) -> None:
        """`worker` gives up the lock `key`: what it did is seen by who takes it next."""

    def barrier(self) -> None:
        """Time passes because nobody can go on: everybody sees what everybody did."""
