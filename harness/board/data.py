"""The data of the board: one index, and a chunk for each scenario."""

from __future__ import annotations

import statistics
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from .. import compare, divergence
from ..compare import Kind
from ..model import Result, Run, Status
from ..report import tally, words
from . import cells

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..collection import Collection
    from ..column import Column
    from ..compare import Comparison

_STATUSES: Final = list(Status)

#: What a subject counts as the end of an operation; together they are the operations of a run.
_OPERATIONS: Final = (
    "inline_completions",
    "claims_ready",
    "claims_cancel",
    "claims_close",
    "claims_deadline",
)


@dataclass(slots=True)
class _Scenario:
    """One row of the matrix: what is known of a scenario, and its result in each column."""

    newest: Result
    results: dict[Column, Result]


def chunks(
    found: Collection, *, changed: Comparison | None, title: str
) -> Iterator[tuple[str, Any]]:
    """Yield the chunks of the board by name, the index first."""
    runs = found.current()
    if changed is None:
        changed = _since_last(found)
    rows = _rows(runs)
    yield "index", _index(found, runs, rows, changed, title)
    history = found.history()
    for number, row in enumerate(rows):
        yield f"s{number}", cells.chunk(number, row.results, list(runs), history)


def _since_last(found: Collection) -> Comparison | None:
    """Compare the last run of each column with the one before, where there is one."""
    pairs = {column: runs for column, runs in found.columns.items() if len(runs) > 1}
    if not pairs:
        return None
    return compare.compare_runs(
        {column: runs[-2] for column, runs in pairs.items()},
        {column: runs[-1] for column, runs in pairs.items()},
    )


def _rows(runs: dict[Column, Run]) -> list[_Scenario]:
    """Return the scenarios in the order of the longest run, the rest behind it, family by family."""
    by_id: dict[str, _Scenario] = {}
    ordered = sorted(runs.items(), key=lambda item: -len(item[1].results))
    for column, run in ordered:
        for result in run.results:
            by_id.setdefault(result.id, _Scenario(result, {})).results[column] = result
    for column, run in sorted(runs.items(), key=lambda item: item[1].info.started):
        for result in run.results:
            by_id[result.id].newest = result
            by_id[result.id].results[column] = result
    families = list(dict.fromkeys(row.newest.family for row in by_id.values()))
    return sorted(by_id.values(), key=lambda row: families.index(row.newest.family))


def _index(
    found: Collection,
    runs: dict[Column, Run],
    rows: list[_Scenario],
    changed: Comparison | None,
    title: str,
) -> dict[str, Any]:
    every = list(runs.values())
    probes = {column: tally.probes(run) for column, run in runs.items()}
    lacking: dict[str, set[str]] = {}
    for own, _ in probes.values():
        for probe in own:
            for result in probe.costs:
                lacking.setdefault(result.id, set()).add(probe.name)
    parted = _parted(runs)
    where, _, verdict = words.together(every).partition(": ")
    made = {
        "title": title or "reactorlab",
        "where": where,
        "verdict": verdict,
        "good": words.mark(*every) == words.GLYPHS[Status.PASS],
        "statuses": [[str(s), words.GLYPHS[s], words.MEANINGS[s]] for s in _STATUSES],
        "laws": {str(number): words.law(number) for number in words.LAWS},
        "counts": _counts(result for run in every for result in run.results),
        "columns": [
            _column(column, run, found.columns[column], probes[column])
            for column, run in runs.items()
        ],
        "counters": _per_operation(runs, rows),
        "scenarios": [
            {
                "id": row.newest.id,
                "family": row.newest.family,
                "law": row.newest.law,
                "text": row.newest.law_text or row.newest.title,
                "strict": row.newest.strictness,
                "caps": sorted(lacking.get(row.newest.id, ())),
                "parted": row.newest.id in parted,
            }
            for row in rows
        ],
        "cells": [[_cell(row.results.get(column)) for column in runs] for row in rows],
        "changes": None if changed is None else _changes(changed, list(runs)),
        "mutants": found.found("mutants"),
        "explored": found.found("explored"),
        "bench": found.found("bench"),
    }
    shown: dict[str, Any] = _visible(made)
    return shown


def _visible(value: Any) -> Any:
    """Make every control character visible in all texts of plain data."""
    match value:
        case str():
            return words.visible(value)
        case dict():
            return {words.visible(key): _visible(item) for key, item in value.items()}
        case list() | tuple():
            return [_visible(item) for item in value]
        case _:
            return value


def _counts(results: Any) -> list[int]:
    found = Counter(result.status for result in results)
    return [found[status] for status in _STATUSES]


def _cell(result: Result | None) -> Any:
    """Return status, marks, attempts; 0 where there is no result."""
    if result is None:
        return 0
    surprise = words.surprise(result)
    mark = {"unexpected": 1, "for information": 2, "expected": 3}.get(surprise, 0)
    made: list[Any] = [_STATUSES.index(result.status), mark, len(result.attempts)]
    if result.variant is not None:
        made.append(result.variant)
    return made


def _parted(runs: dict[Column, Run]) -> set[str]:
    """Return the ids of the scenarios whose traces part without a permit."""
    found = divergence.compare({column.name: run for column, run in runs.items()})
    return {
        item.id
        for item in found.undeclared
        if any(side.event is not None for side in item.sides)  # else only the ends differ
    }


def _column(
    column: Column,
    run: Run,
    history: list[Run],
    sorted_out: tuple[list[tally.Probe], list[Result]],
) -> dict[str, Any]:
    info = run.info
    probes, others = sorted_out
    facts = {
        "Platform": words.platform(info),
        "C library": info.platform.get("libc", ""),
        "Python": words.python(info),
        "Subject": f"{info.subject} {info.subject_version}".strip(),
        "Ground": info.ground,
        "System": info.system,
        "Seed": str(info.seed),
        "Attempts at each": str(info.repeat),
        "Deadline": f"{info.timeout_s:g} s",
        "Env": info.env_name,
        "Commit": str(info.git.get("sha") or "")[:12],
        "Started": info.started[:19].replace("T", " "),
        "Duration": words.seconds(info.duration_s),
        "Command": words.command(info),
    }
    return {
        "name": column.name,
        "platform": column.platform,
        "poller": column.poller,
        "backend": column.backend,
        "python": column.python,
        "words": column.words,
        "verdict": words.verdict(run),
        "counts": _counts(run.results),
        "good": words.mark(run) == words.GLYPHS[Status.PASS],
        "facts": {name: value for name, value in facts.items() if value},
        "probes": [
            [probe.name, probe.available, probe.evidence, [one.id for one in probe.costs]]
            for probe in probes
        ],
        "others": [[one.id, one.reason] for one in others],
        "slowest": [
            [one.id, words.seconds(one.duration_s), one.duration_s] for one in tally.slowest(run)
        ],
        "stale": info.stale_expectations,
        "runs": [[one.info.id, *cells.stamp(one)] for one in history],
    }


def _per_operation(runs: dict[Column, Run], rows: list[_Scenario]) -> dict[str, Any]:
    """Return each counter per operation in each column, over what ran and passed in all of them."""
    shared = [
        row
        for row in rows
        if all(c in row.results and row.results[c].status is Status.PASS for c in runs)
    ]
    sums: list[Counter[str]] = []
    for column in runs:
        total: Counter[str] = Counter()
        for row in shared:
            total.update(row.results[column].counters)
        sums.append(total)
    names = list(dict.fromkeys(name for total in sums for name in total))
    table = []
    for name in names:
        if name in _OPERATIONS:
            continue
        values = []
        for total in sums:
            operations = sum(total[key] for key in _OPERATIONS)
            values.append(round(total[name] / operations, 4) if operations else None)
        known = [value for value in values if value is not None]
        if known and max(known) > 0:
            table.append([name, values, round(statistics.median(known), 4)])
    return {"scenarios": len(shared), "table": table}


def _changes(changed: Comparison, columns: list[Column]) -> dict[str, Any]:
    def side(result: Result | None) -> int:
        return -1 if result is None else _STATUSES.index(result.status)

    return {
        "sentence": words.comparison(changed),
        "gone": [column.name for column in changed.gone],
        "added": [column.name for column in changed.added],
        "groups": [
            [
                str(kind),
                [
                    [
                        change.id,
                        columns.index(change.column) if change.column in columns else -1,
                        change.column.name,
                        side(change.old),
                        side(change.new),
                        words.clipped(change.note, 300),
                        change.alarming,
                    ]
                    for change in changed.of(kind)
                ],
            ]
            for kind in Kind
            if changed.of(kind)
        ],
    }
