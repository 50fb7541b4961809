"""What ``reactorlab bench`` does: it runs suites, says how far it is, and shows what came out."""

from __future__ import annotations

import random
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.table import Table

from harness import jsonfile
from harness.cli.show import console, plain, print_json
from harness.errors import HarnessError
from harness.model import AS_EXPECTED, UNEXPECTED

from . import churn, runner, tables
from .process import BenchError, Load
from .suite import Tools
from .suites import SUITES

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from rich.console import Console

#: What is run beside the suites, and has no subjects but ours.
CHURN: Final = "churn"

#: What ends it at a terminal: as a shell says that a process was ended by SIGINT.
INTERRUPTED: Final = 130

#: Connections of the churn, where nobody says how many.
_QUICK, _FULL = 20_000, 100_000


def main(options: argparse.Namespace) -> int:
    """Run what the options name.

    Returns:
        The exit code: 0 when it measured, whether the bars hold or not; 1 when the churn leaked.

    Raises:
        HarnessError: the options make no sense, or something could not be measured.
    """
    chosen = options.suites or [*SUITES, CHURN]
    if unknown := [name for name in chosen if name not in {*SUITES, CHURN}]:
        raise HarnessError(f"no suite {unknown[0]!r}; there are {', '.join((*SUITES, CHURN))}")
    if options.list:
        _list(chosen, full=options.full)
        return AS_EXPECTED
    for name, least in (("rounds", 1), ("seconds", 0.001), ("limit", 0.001), ("at_once", 1)):
        if not getattr(options, name) >= least:
            raise HarnessError(f"--{name.replace('_', '-')} must be at least {least}")
    if options.cc is not None and shutil.which(options.cc) is None:
        raise HarnessError(f"--cc {options.cc}: there is no such compiler")
    steps = runner.plan(
        [SUITES[name] for name in chosen if name in SUITES],
        runner.Options(
            options.rounds,
            options.seconds,
            full=options.full,
            cases=tuple(options.case),
            subjects=tuple(options.subject),
        ),
    )
    churned = None
    if CHURN in chosen:
        churned = churn.Options(
            (_FULL if options.full else _QUICK) if options.count is None else options.count,
            options.at_once,
            tuple(options.backends or ()),
            options.limit,
        )
    return _measure(options, steps, churned)


def _measure(
    options: argparse.Namespace, steps: list[runner.Step], churned: churn.Options | None
) -> int:
    places = _places(options)
    seed = random.randrange(2**32) if options.seed is None else options.seed
    progress = _Progress(options.rounds)
    _say_missing(steps, progress.out)
    ended: BaseException | None = None
    with tempfile.TemporaryDirectory() as folder:
        load = Load(Path(folder), options.cc or "cc")
        run = runner.Run(
            runner.Options(options.rounds, options.seconds),
            Tools(load, seed),
            progress.step,
            progress.note,
        )
        try:
            run.suites(steps)
            if churned is not None:
                for found in churn.run(churned, load, progress.say):
                    run.report["leaks"] = found
                    # At once: the next backend may take minutes, or never come to its end.
                    progress.note(list(tables.leaks(run.report))[-1])
        except (BenchError, KeyboardInterrupt) as exc:
            ended = exc
        finally:
            progress.end()
    # Also when it came to no good end: what was measured may have taken an hour. It is shown first,
    # for by now the disk may be full.
    if options.json == "-":
        print_json(run.report)
    else:
        _show(run.report)
    _write(places, run.report)
    if isinstance(ended, BenchError):
        raise ended
    if ended is not None:
        progress.out.print("reactorlab: interrupted; this is what there was so far")
        return INTERRUPTED
    return UNEXPECTED if tables.leaked(run.report) else AS_EXPECTED


class _Progress:
    """How far it is, on standard error: a line that changes at a terminal, else one for each case."""

    def __init__(self, rounds: int) -> None:
        self.out = console(stderr=True)
        self._rounds = rounds
        self._case = ""

    def step(self, suite: str, case: str, number: int | None, subject: str, left: float) -> None:
        """Say what is measured, and how many seconds are left; no round: its system calls are counted."""
        where = f"{suite}: {case}"
        if self.out.is_terminal:
            minutes, seconds = divmod(round(left), 60)
            what = "system calls" if number is None else f"round {number} of {self._rounds}"
            self.say(f"{where}: {what}: {subject}, {minutes}:{seconds:02} left")
        elif where != self._case:
            self.out.print(plain(f"{where}, {left:.0f} s left"))
        self._case = where

    def say(self, text: str) -> None:
        """Show a line until the next one, where somebody watches."""
        if self.out.is_terminal:
            width = max(self.out.width - 1, 1)
            print(f"\r\x1b[K{text[:width]}", end="", file=sys.stderr, flush=True)

    def note(self, text: str) -> None:
        """Print a line that stays."""
        self.say("")
        self.out.print(plain(text))

    def end(self) -> None:
        """Take the line away."""
        self.say("")


def _say_missing(steps: list[runner.Step], out: Console) -> None:
    missing = {
        one.missing: None for step in steps for one in step.subjects if one.missing is not None
    }
    if missing:
        out.print(plain(f"left out: {', '.join(missing)}: pip install 'reactorlab[bench]'"))


def _places(options: argparse.Namespace) -> list[Path]:
    """Return the files to write, in folders that are there when this returns.

    Raises:
        BenchError: one of them cannot be written.
    """
    places = [options.out / "bench.json"] if options.out else []
    if options.json and options.json != "-":
        places.append(Path(options.json))
    for place in places:
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise BenchError(f"{place}: {exc.strerror}") from exc
        if place.is_dir():
            raise BenchError(f"{place}: it is a folder")
    return places


def _write(places: list[Path], report: dict[str, Any]) -> None:
    for place in places:
        try:
            jsonfile.write(place, report, indent=1)
        except OSError as exc:
            raise BenchError(f"{place}: {exc.strerror}") from exc


def _table(rows: list[list[str]], numbers: Iterable[int]) -> Table:
    heads, *rest = rows
    table = Table(box=None, pad_edge=False)
    for at, head in enumerate(heads):
        # The names are what the rest is about; a head may take two lines instead.
        table.add_column(head, justify="right" if at in numbers else "left", no_wrap=not at)
    for row in rest:
        table.add_row(*map(plain, row))
    return table


def _show(report: dict[str, Any]) -> None:
    out = console()
    out.print(plain(tables.circumstances(report)))
    for suite in report["suites"]:
        for case in suite["cases"]:
            rows = tables.case(case, suite["what"])
            out.print(plain(f"\n{suite['title']}: {case['name']}"), style="bold")
            out.print(_table(rows, range(1, len(rows[0]))))
            for one in case["subjects"]:
                if one["missing"] is not None:
                    out.print(plain(f"{one['name']} is left out: {one['missing']}"))
        for title, rows in tables.curves(suite):
            out.print(plain(f"\n{title}: {suite['what']}/s"), style="bold")
            out.print(_table(rows, range(1, len(rows[0]))))
    if report["leaks"]:
        out.print(plain("\nChurn"), style="bold")
        rows = churn.table(report["leaks"])
        out.print(_table(rows, range(1, len(rows[0]))))
        for line in tables.leaks(report):
            out.print(plain(line))
    if report["suites"]:
        out.print(plain("\nWhat must hold"), style="bold")
        out.print(_table(tables.bars(report), [2]))


def _list(chosen: list[str], *, full: bool) -> None:
    out = console()
    for name in chosen:
        if name == CHURN:
            out.print(plain(f"{CHURN}: connections by the thousand; then everything must be back"))
            continue
        suite = SUITES[name]
        out.print(plain(f"{name}: {suite.title}"))
        cases = suite.cases(full=full)
        for case in cases:
            out.print(plain(f"  case {case.name}"))
        for subject in dict.fromkeys(one for case in cases for one in suite.subjects(case)):
            gone = f": left out, {subject.missing}" if subject.missing else ""
            out.print(plain(f"  {subject.kind} {subject.name}{gone}"))
