"""The reactor on a simulated kernel that counts the waits of its leader, for tests of the kqueue backend."""

from __future__ import annotations

import errno
import os

from harness.kernel import Kernel, SimulatedSystem, dialects
from harness.kernel.pollers.kqueue import Kqueue
from reactor import IoContext

DIALECTS = [name for name, dialect in dialects.DIALECTS.items() if dialect.has("kqueue")]
#: No test here needs nearly as many; a leader that spins does, for virtual time stands still.
WAITS = 2_000


class WatchedKqueue(Kqueue):
    """A kqueue that counts its waits, and may be refused memory."""

    waits = 0
    starved = False

    def control(self, changelist, max_events, timeout=None):
        if changelist and self.starved:
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
        if max_events:
            self.waits += 1
            assert self.waits <= WAITS, "the leader spins"
        return super().control(changelist, max_events, timeout)


class Watched(SimulatedSystem):
    """A simulated system whose kqueues count.

    Attributes:
        kqueues: those that were made.
        interrupted: so many of the next writes to a pipe are interrupted by a signal.
    """

    interrupted = 0

    def __init__(self, kernel):
        super().__init__(kernel)
        self.kqueues: list[WatchedKqueue] = []

    def kqueue(self):
        made = WatchedKqueue(self.kernel)
        self.kqueues.append(made)
        return made

    def write(self, fd, data):
        if self.interrupted:
            self.interrupted -= 1
            raise InterruptedError(errno.EINTR, "a signal")
        return super().write(fd, data)


class Ground:
    """A kernel, and a context on it."""

    def __init__(self, dialect, spec):
        self.kernel = Kernel(dialect, seed=5)
        self.system = Watched(self.kernel)
        self.context = IoContext(spec, system=self.system)

    def run(self, function, *args):
        task = self.context.spawn(function, *args)
        self.context.run()
        return task.result()

    @property
    def waits(self):
        return self.context.counters().waits
