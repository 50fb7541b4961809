"""Divergence: where the traces of one scenario, from several runs, part for the first time.

Traces are normalised when they are recorded (see `harness.trace`), so they are compared event by
event. A kernel may differ where the scenario declares it: two runs that show different declared
variants diverge with permission. Everything else that differs is news.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .collection import find
from .model import Run, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from .model import Result

#: Results that have no trace to compare: the scenario did not run.
_NOT_RUN = (Status.UNSUPPORTED, Status.SKIP, Status.NOTRUN)

Event = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Side:
    """What some of the runs did where the others did something else.

    Attributes:
        runs: their names.
        event: the first event at which they part, None where their trace had ended.
        statuses: how the scenario ended there.
        variants: the declared permits that were seen there, None for none.
    """

    runs: tuple[str, ...]
    event: Event | None
    statuses: tuple[Status, ...]
    variants: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Divergence:
    """One scenario whose runs part; there is one more for each group that parts again later.

    Attributes:
        id: of the scenario.
        index: of the event at which they part, from 0.
        before: the last event that all have in common, None if they part at once.
        sides: who did what; each run is in one of them.
        permitted: whether the scenario declares it.
        reason: what its permits say about it, empty without one.
    """

    id: str
    index: int
    before: Event | None
    sides: tuple[Side, ...]
    permitted: bool
    reason: str

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "id": self.id,
            "index": self.index,
            "before": self.before,
            "permitted": self.permitted,
            "reason": self.reason,
            "sides": [
                {
                    "runs": list(side.runs),
                    "event": side.event,
                    "statuses": [str(status) for status in side.statuses],
                    "variants": list(side.variants),
                }
                for side in self.sides
            ],
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """What came of comparing several runs.

    Attributes:
        runs: the names of all runs.
        compared: ids of the scenarios that ran in at least two of them.
        missing: of each scenario, the runs that do not have it at all.
        divergences: those whose traces differ, in the order of the catalogue.
    """

    runs: tuple[str, ...]
    compared: tuple[str, ...]
    missing: dict[str, tuple[str, ...]]
    divergences: tuple[Divergence, ...]

    @property
    def undeclared(self) -> tuple[Divergence, ...]:
        """The divergences that no permit declares."""
        return tuple(item for item in self.divergences if not item.permitted)


def find_runs(places: Iterable[Path]) -> dict[str, Run]:
    """Load the runs of some places, by name.

    Args:
        places: `run.json` files, folders that have one, or folders of such folders.

    Raises:
        HarnessError: there is no run in a place, or one cannot be read.
    """
    found: dict[str, Run] = {}
    for place in places:
        for file in find([place], ("run.json",)):
            run = Run.load(file)
            name = file.parent.name or run.info.env_name or run.info.id
            found[name if name not in found else f"{name} ({run.info.id})"] = run
    return found


def compare(runs: dict[str, Run]) -> Comparison:
    """Compare the traces of every scenario that ran in at least two runs."""
    by_id: dict[str, dict[str, Result]] = {}
    for name, run in runs.items():
        for result in run.results:
            by_id.setdefault(result.id, {})[name] = result
    compared = []
    divergences: list[Divergence] = []
    for scenario_id, results in by_id.items():
        ran = {name: item for name, item in results.items() if item.status not in _NOT_RUN}
        if len(ran) < 2:
            continue
        compared.append(scenario_id)
        divergences += _diverge(scenario_id, ran)
    missing = {
        scenario_id: tuple(name for name in runs if name not in results)
        for scenario_id, results in by_id.items()
        if len(results) < len(runs)
    }
    return Comparison(tuple(runs), tuple(compared), missing, tuple(divergences))


def between(old: Result, new: Result) -> Divergence | None:
    """Return where two results of one scenario part, as the runs ``old`` and ``new``; None if nowhere."""
    return next(_diverge(new.id, {"old": old, "new": new}), None)


def _events(result: Result) -> tuple[Event, ...]:
    return tuple(
        (str(item.get("who", "")), str(item.get("event", "")), str(item.get("detail", "")))
        for item in result.trace
    )


def _diverge(scenario_id: str, results: dict[str, Result]) -> Iterator[Divergence]:
    """Part the runs at their first difference, and then each group that went the same way."""
    traces = {name: _events(result) for name, result in results.items()}
    index = _common(list(traces.values()))
    groups: dict[tuple[Event | None, Status | None], list[str]] = {}
    for name, trace in traces.items():
        event = trace[index] if index < len(trace) else None
        # Equal traces can still end differently, as when an oracle found something.
        status = results[name].status if event is None else None
        groups.setdefault((event, status), []).append(name)
    if len(groups) == 1:
        return
    permits = next(iter(results.values())).permits
    sides = tuple(
        Side(
            runs=tuple(names),
            event=event,
            statuses=tuple(dict.fromkeys(results[name].status for name in names)),
            variants=tuple(dict.fromkeys(results[name].variant for name in names)),
        )
        for (event, _), names in groups.items()
    )
    variants = [variant for side in sides for variant in side.variants]
    seen = tuple(dict.fromkeys(variant for variant in variants if variant is not None))
    yield Divergence(
        id=scenario_id,
        index=index,
        before=next(iter(traces.values()))[index - 1] if index else None,
        sides=sides,
        # A permit explains why another variant went another way; not why the same one did, and
        # not why one of them failed.
        permitted=len(set(variants)) == len(variants)
        and all(variant in permits for variant in seen)
        and len({status for side in sides for status in side.statuses}) == 1,
        reason="; ".join(f"{variant}: {permits.get(variant, 'not declared')}" for variant in seen),
    )
    for names in groups.values():
        yield from _diverge(scenario_id, {name: results[name] for name in names})


def _common(traces: Sequence[tuple[Event, ...]]) -> int:
    """Return how many events from the start all traces share."""
    index = 0
    for events in zip(*traces, strict=False):
        if len(set(events)) > 1:
            break
        index += 1
    return index
