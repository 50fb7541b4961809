"""``reactorlab run``: run scenarios against a backend, with live progress, and leave a report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import engine, report
from ..errors import HarnessError
from ..report import terminal
from . import on
from .show import console, plain, print_json, run_options
from .watch import Watcher

if TYPE_CHECKING:
    import argparse


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
    if options.on:
        return on.main(options, asked)
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
