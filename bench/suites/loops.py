"""Loops without any I/O: posting, spawning, switching, timers; each library in a process of its own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ..inprocess.libraries import LIBRARIES
from ..inprocess.worker import SEEDED
from ..process import BenchError, Worker
from ..suite import Case, Measurement, Missing, Running, Subject, Suite

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import ExitStack

    from ..suite import Tools

#: Operations between two looks at the clock.
BATCH: Final = 1000


@dataclass(frozen=True, slots=True)
class Work:
    """A case, and how the process that does it is asked.

    Attributes:
        case: what it is called; its parameters are handed to the process too.
        measured: name in `bench.inprocess.worker.CASES`.
        options: what else it takes there.
        quick: whether it is measured without ``--full``.
    """

    case: Case
    measured: str
    options: dict[str, Any]
    quick: bool = True


class Loops(Suite):
    """Cases of one kind.

    Args:
        name: as `Suite.name`.
        title: as `Suite.title`.
        what: as `Suite.what`.
        works: its cases.
        axis: as `Suite.axis`.
    """

    def __init__(
        self, name: str, title: str, what: str, works: Sequence[Work], *, axis: str | None = None
    ) -> None:
        self.name = name
        self.title = title
        self.what = what
        self.axis = axis
        self._works = {work.case.name: work for work in works}

    def cases(self, *, full: bool) -> list[Case]:
        """As `Suite.cases`."""
        return [work.case for work in self._works.values() if full or work.quick]

    def subjects(self, case: Case) -> list[Subject]:
        """As `Suite.subjects`."""
        return [
            Subject(
                name,
                "reactor" if name == "reactor" else "peer",
                None if name in {"reactor", "asyncio"} else name,
            )
            for name in LIBRARIES
        ]

    def start(self, case: Case, subject: Subject, tools: Tools, stack: ExitStack) -> Running:
        """As `Suite.start`."""
        work = self._works[case.name]
        options = dict(work.options)
        if work.measured in SEEDED:
            options["seed"] = tools.seed
        worker = stack.enter_context(
            Worker("inprocess.worker", subject.name, work.measured, json.dumps(options))
        )
        why = worker.ask("what")
        if why is not None:
            raise Missing(why)
        return measuring(worker, f"{self.name}: {case.name}: {subject.name}")


def measuring(worker: Worker, who: str) -> Running:
    """Return a worker that measures itself; what goes wrong there is a `BenchError` that names `who`."""

    def measure(seconds: float) -> Measurement:
        answer = worker.ask("run", seconds)
        if "error" in answer:
            raise BenchError(f"{who}: {answer['error']}")
        return Measurement(**answer)

    return Running(measure)


def _cancel(pending: int, *, quick: bool = True) -> Work:
    case = Case(f"schedule and cancel, {pending} pending", {"pending": pending, "does": "cancel"})
    return Work(case, "cancel", {"batch": BATCH, "pending": pending}, quick)


def _fire(pending: int, *, quick: bool = True) -> Work:
    case = Case(f"fire, {pending} pending", {"pending": pending, "does": "fire"})
    return Work(case, "fire", {"pending": pending}, quick)


def _fan_out(tasks: int, *, quick: bool = True) -> Work:
    return Work(Case(f"{tasks} tasks", {"tasks": tasks}), "fan-out", {"tasks": tasks}, quick)


SUITES: Final = (
    Loops(
        "post",
        "A call posted from a call, and made",
        "calls",
        [Work(Case("post"), "post", {"batch": BATCH})],
    ),
    Loops(
        "post-threads",
        "A call posted by another thread, and made",
        "calls",
        [
            Work(Case("cross-thread post", {"window": 1000}), "post-threads", {"window": 1000}),
            Work(Case("cross-thread ping", {"window": 1}), "ping", {}),
        ],
    ),
    Loops(
        "spawn",
        "A task that does nothing, spawned and ended",
        "tasks",
        [
            Work(Case("spawn"), "spawn", {"batch": BATCH}),
            Work(Case("spawn in a group"), "spawn-group", {"batch": BATCH}),
        ],
    ),
    Loops(
        "switch",
        "Two tasks that let each other go first",
        "switches",
        [Work(Case("switch"), "switch", {"batch": BATCH})],
    ),
    Loops(
        "ping-pong",
        "Two tasks that hand a number to and fro through queues",
        "round trips",
        [Work(Case("queues"), "ping-pong", {"batch": BATCH})],
    ),
    Loops(
        "timeout",
        "The same with a timeout around each receive, which does not fire",
        "round trips",
        [Work(Case("timeout"), "timeout", {"batch": BATCH, "limit": True})],
    ),
    Loops(
        "fan-out",
        "One event releases many tasks",
        "tasks",
        [_fan_out(10, quick=False), _fan_out(100, quick=False), _fan_out(1000)],
        axis="tasks",
    ),
    Loops(
        "timers",
        "A call put off and cancelled beside others, or made when it is due",
        "timers",
        [
            _cancel(1000),
            _cancel(100_000),
            _cancel(1_000_000, quick=False),
            _fire(1000, quick=False),
            _fire(100_000),
        ],
        axis="pending",
    ),
)
