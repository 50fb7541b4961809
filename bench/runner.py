"""Runs suites: every subject of a case is up while the case runs, and each round asks each of them.

So what disturbs the machine disturbs neighbours alike, and a ratio is taken of each round before the
median is. How the time of another process is divided into user and system is told in ticks of a coarse
clock: it is the division of all rounds together, of a sum that is exact.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from harness import environment

from . import bars
from .accounts import processor
from .process import BenchError
from .strace import SHORT, Calls
from .suite import Measurement, Missing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .suite import Case, Running, Subject, Suite, Tools

#: What `--json` writes; ``reports/schema/bench-2.schema.json`` describes it.
SCHEMA: Final = "reactorlab.bench/2"

#: What a report has of each subject, beside its name, its kind and what it did in each round.
_NUMBERS: Final = (
    *("rate", "spread", "user_us", "system_us", "p50_us", "p99_us"),
    *("syscalls", "peak_rss", "bytes_per_item", "lost"),
)


@dataclass(frozen=True, slots=True)
class Options:
    """What is measured, and for how long.

    Attributes:
        rounds: in each of which every subject of a case is measured.
        seconds: for which one is measured in a round.
        full: all cases, and not the quick ones alone.
        cases: texts of which one must be in the name of a case; empty for all.
        subjects: names of the subjects; empty for all.
    """

    rounds: int = 7
    seconds: float = 0.3
    full: bool = False
    cases: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """One case that is going to be run, with its subjects."""

    suite: Suite
    case: Case
    subjects: list[Subject]


def plan(suites: Sequence[Suite], options: Options) -> list[Step]:
    """Return what the options choose of some suites.

    Raises:
        BenchError: they choose nothing, or a subject that there is not.
    """
    steps = []
    known: dict[str, None] = {}
    for suite in suites:
        for case in suite.cases(full=options.full):
            subjects = suite.subjects(case)
            known |= dict.fromkeys(one.name for one in subjects)
            if options.subjects:
                subjects = [one for one in subjects if one.name in options.subjects]
            wanted = not options.cases or any(text in case.name for text in options.cases)
            if wanted and subjects:
                steps.append(Step(suite, case, subjects))
    if unknown := [name for name in options.subjects if name not in known]:
        raise BenchError(f"there is no subject {unknown[0]!r}; there are {', '.join(known)}")
    if suites and not steps:
        raise BenchError(f"no case has {' or '.join(map(repr, options.cases))} in its name")
    return steps


class Run:
    """A run under way; its report is whole at any time, with the cases that are done.

    Args:
        options: what is measured, and for how long.
        tools: for the suites.
        say: is told how far it is: suite, case, round, subject, and the seconds that are left; no round
            while system calls are counted.
        note: is told what people should know beside that.
    """

    def __init__(
        self,
        options: Options,
        tools: Tools,
        say: Callable[[str, str, int | None, str, float], object],
        note: Callable[[str], object],
    ) -> None:
        self._options = options
        self._tools = tools
        self._say = say
        self._calls = Calls(note)
        self._left = 0.0
        self.report: dict[str, Any] = {
            "schema": SCHEMA,
            "environment": {
                "platform": environment.platform_info(),
                "python": environment.python_info(),
                "cpu": processor(),
                "version": environment.version(),
                "git": environment.git_info(),
            },
            "started": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            "load": tools.load.kind,
            "rounds": options.rounds,
            "seconds": options.seconds,
            "seed": tools.seed,
            "suites": [],
            "leaks": None,
            "bars": [],
        }

    def suites(self, steps: Sequence[Step]) -> None:
        """Run cases, one after the other.

        Raises:
            BenchError: one could not be measured.
        """
        self._left = sum(self._takes(len(step.subjects)) for step in steps)
        try:
            for step in steps:
                measured = self._case(step)
                self._suite(step.suite)["cases"].append(measured)
        finally:
            self.report["bars"] = bars.judge(self.report)

    def _takes(self, subjects: int) -> float:
        return subjects * (self._options.rounds + 1) * self._options.seconds

    def _suite(self, suite: Suite) -> dict[str, Any]:
        found: dict[str, Any]
        for found in self.report["suites"]:
            if found["name"] == suite.name:
                return found
        found = {
            "name": suite.name,
            "title": suite.title,
            "what": suite.what,
            "axis": suite.axis,
            "cases": [],
        }
        self.report["suites"].append(found)
        return found

    def _case(self, step: Step) -> dict[str, Any]:
        missing = {one.name: one.missing for one in step.subjects if one.missing is not None}
        with contextlib.ExitStack() as stack:
            running: dict[str, Running] = {}
            for one in step.subjects:
                if one.name in missing:
                    continue
                self._say(step.suite.name, step.case.name, 0, one.name, self._left)
                try:
                    running[one.name] = step.suite.start(step.case, one, self._tools, stack)
                except Missing as exc:
                    missing[one.name] = str(exc)
            self._left -= self._takes(len(missing))
            # Last, and of nobody's rate: who is traced is ten times slower.
            self._left += (
                len([one for one in running.values() if one.pid is not None]) * self._traced
            )
            rounds = self._rounds(step, running)
            calls = {name: self._count(step, name, one) for name, one in running.items()}
        found = [
            _numbers(one, rounds[one.name], None) | {"syscalls": calls[one.name]}
            if one.name in running
            else _numbers(one, [], missing[one.name])
            for one in step.subjects
        ]
        for measured in found:
            _compare(measured, rounds, found)
        return {
            "name": step.case.name,
            "parameters": dict(step.case.parameters),
            "subjects": found,
        }

    def _rounds(self, step: Step, running: dict[str, Running]) -> dict[str, list[Measurement]]:
        names = list(running)
        made: dict[str, list[Measurement]] = {name: [] for name in names}
        for number in range(self._options.rounds + 1):  # the first warms up and is thrown away
            turn = number % max(len(names), 1)  # nobody always follows the same one
            for name in names[turn:] + names[:turn]:
                self._say(step.suite.name, step.case.name, number, name, self._left)
                measured = running[name].measure(self._options.seconds)
                if number:
                    made[name].append(measured)
                self._left -= self._options.seconds
        return made

    @property
    def _traced(self) -> float:
        """How long the system calls of a subject are counted, in seconds."""
        return (1 + SHORT) * self._options.seconds

    def _count(self, step: Step, name: str, one: Running) -> dict[str, float] | None:
        if one.pid is None:
            return None
        self._say(step.suite.name, step.case.name, None, name, self._left)
        counted = self._calls.count(name, one.pid, one.measure, self._options.seconds)
        self._left -= self._traced
        return counted


def _numbers(subject: Subject, rounds: list[Measurement], missing: str | None) -> dict[str, Any]:
    made: dict[str, Any] = {
        "name": subject.name,
        "kind": subject.kind,
        "missing": missing,
        "rates": [one.rate for one in rounds],
        **dict.fromkeys(_NUMBERS),
        "ratios": {},
        "user_ratios": {},
    }
    if not rounds:
        return made
    count = max(sum(one.operations for one in rounds), 1)
    made["rate"] = rate = statistics.median(made["rates"])
    made["spread"] = (max(made["rates"]) - min(made["rates"])) / rate
    user, system = _sum(rounds, "user_s"), _sum(rounds, "system_s")
    exact, ticks = _sum(rounds, "cpu_s"), (user or 0.0) + (system or 0.0)
    for name, value in (("user_us", user), ("system_us", system)):
        if value is not None and exact is not None:
            # Of less than a tick nobody knows where it was spent.
            value = exact * value / ticks if ticks else None
        made[name] = None if value is None else value / count * 1e6
    for name in ("p50_us", "p99_us", "bytes_per_item"):
        known = [value for one in rounds if (value := getattr(one, name)) is not None]
        made[name] = statistics.median(known) if known else None
    lost = [one.lost for one in rounds if one.lost is not None]
    made["lost"] = sum(lost) if lost else None
    made["peak_rss"] = max((one.peak_rss for one in rounds if one.peak_rss), default=None)
    return made


def _sum(rounds: list[Measurement], name: str) -> float | None:
    """Return the sum of something that rounds have; None if one has it not."""
    known = [value for one in rounds if (value := getattr(one, name)) is not None]
    return sum(known) if len(known) == len(rounds) else None


def _compare(
    one: dict[str, Any], rounds: dict[str, list[Measurement]], all_of: list[dict[str, Any]]
) -> None:
    """Put in the ratios of one subject to each other one."""
    if one["missing"] is not None:
        return
    mine = rounds[one["name"]]
    for other in all_of:
        if other is one or other["missing"] is not None:
            continue
        pairs = zip(mine, rounds[other["name"]], strict=True)
        one["ratios"][other["name"]] = statistics.median(a.rate / b.rate for a, b in pairs)
        if one["user_us"] is not None and other["user_us"]:
            one["user_ratios"][other["name"]] = one["user_us"] / other["user_us"]
