"""A clock for what measures itself."""

from __future__ import annotations

import resource
import time
from typing import NamedTuple


class _Moment(NamedTuple):
    """The clocks at one moment, in seconds."""

    wall: float
    user: float
    system: float

    @classmethod
    def now(cls) -> _Moment:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return cls(time.perf_counter(), usage.ru_utime, usage.ru_stime)


class Meter:
    """Counts operations until so many seconds have passed since it was first asked for more."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._begin = self._last = _Moment.now()
        self.operations = 0

    def more(self, done: int) -> bool:
        """Count `done` operations, at first 0; False when the time is over."""
        self.operations += done
        self._last = _Moment.now()
        if not done:
            self._begin = self._last
        return self._last.wall - self._begin.wall < self._seconds

    def result(self) -> dict[str, float]:
        """Return what the worker answers: up to the last time that it was asked for more."""
        begin, last = self._begin, self._last
        return {
            "operations": self.operations,
            "seconds": last.wall - begin.wall,
            "user_s": last.user - begin.user,
            "system_s": last.system - begin.system,
        }
