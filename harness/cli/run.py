"""``reactorlab run``: run scenarios against a backend, with live progress, and leave a report."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from .. import engine, report
from ..errors import HarnessError
from ..report import terminal
from .show import console, plain, print_json, run_options

if TYPE_CHECKING:
    import argparse

    from ..model import Result

#: Seconds between two lines of progress where there is no terminal to draw a bar on.
_EVERY = 5.0


class Watcher:
    """Shows on standard error how a run comes along: a bar on a terminal, else a line now and then."""

    def __init__(self, total: int) -> None:
        self._console = console(stderr=True)
        self._done = self._unexpected = 0
        self._total = total
        self._said = time.monotonic()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("scenarios", total=total)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._bar.stop()

    def __call__(self, result: Result) -> None:
        """Take in one more result."""
        self._done += 1
        self._bar.advance(self._task)
        if result.unexpected:
            self._unexpected += 1
            self._console.print(
                plain(f"{result.status} {result.id}: {result.reason}"), soft_wrap=True
            )
        now = time.monotonic()
        if not self._console.is_terminal and now - self._said >= _EVERY:
            self._said = now
            self._console.print(
                f"{self._done} of {self._total} scenarios, {self._unexpected} unexpected"
            )


def main(options: argparse.Namespace) -> int:
    """Run what the options ask for; returns the exit code."""
    asked = run_options(
        options,
        families=tuple(options.family),
        keyword=options.keyword,
        jobs=options.jobs,
        repeat=options.repeat,
        expectations=options.expectations,
    )
    if options.out is not None and options.out.exists() and not options.out.is_dir():
        raise HarnessError(f"{options.out} is a file; --out takes a folder")
    with engine.Session(asked) as session:
        chosen = session.choose()
        with Watcher(len(chosen)) as watcher:
            made = session.finish(session.run(chosen, watcher))
    if options.json:
        print_json(made.to_json())
    elif made.results:
        console().print(terminal.table(made))
    if not made.results:
        console(stderr=True).print("reactorlab: no scenario matches")
    if options.out is not None:
        try:
            written = report.write(made, options.out)
        except OSError as exc:
            raise HarnessError(f"cannot write the report: {exc}") from exc
        console(stderr=True).print(plain(f"report: {written[-1]}"), soft_wrap=True)
    return made.exit_code
