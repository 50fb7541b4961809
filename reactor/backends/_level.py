"""What poll and select share: interest that follows the parked operations.

A level-triggered poller that is asked for more than somebody waits for spins on unread data, so the
interest of a descriptor is exactly `Descriptor.interest`. Changes are only noted when they happen
and told to the poller before the next wait: an operation that parks again before then (as a server
does after each request) costs no change at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import Backend

if TYPE_CHECKING:
    from ..descriptor import Descriptor


class LevelBackend(Backend):
    """Base of the level-triggered backends."""

    edge_triggered = False

    def open(self) -> None:
        """Start with nobody interested."""
        # Numbers whose interest may have changed: added to under the mutex, emptied by the
        # leader without it; dict operations are atomic, and who adds while the leader waits
        # interrupts it.
        self._changed: dict[int, None] = {}
        self._applied: dict[int, int] = {}  # only the leader's

    def add(self, descriptor: Descriptor, directions: int) -> None:
        """Nothing yet: interest comes with the operation."""

    def remove(self, descriptor: Descriptor) -> None:
        """Have the interest dropped before the next wait."""
        self._changed[descriptor.fd] = None

    def interest_changed(self, descriptor: Descriptor) -> None:
        """Note that the interest must be looked at before the next wait."""
        self._changed[descriptor.fd] = None

    def apply_changes(self) -> None:
        """Tell the poller about the interests that are different from what it has."""
        changed = self._changed
        while changed:
            fd, _ = changed.popitem()
            descriptor = self.descriptors.get(fd)
            interest = 0 if descriptor is None else descriptor.interest
            before = self._applied.get(fd, 0)
            if interest != before:
                self.interest_changes += 1
                if interest:
                    self._applied[fd] = interest
                else:
                    del self._applied[fd]
                self.change(fd, before, interest)

    def change(self, fd: int, before: int, interest: int) -> None:
        """Tell the poller: `fd` was watched for `before` and is to be watched for `interest`."""
        raise NotImplementedError
