"""Signals between threads, over the locks and conditions of any system."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from reactor.system import System


class Thread(Protocol):
    """A thread of a world; it runs already."""

    name: str

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end, for at most so many seconds."""

    def is_alive(self) -> bool:
        """Tell whether it has not ended."""


class _Counter:
    """A number that threads wait for."""

    def __init__(self, system: System, value: int = 0) -> None:
        self._value = value
        self._monotonic = system.monotonic
        self._lock = system.lock()
        self._condition = system.condition(self._lock)

    def _wait(self, timeout: float | None, take: int) -> bool:
        """Wait until it is not zero, and take so much of it; False when the time has passed."""
        deadline = None if timeout is None else self._monotonic() + timeout
        with self._lock:
            while not self._value:
                left = None if deadline is None else deadline - self._monotonic()
                if left is not None and left <= 0:
                    return False
                self._condition.wait(left)
            self._value -= take
            return True


class Semaphore(_Counter):
    """As `threading.Semaphore`."""

    def acquire(self, timeout: float | None = None) -> bool:
        """Take one, waiting for it; False when `timeout` seconds passed before."""
        return self._wait(timeout, 1)

    def release(self) -> None:
        """Give one back."""
        with self._lock:
            self._value += 1
            self._condition.notify()


class Event(_Counter):
    """As `threading.Event`."""

    def set(self) -> None:
        """Let everybody on who waits, now or later."""
        with self._lock:
            self._value = 1
            self._condition.notify_all()

    def is_set(self) -> bool:
        """Tell whether it has been set."""
        return bool(self._value)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set; False when `timeout` seconds passed before."""
        return self._wait(timeout, 0)
