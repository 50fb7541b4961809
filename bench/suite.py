"""The words of the benchmarks: a suite has cases, and in each case subjects are measured."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    from .process import Load

Kind = Literal["reactor", "limit", "peer"]


@dataclass(frozen=True, slots=True)
class Subject:
    """What is measured.

    Attributes:
        name: such as ``reactor-epoll``.
        kind: ours, a limit that nobody can pass, or a peer.
        needs: name of the module without which it cannot be measured; None if it needs none.
    """

    name: str
    kind: Kind
    needs: str | None = None

    @property
    def missing(self) -> str | None:
        """Why it cannot be measured here; None if it can."""
        if self.needs is None or find_spec(self.needs) is not None:
            return None
        return f"{self.needs} is not installed"


@dataclass(frozen=True, slots=True)
class Case:
    """One situation.

    Attributes:
        name: for people, and to choose it.
        parameters: what makes it, such as ``connections``; sizes are bytes.
    """

    name: str
    parameters: dict[str, int | str | bool] = field(default_factory=dict)


@dataclass(slots=True)
class Measurement:
    """What a subject did in one round.

    Attributes:
        operations: how many.
        seconds: in which time.
        cpu_s: its CPU, in seconds, where that is known better than the next two.
        user_s: its CPU in user mode, in seconds; None if nobody can tell.
        system_s: likewise in the kernel.
        p50_us: half of the operations took at most this, in microseconds.
        p99_us: and 99 of 100 this.
        peak_rss: the most memory that it has had so far, in bytes.
        bytes_per_item: memory for each of the items of the case, in bytes.
        lost: how many operations were lost on the way, and begun again; None where none can be.
    """

    operations: int
    seconds: float
    cpu_s: float | None = None
    user_s: float | None = None
    system_s: float | None = None
    p50_us: float | None = None
    p99_us: float | None = None
    peak_rss: int | None = None
    bytes_per_item: float | None = None
    lost: int | None = None

    @property
    def rate(self) -> float:
        """Operations in a second; of none it is as if there had been one."""
        return max(self.operations, 1) / self.seconds


@dataclass(frozen=True, slots=True)
class Running:
    """A subject that is up.

    Attributes:
        measure: measures it for so many seconds. In between, while others are measured, it is idle.
        pid: of the process that does nothing but serve it, whose system calls are counted; None if it
            measures itself.
    """

    measure: Callable[[float], Measurement]
    pid: int | None = None


@dataclass(frozen=True, slots=True)
class Tools:
    """What a suite has at hand.

    Attributes:
        load: the load generator.
        seed: of everything random.
        package: import name of the benchmarks: their modules are started as ``python -m`` of it.
    """

    load: Load
    seed: int
    package: str = str(__package__)


class Missing(Exception):
    """A subject cannot be measured here; says why in one line, and fails no run."""


class Suite(ABC):
    """One kind of work.

    Attributes:
        name: what the command calls it.
        title: for people.
        what: is counted, in the plural, such as ``round trips``.
        axis: the parameter along which the cases make a curve; None where they make none.
    """

    name: str
    title: str
    what: str
    axis: str | None = None

    @abstractmethod
    def cases(self, *, full: bool) -> list[Case]:
        """Return the cases; without `full` those that the bars name, and what takes little time."""

    @abstractmethod
    def subjects(self, case: Case) -> list[Subject]:
        """Return what is measured in a case, in the order of the tables, installed or not."""

    @abstractmethod
    def start(self, case: Case, subject: Subject, tools: Tools, stack: ExitStack) -> Running:
        """Start what is measured, so that it ends with `stack`.

        Raises:
            Missing: it cannot be measured here.
        """
