"""Loops without any I/O: posting, spawning, switching, timers; each library in a process of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import loop_worker
from ..process import Worker
from ..suite import Case, Measurement, Missing, Subject, Suite

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    from ..suite import Tools


class Loop(Suite):
    """One of the suites of `bench.loop_worker`, in one case."""

    def __init__(
        self, name: str, title: str, what: str, case: Case, *, axis: str | None = None
    ) -> None:
        self.name = name
        self.title = title
        self.what = what
        self.axis = axis
        self._case = case

    def cases(self, *, full: bool) -> list[Case]:
        """As `Suite.cases`."""
        return [self._case]

    def subjects(self, case: Case) -> list[Subject]:
        """As `Suite.subjects`."""
        return [
            Subject(
                name,
                "reactor" if name == "reactor" else "peer",
                None if name in {"reactor", "asyncio"} else name,
            )
            for name in loop_worker.LIBRARIES
        ]

    def start(
        self, case: Case, subject: Subject, tools: Tools, stack: ExitStack
    ) -> Callable[[float], Measurement]:
        """As `Suite.start`."""
        worker = stack.enter_context(Worker("loop_worker", subject.name))
        offers = worker.ask("what")
        if isinstance(offers, str):
            raise Missing(offers)
        if self.name not in offers:
            raise Missing(f"{subject.name} has no such call")
        return lambda seconds: Measurement(**worker.ask("run", self.name, seconds))


SUITES = (
    Loop("post", "A call posted from a call, and made", "calls", Case("post")),
    Loop(
        "post-threads",
        "A call posted by another thread, and made",
        "calls",
        Case("cross-thread post"),
    ),
    Loop("spawn", "A task that does nothing, spawned and ended", "tasks", Case("spawn")),
    Loop("switch", "Two tasks that let each other go first", "switches", Case("switch")),
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
        Case("timeout"),
    ),
)
