"""Timed calls: put off and cancelled beside others, due all at once, and the memory that they take."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

from . import library as words
from .meter import rss

if TYPE_CHECKING:
    from .library import Library
    from .meter import Meter

#: Memory is told by pages; of fewer timers the noise would be more than the answer.
LEAST_WEIGHED = 50_000

#: Seconds until the first of those that are to be pending while others come and go.
FAR = 100_000.0


class Pending:
    """Timed calls that stay while a case is measured: made once, for all rounds."""

    def __init__(self) -> None:
        self._timers: list[Any] = []
        self._bytes: float | None = None

    def fill(self, library: Library, count: int, seed: int) -> float | None:
        """Put off `count` calls, if that was not done; returns the memory of one in bytes, if known.

        What is weighed is the growth of the process: what the call returns, the deadline and what
        the library keeps of them, with a list entry to hold it; the function is one and the same.
        """
        if self._timers or not count:
            return self._bytes
        later: Any = library.call_later
        nothing = words.nothing
        draw = random.Random(seed)
        before = rss()

        def fill() -> None:
            self._timers = [later(FAR + FAR * draw.random(), nothing) for _ in range(count)]
            library.stop()

        library.run_calls(fill)
        after = rss()
        if before is not None and after is not None and count >= LEAST_WEIGHED:
            self._bytes = (after - before) / count
        return self._bytes

    def clear(self, library: Library) -> None:
        """Cancel them."""
        for timer in self._timers:
            getattr(timer, library.undo)()
        self._timers = []


def cancel(
    library: Library, meter: Meter, *, batch: int, pending: int, kept: Pending, seed: int
) -> None:
    """Put a call off and cancel it, in batches, each in a call of its own, with `pending` others."""
    meter.bytes_per_item = kept.fill(library, pending, seed)
    later: Any = library.call_later
    give: Any = library.post
    nothing = words.nothing
    closes = library.undo == "close"

    def step() -> None:
        if closes:
            for _ in range(batch):
                later(FAR, nothing).close()
        else:
            for _ in range(batch):
                later(FAR, nothing).cancel()
        give(done)

    def done() -> None:  # what the loop does with them in its turn counts
        meter.stop(batch)
        if meter.more():
            meter.start()
            step()
        else:
            library.stop()

    def first() -> None:
        meter.start()
        step()

    library.run_calls(first)


def fire(library: Library, meter: Meter, *, pending: int) -> None:
    """Let `pending` calls come due at once; only from then until the last was made is measured."""
    later: Any = library.call_later
    give: Any = library.post
    nothing = words.nothing
    timers: list[Any] = []

    def fill() -> None:
        timers.extend(later(0.001, nothing) for _ in range(pending))
        timers.append(later(0.002, done))
        due = time.monotonic() + 0.005
        while time.monotonic() < due:
            pass  # the loop must find all of them due in one turn, so it gets none before
        meter.start()

    def done() -> None:
        meter.stop(pending)
        give(again)  # and so behind whatever is due with this one

    def again() -> None:
        if library.undo == "close":
            for timer in timers:
                timer.close()
        timers.clear()
        if meter.more():
            fill()
        else:
            library.stop()

    library.run_calls(fill)
