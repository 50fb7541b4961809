"""The trace: what the subject visibly did, in a form that can be compared across backends.

Two records are kept. The *trace* is normalised: events of the scenario's own making (operations
started and ended, permits, notes), without clock, descriptor numbers, ports or addresses, so that
the traces of one scenario on two backends differ only where the subjects behaved differently. The
*timeline* has the times and threads as well, for the person who looks for the reason.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

Sink = "Callable[[dict[str, Any]], None]"


class Trace:
    """Collects the events of one scenario.

    Args:
        sink: is given each event as it happens, so that a hang or a crash leaves the last ones.
        monotonic: the clock of the timeline, in seconds.
    """

    def __init__(
        self,
        sink: Callable[[dict[str, Any]], None] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sink = sink
        self._lock = threading.Lock()  # guards both lists: helper threads record too
        self._monotonic = monotonic
        self._begin = monotonic()
        self.events: list[dict[str, Any]] = []
        self.timeline: list[dict[str, Any]] = []

    def event(self, who: str, event: str, detail: str = "") -> None:
        """Record something that every backend must do alike; it goes into both records."""
        with self._lock:
            entry = {"seq": len(self.events), "who": who, "event": event, "detail": detail}
            self.events.append(entry)
            self._emit("trace", entry)
            self._mark(who, event, detail)

    def mark(self, who: str, event: str, detail: str = "") -> None:
        """Record something for the timeline only: scheduling, peers, measurements."""
        with self._lock:
            self._mark(who, event, detail)

    def _mark(self, who: str, event: str, detail: str) -> None:
        entry = {
            "t": round(self._monotonic() - self._begin, 6),
            "thread": threading.current_thread().name,
            "task": who,
            "event": event,
            "detail": detail,
        }
        self.timeline.append(entry)
        self._emit("timeline", entry)

    def _emit(self, kind: str, entry: dict[str, Any]) -> None:
        if self._sink is not None:
            self._sink({"kind": kind, **entry})


def describe(value: object) -> str:
    """Say a value in a way that is the same on every machine.

    Bytes are given by their length and, when short, their text; objects by their type; addresses,
    paths and ancillary data, which holds descriptor numbers, only as what they are.
    """
    match value:
        case None:
            return "None"
        case bytes() | bytearray() | memoryview():
            size = memoryview(value).nbytes
            return repr(bytes(value)) if size <= 32 else f"{size} bytes"
        case str() if value.startswith("/"):
            return "a path"
        case bool() | int() | str():
            return repr(value)
        case (str(), int()) | (str(), int(), int(), int()):
            return "an address"
        case (int(), int(), bytes()):
            return "ancillary data"
        case list() | tuple():
            return "[" + ", ".join(describe(item) for item in value) + "]"
        case _:
            return type(value).__name__
