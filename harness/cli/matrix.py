"""``reactorlab matrix``: what CI runs where, from the one table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from .. import matrix
from ..errors import HarnessError
from ..model import AS_EXPECTED, UNEXPECTED, Run
from .show import console, plain, print_json

if TYPE_CHECKING:
    import argparse
    from pathlib import Path


def main(options: argparse.Namespace) -> int:
    """Show the table, or what of it is missing; returns the exit code."""
    found = matrix.load()
    if options.missing is not None:
        return _missing(found, options.missing)
    if options.github:
        print_json(found.to_github())
        return AS_EXPECTED
    table = Table("env", "machine", "Python", "backend", "system", "runner", box=None)
    for job in (*found.scenarios, *found.checks):
        env, machine = job.env, job.machine
        guest = " ".join(machine.guest.values())
        inside = guest or machine.container.partition("@")[0]
        runner = f"{machine.runner}: {inside}" if inside else machine.runner
        cells = (env.name, machine.title, job.python, env.backend, env.system, runner)
        table.add_row(*(plain(cell) for cell in cells))
    console().print(table)
    console(stderr=True).print(f"{len(found.columns())} columns, {len(found.checks)} checks")
    return AS_EXPECTED


def _missing(found: matrix.Matrix, place: Path) -> int:
    if not place.is_dir():
        raise HarnessError(f"{place}: no such folder")
    runs = [Run.load(path).info for path in sorted(place.rglob("run.json"))]
    missing = found.missing(runs)
    for column in missing:
        console().print(plain(f"no run of {column.name}"), soft_wrap=True)
    return UNEXPECTED if missing else AS_EXPECTED
