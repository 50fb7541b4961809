"""The timeline of one scenario as lanes, one for each task, to be drawn."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: Of the drawing, in its own units.
WIDTH: Final = 1000
LABEL: Final = 170
HEIGHT: Final = 20
#: How many lanes and events a drawing may have and still be read.
LANES: Final = 16
EVENTS: Final = 200

_BEGIN = ("start", "runs")
_END = ("ends", "outcome")


@dataclass(slots=True)
class Bar:
    """An operation, from its start to its end."""

    x: float
    width: float
    text: str
    ended: bool


@dataclass(slots=True)
class Dot:
    """Something that happened at one moment."""

    x: float
    text: str


@dataclass(slots=True)
class Lane:
    """What one task did."""

    name: str
    bars: list[Bar] = field(default_factory=list)
    dots: list[Dot] = field(default_factory=list)


@dataclass(slots=True)
class Drawing:
    """All lanes, and the seconds at which they begin and end; `hidden` lanes found no room."""

    lanes: list[Lane]
    begin: float
    end: float
    hidden: int

    @property
    def height(self) -> int:
        """Of the whole drawing."""
        return (len(self.lanes) + 1) * HEIGHT


@dataclass(slots=True)
class Row:
    """What one task did, or one thread, as indices of events.

    Attributes:
        name: of it.
        spans: operations, from the event that began each to the one that ended it; None: it never did.
        points: events that stand for themselves.
        thread: whether it is a thread.
    """

    name: str
    spans: list[tuple[int, int | None]] = field(default_factory=list)
    points: list[int] = field(default_factory=list)
    thread: bool = False


def rows(timeline: Sequence[dict[str, Any]]) -> list[Row]:
    """Sort the events of a timeline: a row for each task, and for each thread if there are several."""
    found: dict[str, Row] = {}
    begun: dict[str, int] = {}
    threads: dict[str, Row] = {}
    for index, event in enumerate(timeline):
        name, kind = str(event.get("task", "")), event.get("event")
        row = found.setdefault(name, Row(name))
        thread = str(event.get("thread", ""))
        threads.setdefault(thread, Row(thread, thread=True)).points.append(index)
        if kind in _BEGIN:
            begun.setdefault(name, index)
        elif kind in _END:
            if name in begun:  # the first of the two; the other one only repeats it
                row.spans.append((begun.pop(name), index))
        else:
            row.points.append(index)
    for name, index in begun.items():
        found[name].spans.append((index, None))
    return [*found.values(), *(threads.values() if len(threads) > 1 else ())]


def draw(timeline: Sequence[dict[str, Any]]) -> Drawing | None:
    """Lay a timeline out; None if there is nothing that a table does not show as well."""
    events = [event for event in timeline if isinstance(event.get("t"), int | float)]
    if not 2 <= len(events) <= EVENTS:
        return None
    moments = [float(event["t"]) for event in events]
    begin, end = min(moments), max(moments)
    scale = (WIDTH - LABEL - HEIGHT) / ((end - begin) or 1.0)

    def place(moment: float) -> float:
        return round(LABEL + HEIGHT / 2 + (moment - begin) * scale, 1)

    by_task = [row for row in rows(events) if not row.thread]
    lanes = []
    for row in by_task[:LANES]:
        lane = Lane(row.name, dots=[Dot(place(moments[at]), _say(events[at])) for at in row.points])
        for start, stop in row.spans:
            if stop is None:
                text = f"{_say(events[start])}; it never ended"
                lane.bars.append(_bar(place, events[start], {"t": end}, text=text, ended=False))
            else:
                lane.bars.append(_bar(place, events[start], events[stop], text=_say(events[stop])))
        lanes.append(lane)
    return Drawing(lanes, begin, end, hidden=len(by_task) - len(lanes))


def _bar(
    place: Callable[[float], float],
    start: dict[str, Any],
    stop: dict[str, Any],
    *,
    text: str,
    ended: bool = True,
) -> Bar:
    left, right = place(start["t"]), place(stop["t"])
    return Bar(left, round(max(right - left, 3), 1), text, ended)


def _say(event: dict[str, Any]) -> str:
    detail = event.get("detail")
    said = f"{event.get('event', '')} {detail}" if detail else str(event.get("event", ""))
    return f"{event['t'] * 1000:.3f} ms: {said}"
