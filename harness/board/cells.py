"""The chunk of one scenario: everything that its page shows, in all columns.

Texts stand once, in a table, and are named by their numbers: the same scenario says the same in
most columns. So do whole traces.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from ..model import Status
from ..report import lanes, words

if TYPE_CHECKING:
    from ..column import Column
    from ..model import Result, Run

_STATUSES: Final = list(Status)

#: Events of one record, and characters of one text, of a result that is as expected, and of one that
#: is not; `run.json` has everything.
_EVENTS: Final = (200, 1_000)
_TEXT: Final = (2_000, 60_000)


class _Table:
    """Gives each different value a number."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._numbers: dict[Any, int] = {}

    def add(self, value: Any) -> int:
        number = self._numbers.setdefault(value, len(self.values))
        if number == len(self.values):
            self.values.append(value)
        return number


def chunk(
    number: int,
    results: dict[Column, Result],
    columns: list[Column],
    history: dict[Column, dict[str, list[tuple[Run, Result]]]],
) -> dict[str, Any]:
    """Return the chunk of one scenario.

    Args:
        number: of the scenario in the index.
        results: its newest result in each column.
        columns: all of them, in the order of the index.
        history: of each column, all results by scenario, the newest last.
    """
    made = _Chunk()
    found = [
        made.cell(columns.index(column), result, history[column][result.id])
        for column, result in sorted(results.items())
    ]
    newest = max(results.values(), key=lambda result: len(result.permits))
    return {
        "number": number,
        "title": words.visible(newest.title),
        "provenance": words.visible(newest.provenance),
        "permits": {words.visible(k): words.visible(v) for k, v in newest.permits.items()},
        "texts": made.texts.values,
        "traces": made.traces.values,
        "cells": found,
    }


class _Chunk:
    def __init__(self) -> None:
        self.texts = _Table()
        self.traces = _Table()

    def cell(
        self, column: int, result: Result, history: list[tuple[Run, Result]]
    ) -> dict[str, Any]:
        long = int(result.unexpected)
        text = self._text
        trace, cut = _ends(result.trace, _EVENTS[long])
        timeline, cut_too = _ends(
            [event for event in result.timeline if isinstance(event.get("t"), int | float)],
            _EVENTS[long],
        )
        made: dict[str, Any] = {
            "column": column,
            "status": _STATUSES.index(result.status),
            "unexpected": result.unexpected,
            "surprise": words.surprise(result),
            "expected": words.expected(result),
            "seconds": round(result.duration_s, 6),
            "replay": text(result.replay),
            "trace": self.traces.add(
                tuple(
                    tuple(text(str(event.get(key, ""))) for key in ("who", "event", "detail"))
                    for event in trace
                )
            ),
            "timeline": [
                [
                    round(event["t"] * 1_000_000),
                    *(
                        text(str(event.get(key, "")))
                        for key in ("thread", "task", "event", "detail")
                    ),
                ]
                for event in timeline
            ],
            "lanes": [
                [text(row.name), row.spans, row.points, int(row.thread)]
                for row in lanes.rows(timeline)
            ],
            "attempts": [
                [_STATUSES.index(one.status), round(one.duration_s, 6), text(one.reason), one.seed]
                for one in result.attempts[:50]
            ],
            "history": _folded(history),
            "counters": {words.visible(key): n for key, n in result.counters.items() if n},
        }
        if cut or cut_too:
            made["cut"] = [cut, cut_too]
        if len(result.attempts) > 50:
            made["more"] = len(result.attempts) - 50
        texts = {
            "reason": result.reason,
            "expected_reason": result.expected_reason,
            "variant": result.variant,
            "dump": result.dump,
            "stacks": result.stacks,
            "output": result.output,
        }
        for key, value in texts.items():
            if value:
                made[key] = text(words.clipped(value, _TEXT[long]))
        if result.info:
            made["info"] = {
                words.visible(key): text(words.clipped(_said(value), _TEXT[0]))
                for key, value in result.info.items()
            }
        broken = [one for one in result.oracles if not one.get("ok")]
        made["oracles"] = [
            len(result.oracles),
            [[text(str(one.get("name"))), text(str(one.get("detail", "")))] for one in broken],
        ]
        return made

    def _text(self, value: str) -> int:
        return self.texts.add(words.visible(value))


def _said(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=repr)


def _ends(events: list[dict[str, Any]], limit: int) -> tuple[list[dict[str, Any]], int]:
    """Keep both ends of a long record, and tell how many are left out of its middle."""
    if len(events) <= limit:
        return events, 0
    tail = limit // 3
    return [*events[: limit - tail], *events[-tail:]], len(events) - limit


def stamp(run: Run) -> list[str]:
    """Return the day of a run, and its commit."""
    return [run.info.started[:10], str(run.info.git.get("sha") or "")[:9]]


def _folded(history: list[tuple[Run, Result]]) -> list[list[Any]]:
    """Fold runs that ended alike: status, how many, the first and the last as date and commit."""
    found: list[list[Any]] = []
    for run, result in history:
        status = _STATUSES.index(result.status)
        here = [words.visible(text) for text in stamp(run)]
        if found and found[-1][0] == status:
            found[-1][1] += 1
            found[-1][3] = here
        else:
            found.append([status, 1, here, here])
    return found
