"""``reactorlab expect update``: let runs say what the expectation file should say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import collection, expectation_update
from ..errors import HarnessError
from ..files import put
from ..model import AS_EXPECTED, UNEXPECTED
from ..scenario import load
from .show import console, plain

if TYPE_CHECKING:
    import argparse


def main_update(options: argparse.Namespace) -> int:
    """Write the entries that the runs call for; returns the exit code.

    Raises:
        HarnessError: a run or the file cannot be read, or the file not be written.
    """
    found = collection.load(options.places)
    if not found.runs:
        raise HarnessError("no run in these places: entries are made of runs")
    catalogue = load(options.scenarios_dir)
    file = options.expectations or catalogue.folder / "expectations.toml"
    try:
        text = file.read_text(encoding="utf-8") if file.exists() else ""
    except (OSError, UnicodeDecodeError) as exc:
        raise HarnessError(f"{file}: {exc}") from exc
    made = expectation_update.update(
        text,
        found.runs.values(),
        name=str(file),
        known=[item.id for item in catalogue],
        reason=options.reason,
        bug=options.bug,
    )
    out = console()
    for entry in made.replaced:
        out.print(plain(f"narrower: {entry.place}: {entry.scenario}"), soft_wrap=True)
    for entry in made.added:
        out.print(plain(expectation_update.render(entry)), soft_wrap=True)
    for title, lines in (("stale", made.stale), ("left alone", made.unfit)):
        for line in lines:
            out.print(plain(f"{title}: {line}"), soft_wrap=True)
    if made.text != text and not options.dry_run:
        try:
            put(file, made.text.encode())
        except OSError as exc:
            raise HarnessError(f"cannot write {file}: {exc.strerror}") from exc
    told = f"{len(made.added)} entries written" if not options.dry_run else "nothing written"
    out.print(plain(f"{file}: {told}, {len(made.stale)} stale"), soft_wrap=True)
    return UNEXPECTED if made.stale or made.unfit else AS_EXPECTED
