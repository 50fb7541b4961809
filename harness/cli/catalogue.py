"""``reactorlab list`` and ``reactorlab explain``: the catalogue, and one scenario of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table

from .. import engine
from ..model import AS_EXPECTED, NOTHING_MATCHED
from ..scenario import load
from .show import console, plain, print_json

if TYPE_CHECKING:
    import argparse

    from ..scenario import Scenario


def _as_dict(item: Scenario) -> dict[str, Any]:
    return {
        "id": item.id,
        "family": item.family,
        "title": item.title,
        "law": item.law,
        "law_text": item.law_text,
        "strictness": item.strictness,
        "needs": list(item.needs),
        "provenance": item.provenance,
        "permits": dict(item.permits),
        "clock": item.clock,
        "source": item.source,
    }


def main_list(options: argparse.Namespace) -> int:
    """List the scenarios that the options choose; returns the exit code."""
    chosen = engine.select(
        engine.RunOptions(
            spec="",
            families=tuple(options.family),
            keyword=options.keyword,
            scenarios_dir=options.scenarios_dir,
        )
    )
    if options.json:
        print_json([_as_dict(item) for item in chosen])
    elif chosen:
        table = Table("scenario", "law", "grade", "needs", "its law in this situation", box=None)
        for item in chosen:
            needs = ", ".join(item.needs)
            cells = (item.id, item.law, item.strictness, needs, item.law_text)
            table.add_row(*(plain(cell) for cell in cells))
        console().print(table)
        console(stderr=True).print(f"{len(chosen)} scenarios")
    if not chosen:
        console(stderr=True).print("reactorlab: no scenario matches")
        return NOTHING_MATCHED
    return AS_EXPECTED


def main_explain(options: argparse.Namespace) -> int:
    """Say what one scenario is about; returns the exit code."""
    item = load(options.scenarios_dir).get(options.id)
    if options.json:
        print_json(_as_dict(item))
        return AS_EXPECTED
    table = Table(box=None, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column()
    rows = [
        ("scenario", item.id),
        ("law", f"{item.law}: {item.law_text}"),
        ("grade", item.strictness),
        ("from", item.provenance),
        ("needs", ", ".join(item.needs) or "nothing that a system may lack"),
        ("clock", item.clock),
        *((f"permits {name}", reason) for name, reason in item.permits.items()),
        ("source", item.source),
    ]
    for name, value in rows:
        table.add_row(plain(name), plain(value))
    console().print(table)
    return AS_EXPECTED
