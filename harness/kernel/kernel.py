"""The simulated kernel: descriptor numbers, the clock, names, and the threads that wait in it."""

from __future__ import annotations

import errno
import hashlib
import heapq
import itertools
import math
import random
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from .description import Description, fail
from .dialects import DIALECTS, Dialect
from .threads import Baton, VirtualThread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .nemesis import Fault, Nemesis

#: The clock starts here, in seconds: not at zero, where a forgotten start time would not show.
EPOCH: Final = 1_000

_NANO: Final = 1_000_000_000
#: How many of the latest trace lines are kept as text.
_KEPT: Final = 10_000


class RunawayError(RuntimeError):
    """More calls have been made than `Kernel.limit` allows."""


class Timer:
    """A call at a time of the virtual clock."""

    __slots__ = ("action", "due")

    def __init__(self, due: int, action: Callable[[], None]) -> None:
        self.due = due
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        """Take it back."""
        self.action = None


class Kernel:
    """A deterministic model of the part of a POSIX kernel that a reactor uses.

    Args:
        dialect: whose rules it keeps: a `Dialect`, or the name of one in `DIALECTS`.
        seed: decides every choice that the kernel is free to make.
        nofile: RLIMIT_NOFILE, the number of descriptors that may be open.
        call_ns: nanoseconds that each call takes; with 0 time moves only when everybody waits.
        slice_calls: calls after which, on average, a thread lets another go on; with 0 threads
            change places only where one waits.

    Attributes:
        now: the virtual monotonic clock, in nanoseconds.
        nofile: may be changed at any time, as setrlimit(2) does.
        busy_ns: nanoseconds that the calls took so far.
        trace: the latest calls that were made, as text.
        calls: how many lines the trace has had.
        limit: of `calls`; a program that spins ends there, with `RunawayError`.
        nemesis: makes rare events happen; None for none.
        on_idle: called whenever every thread waits, before the clock moves; it may not wait, and
            returns whether to look again who can run.

    Raises:
        ValueError: there is no such dialect.
    """

    def __init__(
        self,
        dialect: str | Dialect = "linux",
        seed: int = 0,
        *,
        nofile: int = 1024,
        call_ns: int = 0,
        slice_calls: int = 0,
    ) -> None:
        if isinstance(dialect, str):
            if dialect not in DIALECTS:
                raise ValueError(f"unknown dialect {dialect!r}; allowed: {', '.join(DIALECTS)}")
            dialect = DIALECTS[dialect]
        self.dialect = dialect
        self.seed = seed
        self.random = random.Random(seed)
        self.nofile = nofile
        self.now = EPOCH * _NANO
        self.busy_ns = 0
        self._call_ns = call_ns
        self.baton = Baton(self, slice_calls)
        self.trace: deque[str] = deque(maxlen=_KEPT)
        self.calls = 0
        self.limit = math.inf
        self.nemesis: Nemesis | None = None
        self.on_idle: Callable[[], bool] = bool
        self._wall_ahead = 0.0
        self._digest = hashlib.blake2b(digest_size=16)
        self._timers: list[tuple[int, int, Timer]] = []
        self._order = itertools.count()
        # 0, 1 and 2 are taken, as in most processes.
        self._table: dict[int, Description] = {number: Description(self) for number in range(3)}
        for description in self._table.values():
            description.references = 1
        #: Called with a number that has just been closed: kqueues forget it, dup or no dup.
        self.on_close: list[Callable[[int], None]] = []
        #: Bound sockets, by family, type and port or path.
        self.names: dict[Any, list[Any]] = {}
        self._ports = itertools.cycle(range(49_152, 65_536))
        self.paths: set[str | bytes] = set()

    # -- Descriptors

    def allocate(self, description: Description, least: int = 0) -> int:
        """Give `description` the lowest free number from `least` on.

        Raises:
            OSError: EMFILE, there are `nofile` descriptors already.
        """
        number = next(number for number in itertools.count(least) if number not in self._table)
        if number >= self.nofile:
            raise fail(errno.EMFILE)
        self._table[number] = description
        description.references += 1
        return number

    def check_room(self, count: int = 1) -> None:
        """Raise EMFILE unless `count` more descriptors can be opened."""
        if sum(number < self.nofile for number in self._table) + count > self.nofile:
            raise fail(errno.EMFILE)

    def get(self, number: int) -> Description:
        """Return what `number` refers to.

        Raises:
            OSError: EBADF, it refers to nothing.
        """
        description = self._table.get(number)
        if description is None:
            raise fail(errno.EBADF)
        return description

    def is_open(self, number: int) -> bool:
        """Tell whether `number` refers to anything."""
        return number in self._table

    def open_numbers(self) -> list[int]:
        """Return the numbers in use, without 0, 1 and 2."""
        return sorted(number for number in self._table if number > 2)

    def dup(self, number: int, least: int = 0) -> int:
        """dup(2), and F_DUPFD of fcntl(2) with its lowest number."""
        return self.allocate(self.get(number), least)

    def dup2(self, number: int, to: int) -> None:
        """dup2(2)."""
        description = self.get(number)
        if number == to:
            return
        if to in self._table:
            self.close(to)
        self._table[to] = description
        description.references += 1

    def close(self, number: int) -> None:
        """close(2)."""
        description = self.get(number)
        del self._table[number]
        for forget in list(self.on_close):
            forget(number)
        description.references -= 1
        if not description.references:
            description.leave()

    # -- The clock

    def monotonic(self) -> float:
        """Return the virtual time in seconds."""
        return self.now / _NANO

    def wall_clock(self) -> float:
        """Return the time of day in seconds, which nothing that waits may follow."""
        return self.monotonic() + self._wall_ahead

    def set_wall_clock(self, seconds: float) -> None:
        """Set the time of day so many seconds ahead, as clock_settime(2) and NTP do."""
        self._wall_ahead += seconds

    def at(self, due: int, action: Callable[[], None]) -> Timer:
        """Call `action` when the clock shows `due`, in nanoseconds."""
        timer = Timer(due, action)
        heapq.heappush(self._timers, (due, next(self._order), timer))
        return timer

    def after(self, seconds: float, action: Callable[[], None]) -> Timer:
        """Call `action` in so many seconds."""
        return self.at(self.now + math.ceil(seconds * _NANO), action)

    def next_timer(self) -> int | None:
        """Return when the next timer is due."""
        timers = self._timers
        while timers and timers[0][2].action is None:
            heapq.heappop(timers)
        return timers[0][0] if timers else None

    def move_clock(self, to: int) -> None:
        """Move the clock forward to `to`, in nanoseconds, and run the timers that are due."""
        while (due := self.next_timer()) is not None and due <= to:
            _, _, timer = heapq.heappop(self._timers)
            self.now = max(self.now, due)
            action, timer.action = timer.action, None
            if action is not None:
                action()
        self.now = max(self.now, to)

    def advance(self, seconds: float) -> None:
        """Move the clock forward, as a busy thread does."""
        self.move_clock(self.now + math.ceil(seconds * _NANO))

    # -- Rare events

    def enter(self, call: str, description: Description | None = None) -> Sequence[Fault]:
        """A system call begins; returns the rules of the nemesis that it has to follow.

        Raises:
            OSError: it fails by one of them.
        """
        return () if self.nemesis is None else self.nemesis.enter(call, description)

    def strike(self, rule: Fault) -> None:
        """A call follows a rule of the nemesis."""
        if self.nemesis is not None:
            self.nemesis.strike(rule)

    def point(self, name: str) -> None:
        """A thread is where it may be pre-empted."""
        if self.nemesis is not None:
            self.nemesis.point(name)

    # -- Threads

    def spawn(self, name: str, function: Callable[[], object]) -> VirtualThread:
        """Start a virtual thread, such as a peer."""
        return self.baton.spawn(name, function)

    def sleep(self, ready: Callable[[], object], timeout: float | None, what: str) -> bool:
        """Wait until `ready()` or for `timeout` seconds (None: for ever); False when that passed."""
        return self.baton.sleep_for(ready, timeout, what)

    def pause(self, seconds: float) -> None:
        """time.sleep in virtual time."""
        self.sleep(lambda: False, seconds, "time to pass")

    # -- Names

    def free_port(self, key: Callable[[int], Any]) -> int:
        """Choose a port that nobody has; `key` makes the name that it would be in `names`.

        Raises:
            OSError: EADDRINUSE, there is none.
        """
        for _ in range(16_384):
            port = next(self._ports)
            if not self.names.get(key(port)):
                return port
        raise fail(errno.EADDRINUSE)

    # -- The trace

    def record(self, call: str, *detail: object) -> None:
        """Write one line of the trace: a call has been made, and took its time.

        Raises:
            RunawayError: there are too many.
        """
        self.calls += 1
        if self.calls > self.limit:
            raise RunawayError(f"more than {self.limit} calls")
        line = f"{self.now} {self.baton.current().name} {call} {' '.join(map(repr, detail))}"
        self.trace.append(line)
        self._digest.update(line.encode() + b"\n")
        if self._call_ns:
            self.busy_ns += self._call_ns
            self.move_clock(self.now + self._call_ns)
        self.baton.step()

    def digest(self) -> str:
        """Return a hash of every line so far: equal for equal runs, in any process."""
        return self._digest.hexdigest()
