"""``reactorlab trace``: run one scenario and print what happened, with times and threads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from .. import engine, jsonfile
from ..errors import HarnessError
from ..model import Run
from ..report import chrometrace, words
from ..scenario import load
from .show import console, plain, print_json, run_options

if TYPE_CHECKING:
    import argparse


def main(options: argparse.Namespace) -> int:
    """Run one scenario, or take it out of an earlier run, and print its timeline.

    Returns:
        The exit code: what the one result amounts to.
    """
    made = _earlier(options) if options.run else _fresh(options)
    (result,) = made.results
    if options.perfetto:
        try:
            jsonfile.write(options.perfetto, chrometrace.render(result, made.info), indent=1)
        except OSError as exc:
            raise HarnessError(f"cannot write {options.perfetto}: {exc.strerror}") from exc
        console(stderr=True).print(plain(f"trace: {options.perfetto}"), soft_wrap=True)
    if options.json:
        print_json(made.to_json()["results"][0])
        return made.exit_code
    out = console()
    out.print(plain(f"{result.id} on {words.where(made.info)}, seed {made.info.seed}"))
    table = Table("ms", "thread", "who", "event", "detail", box=None)
    table.columns[0].justify = "right"
    for event in result.timeline:
        cells = (
            f"{1000 * event['t']:.3f}",
            event["thread"],
            event["task"],
            event["event"],
            event["detail"],
        )
        table.add_row(*(plain(cell) for cell in cells))
    out.print(table)
    variant = f", variant {result.variant}" if result.variant else ""
    reason = f": {result.reason}" if result.reason else ""
    out.print(plain(f"{result.status}{variant}{reason}"))
    for title, text in (
        ("dump", result.dump),
        ("stacks", result.stacks),
        ("output", result.output),
    ):
        if text:
            out.print(plain(f"\n{title}:\n{text.rstrip()}"))
    out.print(plain(f"replay: {result.replay}"), soft_wrap=True)
    return made.exit_code


def _fresh(options: argparse.Namespace) -> Run:
    item = load(options.scenarios_dir).get(options.id)  # before anything is started
    return engine.run(run_options(options, ids=(item.id,), jobs=1))


def _earlier(options: argparse.Namespace) -> Run:
    run = Run.load(options.run)
    found = [result for result in run.results if result.id == options.id]
    if not found:
        raise HarnessError(f"{options.run}: there is no result of {options.id} in it")
    return Run(run.info, found[:1])
