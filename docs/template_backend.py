"""A backend that does nothing: the whole seam between the scheduler and a poller, to start from.

Copy it to ``reactor/backends/NAME.py`` and go on as `docs/backends.md` says. What has a body here that
does nothing may stay so if the poller needs nothing there. The scheduler's mutex is held during every
call but `wait`; of the two that another thread may make while the leader is inside `wait`, `add` must
reach the wait in progress, and `remove` must not disturb it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reactor.backends.base import Backend
from reactor.errors import Unsupported

if TYPE_CHECKING:
    from reactor.descriptor import Descriptor, Slot
    from reactor.wakers import Waker


class TemplateBackend(Backend):
    """Begin with what is peculiar to this poller, and where you know it from.

    `self.system` is the only way to the operating system. `self.descriptors` is the table of what
    is registered, by number: kept by the base class, for `wait` to look up.
    """

    #: What a user asks for.
    name = "template"
    #: True: watches the directions that `add` was given from then on, and reports changes. False:
    #: derive from `LevelBackend`, which turns parked operations into calls of `change`.
    edge_triggered = True
    #: What can be chosen with ``name+waker`` and ``name+timer``, best first. The last of each must
    #: work everywhere.
    wakers = ("eventfd", "pipe")
    timers = ("timeout",)
    #: Numbers at or above this cannot be watched, None if there is no such limit.
    fd_limit = None

    def open(self) -> None:
        """Make the poller; called once, before everything else.

        Raises:
            OSError: the system has no descriptor left, or no such poller (`Unsupported`).
        """

    def open_timer(self, name: str) -> None:
        """Make the kernel timer `name`, one of `timers`.

        ``timeout`` stands for "none": `wait` is then given how long it may sleep. With any other
        timer `wait` is given no limit, and `arm` says when it has to return.

        Raises:
            Unsupported: this system has no such timer; the next one is tried.
        """
        if name != "timeout":
            raise Unsupported(name)

    def make_waker(self, name: str) -> Waker:
        """Make the waker `name`, one of `wakers`; override it for one that lives in the poller.

        Raises:
            Unsupported: this system has no such waker; the next one is tried.
        """
        return super().make_waker(name)

    def watch_waker(self, fd: int) -> None:
        """Watch the waker's descriptor `fd` for readability, level-triggered."""

    def add(self, descriptor: Descriptor, directions: int) -> None:
        """Start watching `descriptor`, or more of it.

        What is ready at this moment must be reported too, and to a wait in progress.

        Args:
            descriptor: one that is not watched yet, or for READ alone: `descriptor.registered`
                says for what, 0 or READ, until this has returned.
            directions: READ, or READ and WRITE once an operation has to wait to be writable. All
                that is to be watched, not only what is new. A level-triggered poller pays no heed
                to it.

        Raises:
            OSError: the kernel refuses. Then nothing has changed: what was watched before still is.
        """

    def remove(self, descriptor: Descriptor) -> None:
        """Stop watching `descriptor` for what `descriptor.registered` says; then its number is closed.

        That the kernel has forgotten it, because somebody closed the number, is no error.
        """

    def interest_changed(self, descriptor: Descriptor) -> None:
        """`descriptor.interest` may have changed; an edge-triggered poller has no use for it."""

    def wait(self, timeout: float | None) -> list[Slot]:
        """Wait until something is ready, the waker was written, or the time is up.

        The one call without the mutex; only one thread is ever inside.

        Args:
            timeout: seconds; 0 does not block, None has no limit. Rounded up, never down.

        Returns:
            The slots that are ready: for each descriptor with news `descriptor.slots(events)`, with
            a mask of READ, WRITE and STICKY ("an end, an error or urgent data is about", of which
            `slots` takes note). A spurious one is harmless, a missing one a hang; one for a number
            whose owner has changed belongs to nobody (`Descriptor.generation`). The waker is not
            among them: it gets `self.waker.drain()`; nor is the timer: `self.timer_fired()`.
        """
        return []

    def arm(self, seconds: float | None) -> None:
        """Make `wait` return in `seconds`, in place of what was armed before; None disarms.

        Never called with ``timeout``. The wait in progress must obey it too.
        """

    def close_poller(self) -> None:
        """Close the poller and the timer; the base class closes the waker after it."""
