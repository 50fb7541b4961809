"""The summary in Markdown of many runs, as a CI job shows it on its page: failures first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..compare import Kind
from ..model import Status
from . import summary, tally, words
from .summary import LIMIT, _failure, _header, _Page, _row, _text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..column import Column
    from ..compare import Comparison
    from ..model import Result, Run


def render(runs: Mapping[Column, Run], found: Comparison | None = None, limit: int = LIMIT) -> str:
    """Return the page in less than `limit` bytes; what is cut is named.

    Args:
        runs: one for each column.
        found: what changed since earlier runs.
        limit: in bytes of UTF-8.
    """
    page = _Page(limit - summary._RESERVE)
    page.add(f"## {words.mark(*runs.values())} {_text(words.together(runs.values()))}\n")
    if found is not None:
        page.add(f"Since the earlier runs: {_text(words.comparison(found))}\n")
        regressed = [change for change in found.changes if change.kind is Kind.REGRESSED]
        page.section(
            "Regressed",
            [
                _row(_text(one.id), _text(one.column.name), words.step(one.old, one.new))
                for one in regressed
            ],
            head=_header("scenario", "column", "status"),
        )
    page.section("Unexpected", list(_failures(runs)))
    statuses = [s for s in Status if any(s in run.counts for run in runs.values())]
    page.section(
        "Columns",
        [
            _row(
                words.mark(run),
                _text(column.platform),
                _text(column.poller),
                _text(column.python),
                *(str(run.counts.get(status, "")) for status in statuses),
            )
            for column, run in sorted(runs.items(), key=lambda item: not item[1].unexpected)
        ],
        head=_header("", "platform", "backend", "Python", *map(words.labelled, statuses)),
    )
    if found is not None:
        others = [change for change in found.changes if change.kind is not Kind.REGRESSED]
        page.section(
            "Other changes",
            [
                _row(
                    str(one.kind),
                    _text(one.id),
                    _text(one.column.name),
                    words.step(one.old, one.new),
                    _text(words.clipped(one.note, 200)),
                )
                for one in others
            ],
            head=_header("", "scenario", "column", "status", "note"),
        )
    page.section("Unsupported", list(_unsupported(runs)), head=_header("missing", "costs", "where"))
    return page.close()


def _failures(runs: Mapping[Column, Run]) -> Iterator[str]:
    """Say each scenario that fails once, with all the columns in which it does."""
    found: dict[tuple[str, Status], list[tuple[Column, Result]]] = {}
    for column, run in runs.items():
        for result in run.unexpected:
            found.setdefault((result.id, result.status), []).append((column, result))
    for places in sorted(found.values(), key=lambda places: -len(places)):
        where = "".join(f"- {_text(column.name)}\n" for column, _ in places)
        yield f"{_failure(places[0][1])}\nIn {words.counted(len(places), 'column')}:\n\n{where}"


def _unsupported(runs: Mapping[Column, Run]) -> Iterator[str]:
    found: dict[str, tuple[set[str], list[str]]] = {}
    for column, run in runs.items():
        probes, others = tally.probes(run)
        lacking = [(probe.name, probe.costs) for probe in probes if probe.costs]
        lacking += [(one.reason, [one]) for one in others]
        for name, costs in lacking:
            ids, names = found.setdefault(name, (set(), []))
            ids |= {result.id for result in costs}
            names.append(column.name)
    for name, (ids, names) in sorted(found.items()):
        yield _row(
            _text(words.clipped(name, summary._REASON)),
            words.counted(len(ids), "scenario"),
            _text("; ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")),
        )
