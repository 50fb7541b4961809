"""The backend seam, and what every backend does in the same way.

A backend is a poller with a waker and, where the kernel has one, a timer. It knows nothing of
operations, sockets or tasks. To write one, give these (the scheduler's mutex is held during all but
`wait`, and `wait` is only ever inside one thread at a time, the leader):

``add(descriptor, directions)``
    Start watching it; what is ready at that moment must be reported too. Edge-triggered backends
    watch `directions`, READ or both, and may be called again for both when it was READ before
    (`Descriptor.registered`); level-triggered ones wait to be told. Raises OSError when the kernel
    refuses, and then has changed nothing.
``remove(descriptor)``
    Stop watching it. The number is still open; a kernel that has forgotten it is no error.
``wait(timeout)``
    Block for at most `timeout` seconds (None: no limit, 0: not at all), take care of the waker and
    the timer, and return the slots that are ready: of each descriptor with news those that
    `Descriptor.slots` gives for a mask of READ, WRITE and STICKY. Spurious reports are harmless; a
    report that is left out is not. Reports for a number whose owner has changed since must not reach
    the new owner if the poller can tell.
``interest_changed(descriptor)``
    Only level-triggered backends: `descriptor.interest` may have changed.
``set_deadline(deadline, now)``
    Only backends with a kernel timer: arm it for `deadline`, infinity disarms. Safe while another
    thread waits.
``close()``
    Give everything back.

`docs/template_backend.py` is a backend that does nothing, as a place to start from.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

from ..errors import BackendError, Unsupported
from ..scheduler import MAX_WAIT
from ..wakers import EventfdWaker, PipeWaker

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..descriptor import Descriptor, Slot
    from ..system import System
    from ..wakers import Waker

WAKERS: dict[str, type[EventfdWaker | PipeWaker]] = {
    "eventfd": EventfdWaker,
    "pipe": PipeWaker,
}


class Backend:
    """Base of the backends: the table of descriptors, the waker, and the choice of both axes.

    Args:
        system: the system seam.
        waker: name of the waker, None for the best there is.
        timer: name of the timer, None for the best there is.

    Attributes:
        descriptors: what is registered, by number; guarded by the mutex for writing, and read
            by the leader, for which a report about a number that is gone is no report.
    """

    name: ClassVar[str]
    edge_triggered: ClassVar[bool]
    #: Names of the wakers and timers that this poller can use, best first.
    wakers: ClassVar[Sequence[str]] = ("eventfd", "pipe")
    timers: ClassVar[Sequence[str]] = ("timeout",)
    #: Descriptor numbers at or above this cannot be watched (None: no limit).
    fd_limit: int | None = None

    def __init__(
        self, system: System, *, waker: str | None = None, timer: str | None = None
    ) -> None:
        self.system = system
        self.descriptors: dict[int, Descriptor] = {}
        self.interest_changes = 0
        self._deadline = math.inf
        self.open()
        try:
            self.timer = self._choose(self.timers, timer, self.open_timer)
            self.kernel_timer = self.timer != "timeout"
            self.waker: Waker
            self._choose(self.wakers, waker, self._open_waker)
        except BaseException:
            self.close_poller()
            raise

    def _choose(self, names: Sequence[str], wanted: str | None, opener: Any) -> str:
        for name in names if wanted is None else (wanted,):
            try:
                opener(name)
            except Unsupported as exc:
                if wanted is not None or name == names[-1]:
                    raise BackendError(f"{self.name}: {exc.strerror}") from exc
            else:
                return name
        raise AssertionError("no fallback left")  # the last name always works or raises

    def _open_waker(self, name: str) -> None:
        self.waker = self.make_waker(name)
        try:
            self.watch_waker(self.waker.fd)
        except BaseException:
            self.waker.close()
            raise

    @property
    def spec(self) -> str:
        """The backend with both axes, such as ``epoll+eventfd+timeout``."""
        return f"{self.name}+{self.waker.name}+{self.timer}"

    # -- What a backend gives

    def open(self) -> None:
        """Make the poller."""

    def open_timer(self, name: str) -> None:
        """Make the kernel timer `name`; ``timeout`` needs nothing. Unsupported where missing."""

    def make_waker(self, name: str) -> Waker:
        """Make the waker `name`."""
        return WAKERS[name](self.system)

    def watch_waker(self, fd: int) -> None:
        """Watch the waker's descriptor for readability."""
        raise NotImplementedError

    def add(self, descriptor: Descriptor, directions: int) -> None:
        """Start watching `descriptor`."""
        raise NotImplementedError

    def remove(self, descriptor: Descriptor) -> None:
        """Stop watching `descriptor`."""
        raise NotImplementedError

    def wait(self, timeout: float | None) -> list[Slot]:
        """Wait for readiness; `timeout` in seconds."""
        raise NotImplementedError

    def interest_changed(self, descriptor: Descriptor) -> None:
        """The parked operations of `descriptor` have changed; for level-triggered backends."""

    def arm(self, seconds: float | None) -> None:
        """Set the kernel timer to `seconds` from now, None to disarm it."""
        raise NotImplementedError

    def close_poller(self) -> None:
        """Close the poller and the timer."""

    # -- What all of them share

    def register(self, descriptor: Descriptor, directions: int) -> None:
        """Start watching `descriptor`, or more of it; on an error nothing has changed.

        It is in the table before the poller has it: the leader may be told of it at once, and an
        edge that finds nobody in the table is lost.
        """
        fd = descriptor.fd
        before = self.descriptors.get(fd)
        self.descriptors[fd] = descriptor
        try:
            self.add(descriptor, directions)
        except BaseException:
            if before is None:
                del self.descriptors[fd]
            else:
                self.descriptors[fd] = before
            raise

    def deregister(self, descriptor: Descriptor) -> None:
        """Stop watching `descriptor`, before its number is closed."""
        # It is not in the table when its number was closed behind our back and has a new owner.
        if self.descriptors.get(descriptor.fd) is descriptor:
            del self.descriptors[descriptor.fd]
            self.remove(descriptor)

    def slots_of(self, reports: Iterable[tuple[int, int]]) -> list[Slot]:
        """Return the slots that `reports` are about, numbers with masks as `Descriptor.slots` takes them.

        For a number that nobody has there are none.
        """
        get = self.descriptors.get
        return [
            slot
            for fd, events in reports
            if (descriptor := get(fd)) is not None
            for slot in descriptor.slots(events)
        ]

    def interrupt(self) -> bool:
        """Make a wait in progress, or the next one, return; False when that failed."""
        return self.waker.wake()

    def set_deadline(self, deadline: float, now: float) -> None:
        """Arm the kernel timer for `deadline`, unless it is armed for it already.

        For a far one it goes off early, as `MAX_WAIT` says of timeouts, and is armed again.
        """
        if deadline != self._deadline:
            self._deadline = deadline
            self.arm(None if deadline == math.inf else min(max(deadline - now, 0.0), MAX_WAIT))

    def timer_fired(self) -> None:
        """The kernel timer went off: it is disarmed now."""
        self._deadline = math.inf

    def close(self) -> None:
        """Give everything back."""
        self.descriptors.clear()
        self.close_poller()
        self.waker.close()
