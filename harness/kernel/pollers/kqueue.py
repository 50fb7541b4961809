"""kqueue(2), as sys/kern/kern_event.c does it.

A knote belongs to a number and a filter. A change activates it when its filter agrees; a call takes
active knotes in the order in which they became active, asks the filter again, and puts those that
are neither EV_CLEAR, EV_ONESHOT nor EV_DISPATCH back at the end.
"""

from __future__ import annotations

import errno
import math
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from reactor.backends.kqueue import (
    EV_ADD,
    EV_CLEAR,
    EV_DELETE,
    EV_EOF,
    EV_ERROR,
    EV_ONESHOT,
    FILTER_READ,
    FILTER_TIMER,
    FILTER_USER,
    FILTER_WRITE,
    NOTE_TRIGGER,
)

from ..description import ERR, HUP, IN, OUT, READABLE, Condition, Description, fail
from ..pipe import PipeWriter
from .handle import Handle, unready, wait

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..kernel import Kernel, Timer

__all__ = [  # the reactor's numbers too, for who writes changes by hand
    "EV_ADD",
    "EV_CLEAR",
    "EV_DELETE",
    "EV_EOF",
    "EV_ERROR",
    "EV_ONESHOT",
    "FILTER_READ",
    "FILTER_TIMER",
    "FILTER_USER",
    "FILTER_WRITE",
    "NOTE_TRIGGER",
    "Kevent",
    "Kqueue",
]

# Not used by the reactor; the same on all of them.
EV_ENABLE: Final = 0x4
EV_DISABLE: Final = 0x8
EV_RECEIPT: Final = 0x40
EV_DISPATCH: Final = 0x80
NOTE_FFAND: Final = 0x40000000
NOTE_FFOR: Final = 0x80000000
NOTE_FFCOPY: Final = 0xC0000000
_NOTE_BITS: Final = 0x00FFFFFF

#: Flags that are the kernel's own: a change cannot set them.
_SYSTEM: Final = 0xF000
_ACTIONS: Final = EV_ADD | EV_DELETE | EV_ENABLE | EV_DISABLE
_KEYS: Final = {FILTER_READ: IN | HUP | ERR, FILTER_WRITE: OUT | HUP | ERR}


@dataclass
class Kevent:
    """`select.kevent`, with its defaults."""

    ident: int
    filter: int = FILTER_READ
    flags: int = EV_ADD
    fflags: int = 0
    data: int = 0
    udata: int = 0


class Knote:
    """What a kqueue remembers of one number and filter."""

    def __init__(self, queue: Kqueue, change: Kevent) -> None:
        self.queue = queue
        self.event = replace(change)
        self.enabled = True
        self.active = False
        self.description: Description | None = None
        self.timer: Timer | None = None

    @property
    def key(self) -> tuple[int, int]:
        """The number and the filter."""
        return self.event.ident, self.event.filter

    def look(self) -> Condition:
        """Ask the filter."""
        event = self.event
        if self.description is None:
            return Condition(self.active, event.data, fflags=event.fflags)
        if event.filter == FILTER_READ:
            return self.description.read_condition()
        return self.description.write_condition()

    def changed(self, key: int) -> None:
        """KNOTE: activate it if the filter agrees."""
        if key and not key & _KEYS[self.event.filter]:
            return
        if self.look().active:
            self.activate()

    def gone(self) -> None:
        """The number was closed before; nothing is left to forget."""

    def activate(self) -> None:
        """Have it reported by the next call, when it is enabled."""
        self.active = True
        if self.enabled:
            self.queue.enqueue(self)


class KqueueInstance(Description):
    """What a kqueue descriptor refers to."""

    kind = "kqueue"

    def __init__(self, kernel: Kernel, queue: Kqueue) -> None:
        super().__init__(kernel)
        self._queue = queue

    def mask(self) -> int:
        """A kqueue is readable itself while it holds events."""
        return IN if self._queue.pending() else 0

    def read_condition(self) -> Condition:
        """kqueue_kqfilter: data is the number of events."""
        count = self._queue.pending()
        return Condition(count > 0, count)


class Kqueue(Handle):
    """`select.kqueue` over the model.

    Raises:
        OSError: EMFILE.
    """

    kind = "kqueue"

    def __init__(self, kernel: Kernel) -> None:
        self.knotes: dict[tuple[int, int], Knote] = {}
        self._active: deque[Knote] = deque()
        self._instance = KqueueInstance(kernel, self)
        super().__init__(kernel, self._instance)
        kernel.on_close.append(self._forget_number)

    def _closing(self) -> None:
        """The knotes go too; who is inside a call goes on waiting."""
        self._kernel.on_close.remove(self._forget_number)
        for knote in list(self.knotes.values()):
            self._drop(knote)

    def _forget_number(self, number: int) -> None:
        """knote_fdclose, whatever dup(2) left open."""
        for which in (FILTER_READ, FILTER_WRITE):
            if (number, which) in self.knotes:
                self._drop(self.knotes[number, which])

    # -- Knotes

    def enqueue(self, knote: Knote) -> None:
        """Put an active knote at the end of the queue, once."""
        if knote not in self._active:
            self._active.append(knote)
        self._instance.wake(READABLE)

    def pending(self) -> int:
        """Count the knotes that a call would report."""
        return sum(knote.look().active for knote in self._active)

    def _drop(self, knote: Knote) -> None:
        del self.knotes[knote.key]
        if knote in self._active:
            self._active.remove(knote)
        if knote.description is not None:
            knote.description.unwatch(knote)
        if knote.timer is not None:
            knote.timer.cancel()

    def _apply(self, change: Kevent) -> None:
        """kqueue_register."""
        which = change.filter
        dialect = self._kernel.dialect
        if which not in {FILTER_READ, FILTER_WRITE, FILTER_TIMER} and not (
            which == FILTER_USER and dialect.user_events
        ):
            raise fail(errno.EINVAL)
        description = self._kernel.get(change.ident) if which in _KEYS else None
        knote = self.knotes.get((change.ident, which))
        if knote is None:
            if not change.flags & EV_ADD:
                raise fail(errno.ENOENT)
            knote = self._add(change, description)
        elif change.flags & EV_DELETE:
            self._drop(knote)
            return
        else:
            self._touch(knote, change)
        if change.flags & EV_DISABLE:
            knote.enabled = False
            if knote in self._active:
                self._active.remove(knote)
        looks = bool(change.flags & EV_ADD) or dialect.enable_looks
        if knote.description is not None and looks and knote.look().active:
            knote.activate()
        if change.flags & EV_ENABLE:
            knote.enabled = True
            if knote.active:
                self.enqueue(knote)

    def _add(self, change: Kevent, description: Description | None) -> Knote:
        dialect = self._kernel.dialect
        if (
            change.filter == FILTER_WRITE
            and dialect.dead_pipe_error
            and isinstance(description, PipeWriter)
            and description.pipe.reader is None
        ):
            raise fail(dialect.dead_pipe_error)
        if change.filter == FILTER_TIMER and not change.data and dialect.timer_zero_refused:
            raise fail(errno.EINVAL)
        knote = Knote(self, change)
        kept = change.flags if dialect.keeps_action_flags else change.flags & ~_ACTIONS
        knote.event.flags = kept
        self.knotes[knote.key] = knote
        if description is not None:
            knote.description = description
            description.watch(knote)
        elif change.filter == FILTER_TIMER:
            knote.event.flags |= EV_CLEAR
            knote.event.data = 0
            self._arm(knote, change.data)
        else:
            # Adding does not trigger, whatever `fflags` says (recorded: ADD with TRIGGER at once).
            knote.event.fflags = change.fflags & _NOTE_BITS
        return knote

    def _touch(self, knote: Knote, change: Kevent) -> None:
        """Change one that is there: its flags stay what they were at first."""
        event = knote.event
        if change.flags & EV_ADD or self._kernel.dialect.udata_by_any_change:
            event.udata = change.udata
        if event.filter == FILTER_USER:
            bits = change.fflags & _NOTE_BITS
            how = change.fflags & NOTE_FFCOPY
            if how == NOTE_FFCOPY:
                event.fflags = bits
            elif how == NOTE_FFAND:
                event.fflags &= bits
            elif how == NOTE_FFOR:
                event.fflags |= bits
            if change.fflags & NOTE_TRIGGER:
                event.data = change.data
                knote.activate()
            return
        if (
            event.filter == FILTER_TIMER
            and change.flags & EV_ADD
            and self._kernel.dialect.timer_re_add
        ):
            self._arm(knote, change.data)

    def _arm(self, knote: Knote, milliseconds: int) -> None:
        period = max(milliseconds, 1) * 1_000_000
        if knote.timer is not None:
            knote.timer.cancel()
        if milliseconds < 0 and self._kernel.dialect.timer_zero_refused:
            return

        def expire() -> None:
            knote.event.data += 1
            due = knote.timer.due if knote.timer is not None else self._kernel.now
            knote.timer = None
            if not knote.event.flags & EV_ONESHOT:
                knote.timer = self._kernel.at(due + period, expire)
            knote.activate()

        knote.timer = self._kernel.at(self._kernel.now + period, expire)

    # -- Events

    def _collect(self, room: int) -> list[Kevent]:
        """kqueue_scan."""
        events: list[Kevent] = []
        for _ in range(len(self._active)):
            if len(events) == room:
                break
            knote = self._active.popleft()
            seen = knote.look()
            if not seen.active:
                knote.active = False
                continue
            event = replace(knote.event, data=seen.data, fflags=seen.fflags)
            if seen.eof:
                event.flags |= EV_EOF
            events.append(event)
            if event.flags & EV_ONESHOT:
                self._drop(knote)
                continue
            if event.flags & EV_CLEAR and knote.description is None:
                knote.event.data = knote.event.fflags = 0
            if event.flags & EV_DISPATCH:
                knote.enabled = False
            if event.flags & (EV_CLEAR | EV_DISPATCH):
                knote.active = False
            else:
                self._active.append(knote)
        return events

    def _rumour(self) -> Kevent | None:
        """Return the event of a knote whose socket is not ready."""
        bits = {FILTER_READ: IN, FILTER_WRITE: OUT}
        asked = {
            (fd, bits[which]): knote for (fd, which), knote in self.knotes.items() if which in bits
        }
        found = unready(self._kernel, asked)
        return None if found is None else replace(asked[found].event)

    def control(
        self, changelist: Iterable[Any] | None, max_events: int, timeout: float | None = None
    ) -> list[Kevent]:
        """kevent(2), `timeout` in seconds.

        Raises:
            OSError: a change failed and there was no room to say so in an event; or EINVAL, the
                timeout is too long for it.
            ValueError: the kqueue is closed.
        """
        self._open()
        answers: list[Kevent] = []
        for change in changelist or ():
            self._kernel.record(
                "kevent change", change.ident, change.filter, change.flags, change.fflags
            )
            code = 0
            try:
                if change.flags & EV_ADD and change.filter in _KEYS:
                    self._kernel.enter("register")
                self._apply(replace(change, flags=change.flags & ~_SYSTEM))
            except OSError as exc:
                code = exc.errno or 0
            if code or change.flags & EV_RECEIPT:
                if len(answers) < max_events:
                    answers.append(replace(change, flags=EV_ERROR, data=code))
                elif code:
                    raise fail(code)  # and the changes behind it are not applied
                else:
                    return answers
        if answers or not max_events:
            return answers
        return self._wait(max_events, timeout)

    def _wait(self, max_events: int, timeout: float | None) -> list[Kevent]:
        kernel = self._kernel
        seconds = None if timeout is None or timeout < 0 else math.ceil(timeout * 1e9) / 1e9
        limit = kernel.dialect.kevent_limit
        if limit and seconds is not None and seconds > limit:
            raise fail(errno.EINVAL)
        cap = kernel.dialect.kevent_cap
        if cap and seconds is not None:
            seconds = min(seconds, cap)
        events = wait(
            kernel,
            lambda most: self._collect(most or max_events),
            self.pending,
            seconds,
            f"kqueue {self._fd}",
            self._rumour,
            in_turn=True,
        )
        kernel.record(
            "kevent",
            seconds,
            [(event.ident, event.filter, event.flags, event.data) for event in events],
        )
        return events
