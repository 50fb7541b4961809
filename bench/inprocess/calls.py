"""Calls: posted by a call, and by another thread."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from . import library as words

if TYPE_CHECKING:
    from .library import Library
    from .meter import Meter


def post(library: Library, meter: Meter, *, batch: int) -> None:
    """Post `batch` empty calls from a call, and behind them the one that posts the next."""
    give: Any = library.post
    nothing = words.nothing

    def first() -> None:
        meter.start()
        more()

    def more() -> None:
        for _ in range(batch):
            give(nothing)
        give(done)

    def done() -> None:
        meter.stop(batch)
        if meter.more():
            meter.start()
            more()
        else:
            library.stop()

    library.run_calls(first)


def post_threads(library: Library, meter: Meter, *, window: int) -> None:
    """Post from another thread, back to back, never more than `window` calls ahead of the loop."""
    give: Any = library.post_from_thread
    nothing = words.nothing
    half = window // 2
    room = threading.Semaphore(2)  # halves of the window that may be posted

    def poster() -> None:
        meter.start()
        batches = 0
        while meter.more():
            room.acquire()
            for _ in range(half):
                give(nothing)
            give(room.release)
            batches += 1
        for _ in range(2):  # all of them have been made
            room.acquire()
        meter.stop(batches * half)
        give(library.stop)

    _beside(library, poster)


def ping(library: Library, meter: Meter) -> None:
    """Post one call from another thread to a loop that sleeps, and wait until it was made."""
    give: Any = library.post_from_thread
    nothing = words.nothing
    made = threading.Lock()
    made.acquire()

    def call() -> None:
        nothing()
        made.release()

    def poster() -> None:
        clock = time.perf_counter
        latencies = meter.latencies
        meter.start()
        while meter.more():
            begin = clock()
            give(call)
            made.acquire()
            latencies.append(clock() - begin)
        meter.stop(len(latencies))
        give(library.stop)

    _beside(library, poster)


def _beside(library: Library, poster: Any) -> None:
    thread = threading.Thread(target=poster)
    library.run_calls(thread.start)
    thread.join()
