"""Runs programs under strategies, and makes the most of what they find."""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from . import programs
from .control import Active, Crew, Everything, Execution
from .schedule import Watcher, format_replay, parse_replay
from .search import Exhaustive
from .stage import Stage
from .state import Fingerprint
from .steps import ExploreError, Violation
from .strategies import Bounded, Continuing, Randomly, Replaying, Switching
from .track import tracking

if TYPE_CHECKING:
    from collections.abc import Callable

    from .control import Worker
    from .programs import Program
    from .steps import Step, Strategy

#: Every so many executions one is run a second time, to prove that nothing is uncontrolled; and where
#: one was given up in a state that is known, what follows is compared with what followed before.
TWICE = 50

#: How many ways to go on are compared.
WAYS = 3

#: So many schedules with one preemption at most, and so many drawn at random, run before all are.
SAMPLES = 600

#: Every so many, the garbage of the executions is collected; never during one, since a finaliser
#: would take steps that belong to nobody.
COLLECT = 200


#: What `reactorlab explore --json` says of itself; ``reports/schema/explored-1.schema.json`` has it.
SCHEMA = "reactorlab.explored/1"


@dataclass
class Finding:
    """A violation with its shortest schedule found.

    Attributes:
        kind, detail: what went wrong.
        replay: reproduces it: ``program:1*12,2*3`` (thread, times its number of steps).
        switches: how often that schedule goes from one thread to another that it need not.
        timeline: what happened, a line for each piece of a thread.
    """

    kind: str
    detail: str
    replay: str
    switches: int
    timeline: list[str] = field(default_factory=list)


@dataclass
class Report:
    """What came of one program.

    Attributes:
        name, threads: of the program.
        schedules: different ones that are accounted for: run to their end, or known to end as
            others did, because they go through a state from which everything has been run.
        executions: that it took.
        sampled: run before, to find at once what is badly broken.
        merged: executions given up in a state that is known.
        cut: executions given up because all that could follow is equivalent to others.
        states: that were told apart and from which everything was run.
        steps: in all of them.
        complete: every class of equivalent schedules was run.
        seconds: that it took.
        violations: what was found; the first ends the search.
    """

    name: str
    threads: int = 0
    schedules: int = 0
    executions: int = 0
    sampled: int = 0
    merged: int = 0
    cut: int = 0
    states: int = 0
    steps: int = 0
    complete: bool = False
    seconds: float = 0.0
    violations: list[Finding] = field(default_factory=list)

    def forget(self) -> None:
        """Begin to count anew."""
        self.schedules = self.executions = self.merged = self.cut = 0

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "name": self.name,
            "threads": self.threads,
            "schedules": self.schedules,
            "executions": self.executions,
            "sampled": self.sampled,
            "merged": self.merged,
            "cut": self.cut,
            "states": self.states,
            "steps": self.steps,
            "complete": self.complete,
            "seconds": round(self.seconds, 3),
            "violations": [vars(item) for item in self.violations],
        }


def execute(
    program: Program,
    strategy: Strategy,
    crew: Crew,
    *,
    naked: set[str] | None = None,
    on_step: Callable[[Worker, Step], None] | None = None,
) -> Execution:
    """Run `program` once under `strategy`; `tracking` is in force.

    Args:
        program: what to run.
        strategy: says who goes on.
        crew: the threads.
        naked: attributes of which an access is a step; by default those of all.
        on_step: is told of each step, and of each access that is none.
    """
    execution = Execution(strategy, naked)
    execution.on_step = on_step
    Active.execution = execution
    stage = Stage(execution)
    if isinstance(strategy, Exhaustive):
        execution.fingerprint = Fingerprint(execution, stage).take
    try:
        program.setup(stage)
        begin = getattr(strategy, "begin", None)
        if begin is not None:
            begin(len(stage.threads))
        execution.run(crew, stage.threads)
        if execution.violation is None and not execution.cut:
            try:
                for check in stage.checks:
                    check()
                    if execution.violation is not None:
                        break
            except Exception as exc:  # noqa: BLE001 - a check that falls over is a finding too
                execution.violation = Violation("exception", f"{type(exc).__name__}: {exc}")
    finally:
        Active.execution = None
        stage.leave()
    violation = execution.violation
    if violation is not None and violation.detail.startswith("ExploreError"):
        raise ExploreError(f"{program.name}: {violation.detail}")
    return execution


def explore(
    program: Program,
    *,
    limit: int | None = None,
    seconds: float | None = None,
    seed: int | None = None,
    on_progress: Callable[[Report], None] | None = None,
) -> Report:
    """Explore a program until a violation, the end, or a limit.

    Args:
        program: what to run.
        limit: of executions.
        seconds: of time.
        seed: draw schedules at random, from this seed on, instead of running all.
        on_progress: called every now and then.
    """
    report = Report(program.name)
    naked: set[str] = set()
    sample = seed is None
    begin = time.monotonic()
    gc_was_on = gc.isenabled()
    gc.disable()
    try:
        with tracking(), Crew() as crew:
            if sample and not _sample(program, report, naked, crew):
                return report
            strategy = Exhaustive() if seed is None else Randomly(seed)
            while not report.complete:
                execution = execute(program, strategy, crew, naked=naked)
                if execution.learned:
                    report.forget()
                    strategy = Exhaustive() if seed is None else Randomly(seed)
                    continue
                if not _account(program, report, execution, crew):
                    break
                _look_closer(program, report, execution, strategy, crew)
                strategy.end()
                if isinstance(strategy, Exhaustive):
                    report.complete, report.states = strategy.complete, len(strategy.states)
                    if strategy.complete:
                        report.schedules = strategy.schedules
                report.seconds = time.monotonic() - begin
                if report.executions % COLLECT == 0:
                    gc.collect()
                    if on_progress is not None:
                        on_progress(report)
                if limit is not None and report.executions >= limit:
                    break
                if seconds is not None and report.seconds >= seconds:
                    break
    finally:
        if gc_was_on:
            gc.enable()
        report.seconds = time.monotonic() - begin
    return report


def _sample(program: Program, report: Report, naked: set[str], crew: Crew) -> bool:
    """Run the schedules with one preemption, and draw some; False if one has a violation.

    What is badly broken is found so at once, and with few switches.
    """
    strategies: list[Bounded | Randomly] = [Randomly(0, changes=2), Bounded(1)]
    most = SAMPLES
    while strategies:
        strategy = strategies[-1]
        execution = execute(program, strategy, crew, naked=naked)
        if execution.learned:
            if isinstance(strategy, Bounded):
                strategies[-1] = Bounded(1)
            continue
        if not _account(program, report, execution, crew):
            return False
        report.sampled += 1
        most -= 1
        strategy.end()
        if not most or (isinstance(strategy, Bounded) and strategy.complete):
            strategies.pop()
            most = SAMPLES
    report.forget()
    return True


def _account(program: Program, report: Report, execution: Execution, crew: Crew) -> bool:
    """Count an execution; False when it found something, which ends the search."""
    report.threads = max(report.threads, len(set(execution.choices)))
    report.steps += len(execution.choices)
    report.executions += 1
    report.merged += execution.merged
    if not execution.cut:
        report.schedules += 1
    elif not execution.merged:
        report.cut += 1
    if execution.violation is not None:
        report.violations.append(_shorten(program, execution, crew))
    return execution.violation is None


def replay(text: str) -> tuple[Report, list[str]]:
    """Run the schedule that a replay string names.

    Returns:
        The report, and the timeline.

    Raises:
        ExploreError: the string is malformed, or the program has changed since.
    """
    name, choices = parse_replay(text)
    program = programs.get(name)
    with tracking(), Crew() as crew:
        watcher = Watcher()
        execution = execute(program, Replaying(choices), crew, on_step=watcher)
    report = Report(name, len(set(execution.choices)), schedules=1, steps=len(execution.choices))
    if execution.violation is not None:
        report.violations.append(_finding(program, execution, watcher.lines()))
    return report, watcher.lines()


def _look_closer(
    program: Program,
    report: Report,
    execution: Execution,
    strategy: Exhaustive | Randomly,
    crew: Crew,
) -> None:
    """Now and then, check that nothing is uncontrolled and that a state is what it was taken for."""
    if execution.merged:
        assert isinstance(strategy, Exhaustive)
        if report.merged % TWICE == 1:
            _alike(program, execution.choices, strategy.twin, execution.naked, crew)
    elif not execution.cut and report.executions % TWICE == 1:
        _again(program, execution, crew)


def _alike(program: Program, one: list[int], other: list[int], naked: set[str], crew: Crew) -> None:
    """Go on in the same ways from two schedules that are said to lead to the same state.

    Only from there on is everything looked at: a look gives a name to what has none yet, and on the way
    the two come by things in another order, which makes no difference for the state.
    """
    for seed in range(WAYS):
        seen: list[tuple[list[str], Violation | None]] = []
        for choices in (one, other):
            watcher = Watcher()

            def look(execution: Execution, watcher: Watcher = watcher) -> None:
                execution.on_step, execution.naked = watcher, Everything()

            execution = execute(program, Continuing(choices, seed, look), crew, naked=naked)
            seen.append((watcher.lines(), execution.violation))
        if seen[0] != seen[1]:
            raise ExploreError(
                f"{program.name}: not the same state after all: {format_replay('', one)} and "
                f"{format_replay('', other)}"
            )


def _again(program: Program, first: Execution, crew: Crew) -> None:
    """Run a schedule a second time: the same steps must come of it."""
    watchers = Watcher(), Watcher()
    for watcher in watchers:
        second = execute(program, Replaying(first.choices), crew, on_step=watcher)
        if second.choices != first.choices or second.violation != first.violation:
            raise ExploreError(f"{program.name}: not in control: a schedule came out otherwise")
    one, other = (watcher.lines() for watcher in watchers)
    for before, now in zip(one, other, strict=True):
        if before != now:
            raise ExploreError(f"{program.name}: not in control: {before!r}, then {now!r}")


def _switches(program: Program, execution: Execution, crew: Crew) -> dict[int, int]:
    """Return where a schedule departs from going straight ahead."""
    found: dict[int, int] = {}

    class Comparing(Replaying):
        def choose(self, execution: Execution, ready: Any, current: Any) -> Any:
            straight = current if current in ready else ready[0]
            chosen = super().choose(execution, ready, current)
            assert chosen is not None
            if chosen is not straight:
                found[len(execution.choices)] = chosen.index
            return chosen

    execute(program, Comparing(execution.choices), crew)
    return found


def _shorten(program: Program, execution: Execution, crew: Crew) -> Finding:
    """Take switches away as long as the same kind of violation comes of what is left."""
    assert execution.violation is not None
    kind = execution.violation.kind
    best, switches = execution, _switches(program, execution, crew)
    shorter = True
    while shorter:
        shorter = False
        for step in list(switches):
            fewer = {key: value for key, value in switches.items() if key != step}
            found = execute(program, Switching(fewer), crew)
            if found.violation is not None and found.violation.kind == kind:
                best, switches, shorter = found, _switches(program, found, crew), True
                break
    watcher = Watcher()
    best = execute(program, Replaying(best.choices), crew, on_step=watcher)
    finding = _finding(program, best, watcher.lines())
    finding.switches = len(switches)
    return finding


def _finding(program: Program, execution: Execution, timeline: list[str]) -> Finding:
    violation = execution.violation
    assert violation is not None
    return Finding(
        kind=violation.kind,
        detail=violation.detail,
        replay=format_replay(program.name, execution.choices),
        switches=0,
        timeline=timeline,
    )
