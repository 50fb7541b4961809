"""Counting operations, and the time and memory that they took."""

from __future__ import annotations

import gc
import os
import resource
import statistics
import time
from pathlib import Path
from typing import Any

from ..accounts import peak_memory

_STATM = Path("/proc/self/statm")


class Meter:
    """Counts operations until so many seconds were spent on them.

    Only what lies between `start` and `stop` counts; setting up the next turn does not.

    Args:
        seconds: how long the measurement is to be.

    Attributes:
        limit: the same.
    """

    def __init__(self, seconds: float) -> None:
        self.limit = seconds
        self._begin: float | None = None  # None while it stands still
        self.operations = 0
        self.seconds = self.user = self.system = 0.0
        self.bytes_per_item: float | None = None
        self.latencies: list[float] = []

    def start(self) -> None:
        """Begin, or go on."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        self._user, self._system = usage.ru_utime, usage.ru_stime
        self._begin = time.perf_counter()

    def stop(self, operations: int) -> None:
        """Count what was done since `start`."""
        assert self._begin is not None
        self.seconds += time.perf_counter() - self._begin
        self._begin = None
        usage = resource.getrusage(resource.RUSAGE_SELF)
        self.user += usage.ru_utime - self._user
        self.system += usage.ru_stime - self._system
        self.operations += operations

    def more(self) -> bool:
        """Whether there is time left."""
        spent = self.seconds
        if self._begin is not None:
            spent += time.perf_counter() - self._begin
        return spent < self.limit

    def result(self) -> dict[str, Any]:
        """Return the fields of a `Measurement`."""
        found: dict[str, Any] = {
            "operations": self.operations,
            "seconds": self.seconds,
            "user_s": self.user,
            "system_s": self.system,
            "peak_rss": peak_memory(os.getpid()),
            "bytes_per_item": self.bytes_per_item,
        }
        if len(self.latencies) > 1:
            cuts = statistics.quantiles(self.latencies, n=100, method="inclusive")
            found["p50_us"], found["p99_us"] = cuts[49] * 1e6, cuts[98] * 1e6
        return found


def rss() -> int | None:
    """Return the memory that this process has now, in bytes; None where there is no /proc."""
    gc.collect()
    try:
        pages = int(_STATM.read_text(encoding="ascii").split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")
