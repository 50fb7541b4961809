"""``reactorlab trace``: run one scenario and print what happened, with times and threads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from .. import engine
from ..report import words
from ..scenario import load
from .show import console, plain, print_json, run_options

if TYPE_CHECKING:
    import argparse


def main(options: argparse.Namespace) -> int:
    """Run one scenario and print its timeline; returns the exit code."""
    item = load(options.scenarios_dir).get(options.id)  # before anything is started
    made = engine.run(engine.settle(run_options(options, ids=(item.id,), jobs=1)))
    (result,) = made.results
    if options.json:
        print_json(made.to_json()["results"][0])
        return made.exit_code
    out = console()
    out.print(plain(f"{item.id} on {words.where(made.info)}, seed {made.info.seed}"))
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
