"""``reactorlab backends``: the backends of this machine and what was found out by trying."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.table import Table

from reactor.backends import BACKENDS

from .. import capabilities, environment
from ..model import AS_EXPECTED
from .show import console, plain, print_json, world_of

if TYPE_CHECKING:
    import argparse


def main(options: argparse.Namespace) -> int:
    """Show the backends and the capabilities of this machine; returns the exit code."""
    world = world_of(options)
    system = world.plain
    found = [{**asdict(capabilities.backend(name, system)), "name": name} for name in BACKENDS]
    best = next(str(item["name"]) for item in found if item["available"])
    probed = [
        asdict(item)
        for item in capabilities.probe(best, world)
        if item.name not in {"backend", *BACKENDS}
    ]
    world.close()
    if options.json:
        print_json(
            {
                "platform": environment.platform_info(),
                "python": environment.python_info(),
                "ground": world.ground,
                "dialect": options.dialect,
                "system": options.system,
                "best": best,
                "backends": found,
                "capabilities": probed,
            }
        )
        return AS_EXPECTED
    out = console()
    for title, rows in (("backend", found), ("capability", probed)):
        table = Table(title, "here", "evidence", box=None, header_style="bold")
        for row in rows:
            here = "yes" if row["available"] else "no"
            table.add_row(plain(row["name"]), here, plain(row["evidence"]))
        out.print(table)
        out.print()
    out.print(f"the default is {best}")
    return AS_EXPECTED
