"""``reactorlab diverge``: the first event at which two runs of one scenario part."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import divergence
from ..model import AS_EXPECTED, NOTHING_MATCHED, UNEXPECTED
from .show import console, plain, print_json

if TYPE_CHECKING:
    import argparse

    from ..divergence import Divergence, Event


def main(options: argparse.Namespace) -> int:
    """Compare the runs under the given places.

    Returns:
        The exit code: 1 for a divergence that no permit declares, 3 with less than two runs.
    """
    runs = divergence.find_runs(options.places)
    found = divergence.compare(runs)
    if options.json:
        print_json(
            {
                "runs": list(found.runs),
                "compared": list(found.compared),
                "missing": {key: list(names) for key, names in found.missing.items()},
                "divergences": [item.to_json() for item in found.divergences],
            }
        )
    else:
        _show(found)
    if len(found.runs) < 2:
        console(stderr=True).print("reactorlab: one run only; there is nothing to compare it with")
        return NOTHING_MATCHED
    return UNEXPECTED if found.undeclared else AS_EXPECTED


def _show(found: divergence.Comparison) -> None:
    out = console()
    for item in found.divergences:
        _show_one(item)
    for scenario_id, names in found.missing.items():
        out.print(plain(f"{scenario_id}: not in {', '.join(names)}"))
    permitted = len(found.divergences) - len(found.undeclared)
    out.print(
        plain(
            f"{len(found.compared)} scenarios compared over {', '.join(found.runs)}: "
            f"{len(found.undeclared)} undeclared divergences, {permitted} that a permit declares"
        )
    )


def _show_one(item: Divergence) -> None:
    out = console()
    word = "permitted" if item.permitted else "UNDECLARED"
    out.print(plain(f"{item.id}: {word} divergence at event {item.index}"))
    if item.before is not None:
        out.print(plain(f"  after: {_words(item.before)}"))
    for side in item.sides:
        statuses = "/".join(side.statuses)
        variants = "/".join(variant for variant in side.variants if variant)
        shown = f" [{statuses}{', ' + variants if variants else ''}]"
        what = "the trace ends" if side.event is None else _words(side.event)
        out.print(plain(f"  {', '.join(side.runs)}: {what}{shown}"))
    if item.reason:
        out.print(plain(f"  {item.reason}"))


def _words(event: Event) -> str:
    return " ".join(word for word in event if word)
