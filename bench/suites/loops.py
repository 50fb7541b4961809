"""Loops without any I/O: posting, spawning, switching, timers; each library in a process of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from .. import loop_worker
from ..process import Worker
from ..suite import Case, Measurement, MissingError, Subject, Suite

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    from ..suite import Tools


@dataclass(frozen=True)
class Loop(Suite):
    """One of the suites of `bench.loop_worker`, in one case."""

    case: Case

    SUBJECTS: ClassVar[tuple[Subject, ...]] = tuple(
        Subject(
            name,
            "reactor" if name == "reactor" else "peer",
            None if name in {"reactor", "asyncio"} else name,
        )
        for name in loop_worker.LIBRARIES
    )

    def cases(self, *, full: bool) -> list[Case]:
        """As `Suite.cases`."""
        return [self.case]

    def start(
        self, case: Case, subject: Subject, tools: Tools, stack: ExitStack
    ) -> Callable[[float], Measurement]:
        """As `Suite.start`."""
        worker = stack.enter_context(Worker("loop_worker", subject.name))
        offers = worker.ask("what")
        if isinstance(offers, str):
            raise MissingError(offers)
        if self.name not in offers:
            raise MissingError(f"{subject.name} has no such call")
        return lambda seconds: Measurement(**worker.ask("run", self.name, seconds))


SUITES = (
    Loop("post", "A call posted from a call, and made", "calls", Case("post", {})),
    Loop(
        "post-threads",
        "A call posted by another thread, and made",
        "calls",
        Case("cross-thread post", {}),
    ),
    Loop("spawn", "A task that does nothing, spawned and ended", "tasks", Case("spawn", {})),
    Loop("switch", "Two tasks that let each other go first", "switches", Case("switch", {})),
    Loop(
        "timers",
        "A call put off and cancelled, with others pending",
        "timers",
        Case(
            f"schedule and cancel, {loop_worker.PENDING} pending", {"pending": loop_worker.PENDING}
        ),
        axis="pending",
    ),
    Loop(
        "timeout",
        "A block with a timeout that does not fire, around a switch",
        "blocks",
        Case("timeout", {}),
    ),
)
