"""What the forms of the report count and sort alike."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ..model import Status

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..model import Result, Run

#: How many of the slowest scenarios are shown.
SLOWEST: Final = 10


@dataclass(slots=True)
class Probe:
    """A probed capability, and the scenarios that did not run because it is missing."""

    name: str
    available: bool
    evidence: str
    costs: list[Result] = field(default_factory=list)


def families(run: Run) -> dict[str, list[Result]]:
    """Return the results by family, both in the order of the run."""
    found: dict[str, list[Result]] = {}
    for result in run.results:
        found.setdefault(result.family, []).append(result)
    return found


def counts(results: Iterable[Result]) -> dict[Status, int]:
    """Count the results of each status that one of them has."""
    words = [result.status for result in results]
    return {status: words.count(status) for status in Status if status in words}


def probes(run: Run) -> tuple[list[Probe], list[Result]]:
    """Sort the UNSUPPORTED results by what they lack.

    Returns:
        The probes, the missing ones that cost something first, and the results that lack something
        else, which their reason names.
    """
    found = [
        Probe(str(item.get("name")), bool(item.get("available")), str(item.get("evidence", "")))
        for item in run.info.capabilities
    ]
    others = []
    for result in run.results:
        if result.status is not Status.UNSUPPORTED:
            continue
        # The engine writes the reason so; a capability's evidence may hold any text.
        lacking = [
            probe
            for probe in found
            if not probe.available and f"no {probe.name}: {probe.evidence}" in result.reason
        ]
        for probe in lacking:
            probe.costs.append(result)
        if not lacking:
            others.append(result)
    found.sort(key=lambda probe: (not probe.costs, probe.available))
    return found, others


def permits(run: Run) -> list[Result]:
    """Return the results in which a declared permit was seen."""
    return [result for result in run.results if result.variant is not None]


def slowest(run: Run) -> list[Result]:
    """Return those that took longest, the slowest first."""
    ran = [result for result in run.results if result.duration_s > 0]
    return sorted(ran, key=lambda result: -result.duration_s)[:SLOWEST]
