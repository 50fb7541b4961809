"""``reactorlab run --on``: the same scenarios at several places, and one board of what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from .. import engine, report
from ..collection import Collection, exit_code
from ..errors import HarnessError
from ..model import NOTHING_MATCHED
from ..places.gather import gather
from ..places.spec import parse
from ..report import words
from . import merge
from .show import console, plain, print_json
from .watch import Watcher

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from ..engine import RunOptions
    from ..model import Run


def main(options: argparse.Namespace, asked: RunOptions) -> int:
    """Run at every place that the options name; returns the exit code.

    It is the worst of the places' own, and 1 where one did not come to its end.
    """
    if not options.silence > 0:
        raise HarnessError(f"--silence must be more than 0 seconds, not {options.silence:g}")
    found = parse(options.on)
    asked.check()
    total = len(engine.select(asked))
    if not total:
        console(stderr=True).print("reactorlab: no scenario matches")
        return NOTHING_MATCHED
    with Watcher(total * len(found)) as watcher:
        runs = gather(
            found, asked, lambda place, result: watcher(result, place.name), options.silence
        )
    if options.json:
        print_json([run.to_json() for run in runs])
    else:
        _show(runs)
    if options.out is not None:
        _write(runs, options.out)
    return exit_code(runs)


def _show(runs: list[Run]) -> None:
    table = Table("place", "where", "what came of it", box=None, header_style="bold")
    for run in runs:
        place, mark = run.info.place["name"], words.mark(run)
        cells = (f"{mark} {place}", words.where(run.info), words.verdict(run))
        table.add_row(*(plain(words.one_line(cell)) for cell in cells))
    console().print(table)


def _write(runs: list[Run], folder: Path) -> None:
    try:
        for run in runs:
            report.write(run, folder / run.info.place["name"])
    except OSError as exc:
        raise HarnessError(f"cannot write the report: {exc}") from exc
    found = Collection()
    for run in runs:
        found.add(run)
    merge.write(found, folder)
