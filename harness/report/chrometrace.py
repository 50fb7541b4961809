"""The timeline of a scenario in Chrome's trace format, which Perfetto opens (https://ui.perfetto.dev)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import lanes, words

if TYPE_CHECKING:
    from ..model import Result, RunInfo


def render(result: Result, info: RunInfo) -> dict[str, Any]:
    """Return the document: one track for each task, and for each thread if there are several.

    Times are in microseconds since the attempt began, as the format wants.
    """
    timeline = [event for event in result.timeline if isinstance(event.get("t"), int | float)]
    last = max((event["t"] for event in timeline), default=0.0)
    made: list[dict[str, Any]] = [_meta("process_name", 0, words.where(info))]
    for number, row in enumerate(lanes.rows(timeline), 1):
        kind = "thread " if row.thread else ""
        made.append(_meta("thread_name", number, f"{kind}{row.name}"))
        made.append({**_meta("thread_sort_index", number, ""), "args": {"sort_index": number}})
        for start, stop in row.spans:
            begin = timeline[start]
            end = timeline[stop] if stop is not None else {"t": last}
            made.append(
                _event(
                    "X", number, begin, row.name, ended=stop is not None, outcome=end.get("detail")
                )
                | {"dur": _us(end["t"]) - _us(begin["t"])}
            )
        made += [
            {**_event("i", number, timeline[at], str(timeline[at].get("event", ""))), "s": "t"}
            for at in row.points
        ]
    return {
        "traceEvents": made,
        "displayTimeUnit": "ms",
        "otherData": {
            "scenario": words.visible(result.id),
            "status": str(result.status),
            "replay": words.visible(result.replay),
        },
    }


def _us(seconds: float) -> int:
    return round(seconds * 1_000_000)


def _meta(name: str, track: int, value: str) -> dict[str, Any]:
    return {"ph": "M", "name": name, "pid": 1, "tid": track, "args": {"name": words.visible(value)}}


def _event(kind: str, track: int, event: dict[str, Any], name: str, **more: Any) -> dict[str, Any]:
    told = {key: event.get(key) for key in ("thread", "task", "event", "detail")} | more
    return {
        "ph": kind,
        "name": words.visible(name),
        "cat": "scenario",
        "pid": 1,
        "tid": track,
        "ts": _us(event["t"]),
        "args": {
            key: words.visible(value) if isinstance(value, str) else value
            for key, value in told.items()
            if value not in (None, "")
        },
    }
