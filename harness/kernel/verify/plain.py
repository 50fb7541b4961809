"""Steps on pipes, eventfds and timerfds, and those that any descriptor has: fill, drain, close, dup."""

from __future__ import annotations

import errno
import struct
from typing import Any

from .answers import errno_name
from .bench import Bench, Flow, Handle

#: What a fill writes at once, by kind. A pipe takes whole pages, and a datagram is one message.
_CHUNK = {"tcp": 65_536, "unix": 4096, "pipe": 4096, "dgram": 100}
#: More than any buffer holds: a fill that does not end is a broken kernel.
_BOTTOMLESS = 1 << 26
#: What a sip takes, in eighths of what a fill put in.
_EIGHTHS = (1, 2, 6, 7)
_BLOCKED = (errno.EAGAIN, errno.ENOBUFS)


class PlainSteps(Bench):
    """Each a call, or a run of them, with three numbers to choose from what there is."""

    def do_pipe(self, *_: int) -> Any:
        """A pipe."""
        read_end, write_end = self._system.pipe()
        flow = Flow()
        return self._add("pipe", read_end, into=flow), self._add("pipe", write_end, out=flow)

    def do_eventfd(self, *_: int) -> Any:
        """An eventfd, where there are any."""
        if not self._has("eventfd"):
            return None
        return self._add("eventfd", self._system.eventfd())

    def do_timerfd(self, *_: int) -> Any:
        """A timerfd, where there are any."""
        if not self._has("timerfd"):
            return None
        return self._add("timerfd", self._system.timerfd())

    def do_settime(self, which: int, when: int, *_: int) -> Any:
        """Arm a timerfd: for now (and wait until it is), for later than the program, or not at all."""
        handle = self._pick(which, "timerfd")
        if handle is None:
            return None
        self._system.set_timerfd(handle.fd, (1e-9, 3600.0, None)[when % 3])
        if when % 3 == 0:
            return self._readable_soon(handle.fd)
        return None

    def do_read(self, which: int, size: int, *_: int) -> Any:
        """read(2)."""
        handle = self._pick(which, "pipe", "eventfd", "timerfd")
        return (
            None if handle is None else self._system.read(handle.fd, (8, 1, 4096, 5000)[size % 4])
        )

    def do_write(self, which: int, size: int, *_: int) -> Any:
        """write(2): numbers to eventfds, bytes to pipes, up to more than one holds."""
        handle = self._pick(which, "pipe", "eventfd")
        if handle is None:
            return None
        if handle.kind == "eventfd":
            value = (1, 0, 3, (1 << 64) - 2, (1 << 64) - 1)[size % 5]
            return self._system.write(handle.fd, struct.pack("=Q", value))
        return self._system.write(handle.fd, self._payload((1, 100, 4096, 5000, 70_000)[size % 5]))

    def do_close(self, which: int, *_: int) -> Any:
        """Close."""
        handle = self._pick(which)
        return None if handle is None else self._close(handle)

    def do_dup(self, which: int, *_: int) -> Any:
        """Give a socket a second number."""
        handle = self._pick(which, "tcp", "unix", "udp", "dgram")
        if handle is None:
            return None
        return self._add(handle.kind, handle.sock.dup(), handle.into, handle.out)

    # -- Full buffers

    def do_fill(self, which: int, *_: int) -> Any:
        """Write until it would block. How much fits is not told, and so every byte is the same one:
        what is read of it later does not depend on how much there was.
        """  # noqa: D205 - two sentences
        found = [item for item in self._open if item.out is not None and not item.out.shut]
        if not found:
            return None
        handle = found[which % len(found)]
        assert handle.out is not None
        kind = f"{handle.kind} both ways" if self._both_ways(handle) else handle.kind
        chunk = self._payload(1) * _CHUNK[handle.kind]
        again = handle.out.touched
        total = 0
        try:
            while total < _BOTTOMLESS:
                total += self._put(handle, chunk)
        except OSError as exc:
            handle.out.queued += total
            if not again:
                handle.out.fresh = bool(total) and exc.errno in _BLOCKED
            handle.out.touched = handle.out.touched or bool(total)
            # When it is not empty, whether anything fits is how much fits, and so not told.
            return kind, errno_name(exc.errno), again or bool(total)
        return "bottomless"

    def do_drain(self, which: int, *_: int) -> Any:
        """Read until there is nothing more."""
        handle = self._filled(which)
        return None if handle is None else (handle.kind, self._take(handle, _BOTTOMLESS))

    def do_sip(self, which: int, much: int, *_: int) -> Any:
        """Read a part of what a fill put in, once after it."""
        handle = self._filled(which)
        if handle is None or handle.into is None or not handle.into.fresh:
            return None
        eighths = _EIGHTHS[much % len(_EIGHTHS)]
        end = self._take(handle, handle.into.queued * eighths // 8)
        return f"{handle.kind} {eighths}/8", end

    def _filled(self, which: int) -> Handle | None:
        found = [item for item in self._open if item.into is not None and item.into.queued]
        return found[which % len(found)] if found else None

    def _put(self, handle: Handle, data: bytes) -> int:
        if handle.sock is None:
            return self._system.write(handle.fd, data)
        sent: int = handle.sock.send(data, self._flags)
        return sent

    def _take(self, handle: Handle, most: int) -> str:
        """Read up to `most` bytes; returns what ended it."""
        assert handle.into is not None
        handle.into.fresh = False
        taken, end, waited = 0, "enough", False
        while taken < most:
            size = min(65_536, most - taken)
            try:
                data = (
                    self._system.read(handle.fd, size)
                    if handle.sock is None
                    else handle.sock.recv(size)
                )
            except OSError as exc:
                if exc.errno == errno.EAGAIN and not waited:
                    waited = True
                    self._between()  # the rest may be on its way
                    continue
                end = errno_name(exc.errno)
                break
            if not data:
                end = "end"
                break
            taken += len(data)
        handle.into.touched = end == "enough"
        handle.into.queued = max(0, handle.into.queued - taken) if handle.into.touched else 0
        return end
