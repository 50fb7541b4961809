"""The fake clock: virtual time for the subject, under its own pollers.

The system's clock is a number that only waits move. A poller is asked with a zero timeout first;
if nothing is there, the clock goes forward by the timeout, as if the wait had lasted that long.
A wait without a timeout really waits, since nothing but real I/O or another thread can end it.
Kernel timers are refused, so every backend takes its deadlines as timeouts.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


#: Real seconds for which a wait looks at its poller before it asks again whether all is at rest.
_GLANCE = 0.001


class FakeClock:
    """Virtual monotonic seconds, starting at a time that is not zero.

    Attributes:
        waits: every timeout that a poller was asked for, in seconds; None for no limit.
        at_rest: given how many threads wait, tells whether no other thread of the subject works.
            Time does not pass while one does, or how much it sees would depend on the machine.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards the fields: helper threads may advance the clock
        self._now = 1_000.0
        self._early: list[float] = []
        self._cap = float("inf")
        self.waits: list[float | None] = []
        self.at_rest: Callable[[int], bool] = lambda _waiting: True
        self._waiting = 0

    def monotonic(self) -> float:
        """Return the virtual time in seconds."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move the clock forward, as a busy handler does."""
        with self._lock:
            self._now += seconds

    def early(self, *seconds: float) -> None:
        """Let the next waits return so many seconds before their timeout, one after the other."""
        with self._lock:
            self._early.extend(seconds)

    def cap(self, seconds: float) -> None:
        """Let no wait last longer than this, as OpenBSD's 24 hours do."""
        with self._lock:
            self._cap = seconds

    def wait(self, timeout: float | None, ask: Callable[[float | None], Any]) -> Any:
        """Wait through `ask`, which is the real poller's wait with a timeout in seconds."""
        if timeout is not None and timeout < 0:
            timeout = None
        with self._lock:
            self.waits.append(timeout)
            self._waiting += 1
        try:
            if timeout is None:
                return ask(None)
            found = ask(0)
            while timeout and not _anything(found) and not self.at_rest(self._waiting):
                found = ask(_GLANCE)
            if not _anything(found):
                self._pass(timeout)
        finally:
            with self._lock:
                self._waiting -= 1
        return found

    def _pass(self, timeout: float) -> None:
        with self._lock:
            lasts = min(timeout, self._cap)
            if lasts > 0 and self._early:
                lasts = max(lasts - self._early.pop(0), 0.0)
            self._now += lasts


def _anything(found: Any) -> bool:
    """Tell whether a poller's answer has an event: a list, or select's three lists."""
    return any(found) if isinstance(found, tuple) else bool(found)


class FakePoller:
    """Stands before a poller object of `select` and takes its waits over."""

    def __init__(self, clock: FakeClock, real: Any) -> None:
        self._clock = clock
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class FakeEpoll(FakePoller):
    """`select.epoll` in virtual time."""

    def poll(self, timeout: float | None = None, maxevents: int = -1) -> Any:
        """As `select.epoll.poll`, seconds."""
        return self._clock.wait(
            timeout, lambda seconds: self._real.poll(-1 if seconds is None else seconds, maxevents)
        )


class FakePoll(FakePoller):
    """`select.poll` in virtual time."""

    def poll(self, timeout: float | None = None) -> Any:
        """As `select.poll`, milliseconds."""
        return self._clock.wait(None if timeout is None else timeout / 1000, self._real.poll)


class FakeKqueue(FakePoller):
    """`select.kqueue` in virtual time."""

    def control(
        self, changes: Iterable[Any] | None, max_events: int, timeout: float | None = None
    ) -> Any:
        """As `select.kqueue.control`, seconds; a call that takes no events is no wait."""
        if not max_events:
            return self._real.control(changes, 0, 0)
        pending = [changes]

        def ask(seconds: float | None) -> Any:
            return self._real.control(pending.pop() if pending else None, max_events, seconds)

        return self._clock.wait(timeout, ask)
