"""Scripted pollers and their backends: a waker that is a flag, events that are edges or levels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reactor.backends._level import LevelBackend
from reactor.backends.base import Backend

from .ground import Ground

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from reactor.backends.base import Backend as AnyBackend
    from reactor.descriptor import Descriptor, Slot
    from reactor.system import System

    from .control import Execution
    from .ground import FakeSocket


class ScriptedWaker:
    """A waker: a flag of the poller."""

    name = "scripted"
    fd = -1

    def __init__(self, poller: Poller) -> None:
        self._poller = poller
        self.failures = 0

    def wake(self) -> bool:
        """Raise the flag, unless the write is to fail."""
        self._poller.step("writes the waker")
        if self._poller.closed:
            self._poller.execution.fail("use after close", "the waker is written after close")
        if self.failures:
            self.failures -= 1
            return False
        self._poller.woken = True
        return True

    def drain(self) -> None:
        """Lower the flag."""
        self._poller.step("drains the waker")
        self._poller.woken = False

    def close(self) -> None:
        """Nothing to give back."""


class Poller:
    """The kernel's side of a backend."""

    def __init__(self, execution: Execution, ground: Ground, *, edge: bool) -> None:
        self.execution = execution
        self._key = execution.name_of(self)
        self._edge = edge
        self.sockets: dict[int, FakeSocket] = {}
        self.watched: dict[int, int] = {}
        self.pending: dict[int, int] = {}
        self.woken = False
        self.closed = False
        self.inside = 0
        self.deadline = float("inf")  # of the wait in progress
        self.timer = float("inf")  # when the kernel's timer goes off
        ground.pollers.append(self)

    def step(
        self,
        label: str,
        harmless: Callable[[], bool] | None = None,
        looks: Callable[[], Sequence[str]] | None = None,
    ) -> None:
        """Announce a change of the poller's state."""
        self.execution.step(
            self._key, True, label, None, self._ready, harmless=harmless, looks=looks
        )

    def _ready(self) -> bool:
        return self.woken or self.execution.now >= self.timer or bool(self._events())

    def _events(self) -> dict[int, int]:
        if self._edge:
            return self.pending
        return {
            fd: events
            for fd, mask in self.watched.items()
            if (events := self.sockets[fd].readiness(mask))
        }

    def changed(self, sock: FakeSocket, events: int) -> None:
        """A socket became ready for something; a level-triggered poller looks for itself."""
        if not self._edge:
            return
        fd = sock.fileno()

        def elsewhere() -> bool:
            return self.watched.get(fd, 0) & events == 0 or self.sockets[fd] is not sock

        self.step(f"the kernel notes events {events} of fd {fd}", harmless=elsewhere)
        if not elsewhere():
            self.pending[fd] = self.pending.get(fd, 0) | events

    def _watched_sockets(self) -> list[str]:
        """What a level-triggered wait looks at."""
        return [] if self._edge else [self.sockets[fd]._key for fd in self.watched]

    def watch(self, sock: FakeSocket, events: int) -> None:
        """Watch a socket for `events`, or no longer for 0."""
        fd = sock.fileno()
        looks = (lambda: [sock._key]) if self._edge and events else None
        self.step(f"watches fd {fd} for {events}", looks=looks)
        if self.closed:
            self.execution.fail("use after close", "the poller is used after close")
        if events:
            self.sockets[fd], self.watched[fd] = sock, events
            if self._edge and (now := sock.readiness(events)):
                self.pending[fd] = self.pending.get(fd, 0) | now
        else:
            self.watched.pop(fd, None)
            self.pending.pop(fd, None)

    def wait(self, timeout: float | None) -> list[tuple[int, int]]:
        """Wait; a step that ends when there is something to report."""
        execution = self.execution
        if self.inside:
            execution.fail("two leaders", "a second thread enters the poller's wait")
        self.inside += 1
        if timeout is not None:
            self.deadline = execution.now + timeout

        def enabled() -> bool:
            return timeout == 0 or self._ready() or execution.now >= self.deadline

        label = f"waits in the poller ({'for ever' if timeout is None else f'{timeout:g} s'})"
        try:
            looks = self._watched_sockets
            execution.step(self._key, True, label, enabled, self._ready, timeout != 0, looks=looks)
        finally:
            self.inside -= 1
            if timeout is not None:
                self.deadline = float("inf")
        events = list(self._events().items())
        self.pending.clear()
        return events


class _Scripted(Backend):
    """What both scripted backends share; mixed in before `Backend` or `LevelBackend`."""

    wakers = ("scripted",)
    _edge = True

    def open(self) -> None:
        """Make the kernel's side."""
        super().open()
        assert isinstance(self.system, Ground)
        self.poller = Poller(self.system._execution, self.system, edge=self._edge)

    def make_waker(self, name: str) -> Any:
        """Make the flag."""
        return ScriptedWaker(self.poller)

    def watch_waker(self, fd: int) -> None:
        """The poller has it."""

    def wait(self, timeout: float | None) -> list[Slot]:
        """Ask the poller."""
        reported = self.poller.wait(timeout)
        if self.poller.woken:
            self.waker.drain()
        if self.poller.execution.now >= self.poller.timer:
            self.poller.timer = float("inf")
            self.timer_fired()
        return self.slots_of(reported)

    def close_poller(self) -> None:
        """No more of it."""
        self.poller.step("closes the poller")
        self.poller.closed = True


class EdgeBackend(_Scripted):
    """Edge-triggered, woken by a flag, timed by the wait's own timeout."""

    name = "edge"
    edge_triggered = True

    def add(self, descriptor: Descriptor, directions: int) -> None:
        """Watch for what is asked, so far."""
        self.poller.watch(descriptor.sock, directions)

    def remove(self, descriptor: Descriptor) -> None:
        """Watch for nothing."""
        self.poller.watch(descriptor.sock, 0)


class TimerBackend(EdgeBackend):
    """As `EdgeBackend`, with a kernel timer."""

    name = "edge-timer"
    timers = ("timer",)

    def open_timer(self, name: str) -> None:
        """The poller has it."""

    def arm(self, seconds: float | None) -> None:
        """Set the kernel's timer, which a wait in progress sees."""
        self.poller.step(f"sets the kernel's timer to {seconds}")
        now = self.poller.execution.now
        self.poller.timer = float("inf") if seconds is None else now + seconds


class LevelBackendScripted(_Scripted, LevelBackend):
    """Level-triggered: what is ready is reported as long as it is asked for.

    The leader alone changes what is watched, before it waits: as with poll(2) and select(2), what
    others ask for meanwhile is not seen.
    """

    name = "level"
    _edge = False

    def change(self, fd: int, before: int, interest: int) -> None:
        """Watch for what is asked."""
        descriptor = self.descriptors.get(fd)
        if descriptor is not None:
            self.poller.watch(descriptor.sock, interest)
        else:
            self.poller.step(f"watches fd {fd} no longer")
            self.poller.watched.pop(fd, None)

    def wait(self, timeout: float | None) -> list[Slot]:
        """Tell the poller what changed, and ask it."""
        self.apply_changes()
        return super().wait(timeout)


BACKENDS: dict[str, Callable[[System], AnyBackend]] = {
    "edge": EdgeBackend,
    "edge-timer": TimerBackend,
    "level": LevelBackendScripted,
}
