"""``reactorlab merge``: the runs of many machines in one file, and the board of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import board, collection, compare
from ..collection import exit_code
from ..errors import HarnessError
from ..files import put
from ..report import badge, junit, overview, terminal
from .show import console, plain

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from ..collection import Collection
    from ..compare import Comparison


def main(options: argparse.Namespace) -> int:
    """Merge what is in some places, and write every form of the report into a folder.

    Returns:
        The exit code: what the runs amount to, and 1 for a regression against earlier ones.

    Raises:
        HarnessError: something cannot be read, or the folder not be written.
    """
    found = collection.load(options.places)
    if not found.runs:
        raise HarnessError("no run in these places: a board is made of runs")
    changed = None
    if options.against is not None:
        changed = compare.compare(collection.load([options.against]), found)
    write(found, options.out, changed, single=options.single_file, title=options.title)
    runs = found.current()
    console().print(terminal.overview(runs, changed))
    return max(exit_code(runs.values()), changed.exit_code if changed else 0)


def write(
    found: Collection,
    folder: Path,
    changed: Comparison | None = None,
    *,
    single: bool = False,
    title: str = "",
) -> None:
    """Write every form of the report of many runs into a folder, and say where the board is.

    Args:
        found: the runs.
        folder: is made if it is not there.
        changed: what became of earlier runs.
        single: the board as one file.
        title: of the board.

    Raises:
        HarnessError: the folder cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise HarnessError(f"{folder} is a file; --out takes a folder")
    runs = found.current()
    try:
        found.save(folder / collection.NAME)
        put(folder / "junit.xml", junit.render(*runs.values()))
        put(folder / "summary.md", overview.render(runs, changed).encode())
        put(folder / "badge.json", badge.render(runs.values()).encode())
        page = board.write(found, folder, changed=changed, single=single, title=title)
    except OSError as exc:
        raise HarnessError(f"cannot write the board: {exc}") from exc
    console(stderr=True).print(plain(f"board: {page}"), soft_wrap=True)
