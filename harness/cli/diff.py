"""``reactorlab diff``: what became of the scenarios between two collections of runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from .. import collection, compare
from ..model import NOTHING_MATCHED
from ..report import words
from .show import console, plain, print_json

if TYPE_CHECKING:
    import argparse

    from ..compare import Change, Comparison


def main(options: argparse.Namespace) -> int:
    """Compare an old collection with a new one.

    Returns:
        The exit code: 1 for a regression, 3 if they have no column in common.
    """
    found = compare.compare(collection.load([options.old]), collection.load([options.new]))
    if options.json:
        print_json(
            {
                "compared": found.compared,
                "failing": list(found.failing),
                "columns_gone": [column.name for column in found.gone],
                "columns_added": [column.name for column in found.added],
                "changes": [change.to_json() for change in found.changes],
            }
        )
    else:
        _show(found)
    if not found.compared:
        console(stderr=True).print("reactorlab: no scenario ran in a column of both")
        return NOTHING_MATCHED
    return found.exit_code


def _show(found: Comparison) -> None:
    out = console()
    whole = {*found.gone, *found.added}  # told in one line each
    for kind in compare.Kind:
        changes = [change for change in found.of(kind) if change.column not in whole]
        if not changes:
            continue
        out.print(plain(f"{kind} ({len(changes)})"))
        table = Table(box=None, show_header=False, padding=(0, 1), pad_edge=False)
        for change in changes:
            cells = (f"  {change.id}", _step(change), change.column.name, change.note)
            table.add_row(*(plain(words.one_line(cell)) for cell in cells))
        out.print(table)
        out.print()
    for title, columns in (("gone", found.gone), ("new", found.added)):
        for column in columns:
            out.print(plain(words.one_line(f"column {title}: {column.name}")), soft_wrap=True)
    out.print(plain(words.comparison(found)), soft_wrap=True)


def _step(change: Change) -> str:
    said = words.step(change.old, change.new)
    expected = change.kind is compare.Kind.REGRESSED and not change.alarming
    return f"{said} (expected)" if expected else said
