"""Steps on kqueue, through nothing but what `select.kqueue` offers."""

from __future__ import annotations

from typing import Any

from ..pollers.kqueue import (
    EV_ADD,
    EV_CLEAR,
    EV_DELETE,
    EV_DISABLE,
    EV_DISPATCH,
    EV_ENABLE,
    EV_EOF,
    EV_ERROR,
    EV_ONESHOT,
    EV_RECEIPT,
    FILTER_READ,
    FILTER_TIMER,
    FILTER_USER,
    FILTER_WRITE,
    NOTE_FFAND,
    NOTE_FFCOPY,
    NOTE_FFOR,
    NOTE_TRIGGER,
)
from .answers import errno_name, names_of
from .bench import SOON, Bench

_FILTERS = {FILTER_READ: "READ", FILTER_WRITE: "WRITE", FILTER_TIMER: "TIMER", FILTER_USER: "USER"}
_FLAGS = {
    "ADD": EV_ADD,
    "DELETE": EV_DELETE,
    "ENABLE": EV_ENABLE,
    "DISABLE": EV_DISABLE,
    "ONESHOT": EV_ONESHOT,
    "CLEAR": EV_CLEAR,
    "RECEIPT": EV_RECEIPT,
    "DISPATCH": EV_DISPATCH,
    "ERROR": EV_ERROR,
    "EOF": EV_EOF,
}

#: What a change of a descriptor's filter says. EV_EOF is the kernel's to set: a change may not.
CHANGES = (
    EV_ADD | EV_CLEAR,
    EV_ADD | EV_CLEAR,
    EV_ADD,
    EV_ADD | EV_ONESHOT,
    EV_ADD | EV_DISPATCH,
    EV_ADD | EV_DISABLE,
    EV_ADD | EV_CLEAR | EV_EOF,
    EV_ENABLE,
    EV_DISABLE,
    EV_DELETE,
)
#: And one of a filter that was added before, and may be there still.
AGAIN = (
    EV_ENABLE,
    EV_ENABLE,
    EV_DISABLE,
    EV_DELETE,
    EV_ADD,
    EV_ADD | EV_DISPATCH,
    EV_ADD | EV_CLEAR,
)
#: EVFILT_USER: flags, and what is done to its fflags.
_USER = (
    (EV_ADD | EV_CLEAR, 0),
    (EV_ADD, NOTE_FFCOPY | 3),
    (EV_ADD | EV_ONESHOT, 0),
    (EV_ADD | EV_DISPATCH, 0),
    (0, NOTE_TRIGGER),
    (0, NOTE_TRIGGER),
    (0, NOTE_TRIGGER | NOTE_FFCOPY | 5),
    (0, NOTE_TRIGGER | NOTE_FFOR | 8),
    (0, NOTE_FFAND | 4),
    (EV_ENABLE, 0),
    (EV_DISABLE, 0),
    (EV_DELETE, 0),
)
#: EVFILT_TIMER that shares its queue with others, and never expires within a program.
_TIMER = (EV_ADD, EV_ADD | EV_ONESHOT, EV_DISABLE, EV_ENABLE, EV_DELETE)
_NEVER = 3_600_000
#: And those of a step of their own, which waits until they do.
_FIRE = (EV_ADD | EV_ONESHOT, EV_ADD | EV_DISPATCH, EV_ADD, EV_ADD | EV_CLEAR)
_ROOMS = (64, 1, 2)


class KqueueSteps(Bench):
    """Each a call of kevent(2), with three numbers to choose from what there is."""

    def do_kqueue(self, *_: int) -> Any:
        """A kqueue, where there are any."""
        if len(self._pollers) < 2 and self._has("kqueue"):
            self._pollers.append(self._system.kqueue())
            return self._number(self._pollers[-1].fileno())
        return None

    def _queue(self, number: int) -> Any:
        if not self._pollers or not self._has("kqueue"):
            return None
        return self._pollers[number % len(self._pollers)]

    def _event(self, event: Any, *, told: bool = True) -> list[Any]:
        """Write an event: room, and the size of what a fill put in, are the kernel's own affair."""
        which = _FILTERS.get(event.filter, str(event.filter))
        on_fd = event.filter in {FILTER_READ, FILTER_WRITE}
        ident = self._number(event.ident) if on_fd else event.ident
        fflags: Any = hex(event.fflags)
        if event.flags & EV_EOF and event.fflags:
            fflags = errno_name(event.fflags)
        data: Any = event.data
        if event.flags & EV_ERROR:
            data = errno_name(event.data) if event.data else "no error"
        elif event.filter == FILTER_WRITE or not told or self._is_filled(event.ident, on_fd):
            data = "untold"
        return [which, ident, names_of(event.flags, _FLAGS), fflags, data, event.udata]

    def _is_filled(self, fd: int, on_fd: bool) -> bool:  # noqa: FBT001 - private
        return on_fd and any(
            handle.fd == fd and handle.into is not None and handle.into.touched
            for handle in self._open
        )

    def _change(self, fd: int, which: int, flags: int) -> Any:
        self._changes += 1
        return self._system.kevent(fd, which, flags, 0, 0, self._changes)

    def do_kq_change(self, queue: int, target: int, how: int) -> Any:
        """One change of one filter, with no room for events."""
        kqueue, fd = self._queue(queue), self._target(target)
        if kqueue is None or not fd:
            return None
        which = (FILTER_READ, FILTER_WRITE)[queue // 2 % 2]
        flags = CHANGES[how % len(CHANGES)]
        kqueue.control([self._change(fd, which, flags)], 0, 0)
        if flags & EV_ADD and (kqueue, fd, which) not in self._added:
            self._added.append((kqueue, fd, which))
        return "done"

    def do_kq_again(self, which: int, how: int, *_: int) -> Any:
        """One change of what `kq_change` has added."""
        if not self._added:
            return None
        kqueue, fd, known = self._added[which % len(self._added)]
        kqueue.control([self._change(fd, known, AGAIN[how % len(AGAIN)])], 0, 0)
        return "done"

    def do_kq_batch(self, queue: int, target: int, how: int) -> Any:
        """Several changes in one call, some wrong, with room for none, one or many events."""
        kqueue, fd = self._queue(queue), self._target(target)
        if kqueue is None or not fd:
            return None
        # Not with EVFILT_WRITE: OpenBSD hangs (libevent 28317a08).
        receipt = EV_RECEIPT if how // 3 % 2 else 0
        changes = [
            self._change(fd, FILTER_READ, EV_DELETE | receipt),
            self._change(fd, FILTER_WRITE, EV_ADD | EV_CLEAR),
            self._change(fd, FILTER_READ, EV_ADD | EV_CLEAR | receipt),
        ]
        first = queue // 2 % 3
        found = kqueue.control(changes[first:] + changes[:first], (0, 1, 8)[how % 3], 0)
        return [self._event(event) for event in found]

    def do_kq_wait(self, queue: int, most: int, *_: int) -> Any:
        """kevent(2) for no time; the order of the events counts."""
        kqueue = self._queue(queue)
        if kqueue is None:
            return None
        return [self._event(event) for event in kqueue.control(None, _ROOMS[most % 3], 0)]

    def do_kq_user(self, queue: int, ident: int, how: int) -> Any:
        """EVFILT_USER."""
        kqueue = self._queue(queue)
        if kqueue is None:
            return None
        flags, fflags = _USER[how % len(_USER)]
        self._changes += 1
        change = self._system.kevent(ident % 2, FILTER_USER, flags, fflags, 0, self._changes)
        kqueue.control([change], 0, 0)
        return "done"

    def do_kq_timer(self, queue: int, ident: int, how: int) -> Any:
        """EVFILT_TIMER that does not expire: what is said of changes, and that nothing comes."""
        kqueue = self._queue(queue)
        if kqueue is None:
            return None
        flags = _TIMER[how % len(_TIMER)]
        kqueue.control([self._system.kevent(ident % 2, FILTER_TIMER, flags, 0, _NEVER)], 0, 0)
        return "done"

    def do_kq_fire(self, _: int, ident: int, how: int) -> Any:
        """EVFILT_TIMER on a kqueue of its own: wait until it expires, and delete it."""
        if not self._has("kqueue"):
            return None
        flags = _FIRE[how % len(_FIRE)]
        timer, delete = (
            self._system.kevent(ident, FILTER_TIMER, said, 0, 1) for said in (flags, EV_DELETE)
        )
        with_own = self._system.kqueue()
        try:
            with_own.control([timer], 0, 0)
            # A periodic one may have expired more than once before anybody looked.
            found = with_own.control(None, 4, SOON / 1000)
            answer = [self._event(event, told=bool(flags & EV_ONESHOT)) for event in found]
            if flags == EV_ADD | EV_DISPATCH:
                answer.append([event.filter for event in with_own.control(None, 4, 0)])
            try:
                with_own.control([delete], 0, 0)
            except OSError as exc:
                return answer, errno_name(exc.errno)
            return answer, "deleted"
        finally:
            with_own.close()
