"""Pipes.

Linux keeps a pipe in sixteen slots of a page each, and appends to the last one while it has room
(fs/pipe.c); how much fits, and when the write end is ready, follows from that. Elsewhere a pipe is
a buffer of bytes.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .description import (
    ERR,
    EVERYTHING,
    HUP,
    IN,
    OUT,
    READABLE,
    WRITABLE,
    Condition,
    Description,
    fail,
)

if TYPE_CHECKING:
    from .kernel import Kernel

PAGE = 4096
SLOTS = 16
#: A write of at most this much is not divided (POSIX has at least 512).
PIPE_BUF = 512


@dataclass
class _Slot:
    """A page of a pipe; what was read from it before is room that does not come back."""

    begin: int
    data: bytes


class _Slots:
    """The pages of a Linux pipe."""

    def __init__(self) -> None:
        self._slots: list[_Slot] = []

    def __len__(self) -> int:
        return sum(len(slot.data) for slot in self._slots)

    @property
    def full(self) -> bool:
        return len(self._slots) >= SLOTS

    def put(self, data: bytes) -> int:
        rest = data
        tail = len(data) % PAGE
        if tail and self._slots:
            last = self._slots[-1]
            if last.begin + len(last.data) + tail <= PAGE:
                last.data += rest[:tail]
                rest = rest[tail:]
        while rest and not self.full:
            self._slots.append(_Slot(0, rest[:PAGE]))
            rest = rest[PAGE:]
        return len(data) - len(rest)

    def take(self, size: int) -> bytes:
        taken = b""
        while self._slots and len(taken) < size:
            slot = self._slots[0]
            piece = slot.data[: size - len(taken)]
            taken += piece
            slot.begin += len(piece)
            slot.data = slot.data[len(piece) :]
            if not slot.data:
                del self._slots[0]
        return taken


class _Bytes:
    """The buffer of a pipe elsewhere."""

    def __init__(self, capacity: int, atomic: int) -> None:
        self._data = bytearray()
        self._capacity = capacity
        self._atomic = atomic

    def __len__(self) -> int:
        return len(self._data)

    @property
    def free(self) -> int:
        return self._capacity - len(self._data)

    @property
    def full(self) -> bool:
        return self.free < self._atomic

    def put(self, data: bytes) -> int:
        if len(data) <= self._atomic and self.free < len(data):
            return 0  # whole or not at all
        size = min(len(data), self.free)
        self._data += data[:size]
        return size

    def take(self, size: int) -> bytes:
        taken = bytes(self._data[:size])
        del self._data[:size]
        return taken


class Pipe:
    """What both ends share."""

    def __init__(self, kernel: Kernel) -> None:
        dialect = kernel.dialect
        self.kernel = kernel
        self.buffer: _Slots | _Bytes = (
            _Slots() if dialect.pipe_pages else _Bytes(dialect.pipe_capacity, PIPE_BUF)
        )
        self.reader: PipeReader | None = PipeReader(kernel, self)
        self.writer: PipeWriter | None = PipeWriter(kernel, self)


class PipeReader(Description):
    """The read end."""

    kind = "pipe (read end)"

    def __init__(self, kernel: Kernel, pipe: Pipe) -> None:
        super().__init__(kernel)
        self.pipe = pipe

    def mask(self) -> int:
        """fs/pipe.c, pipe_poll."""
        return (IN if len(self.pipe.buffer) else 0) | (HUP if self.pipe.writer is None else 0)

    def read(self, size: int) -> bytes:
        """read(2)."""
        pipe = self.pipe
        if not size:
            return b""
        if not len(pipe.buffer):
            if pipe.writer is None:
                return b""
            raise fail(errno.EAGAIN)
        was_full = pipe.buffer.full
        data = pipe.buffer.take(size)
        if pipe.writer is not None and (was_full or not self.kernel.dialect.pipe_pages):
            pipe.writer.wake(WRITABLE)
        return data

    def write(self, data: bytes) -> int:
        """The wrong end."""
        raise fail(errno.EBADF)

    def read_condition(self) -> Condition:
        """EVFILT_READ."""
        size, eof = len(self.pipe.buffer), self.pipe.writer is None
        return Condition(bool(size) or eof, size, eof)

    def write_condition(self) -> Condition:
        """Never writable."""
        return Condition(active=False)

    def released(self) -> None:
        """The writer learns of it."""
        self.pipe.reader = None
        if self.pipe.writer is not None:
            self.pipe.writer.wake(EVERYTHING if self.kernel.dialect.bsd else IN | OUT | ERR | HUP)


class PipeWriter(Description):
    """The write end."""

    kind = "pipe (write end)"

    def __init__(self, kernel: Kernel, pipe: Pipe) -> None:
        super().__init__(kernel)
        self.pipe = pipe

    def mask(self) -> int:
        """fs/pipe.c, pipe_poll: no POLLOUT for a full pipe whose reader is gone."""
        gone = self.pipe.reader is None
        if self.kernel.dialect.bsd and gone:
            return HUP | OUT
        return (0 if self.pipe.buffer.full else OUT) | (ERR if gone else 0)

    def can_write(self) -> bool:
        """As `mask`."""
        return self.pipe.reader is None or not self.pipe.buffer.full

    def write(self, data: bytes) -> int:
        """write(2)."""
        pipe = self.pipe
        if not data:
            return 0
        if pipe.reader is None:
            raise fail(errno.EPIPE)
        size = pipe.buffer.put(data)
        if not size:
            if self.kernel.dialect.pipe_pages:
                pipe.reader.wake(READABLE)  # pipe_write does so on its way out, whatever it wrote
            raise fail(errno.EAGAIN)
        pipe.reader.wake(READABLE)
        if self.kernel.dialect.pipe_write_wakes_writer:
            self.wake(WRITABLE)
        return size

    def read(self, size: int) -> bytes:
        """The wrong end."""
        raise fail(errno.EBADF)

    def read_condition(self) -> Condition:
        """Never readable."""
        return Condition(active=False)

    def write_condition(self) -> Condition:
        """EVFILT_WRITE."""
        if self.pipe.reader is None:
            return Condition(True, 0, True)
        buffer = self.pipe.buffer
        free = buffer.free if isinstance(buffer, _Bytes) else (0 if buffer.full else PAGE)
        return Condition(not buffer.full, free)

    def released(self) -> None:
        """The reader learns of it."""
        self.pipe.writer = None
        if self.pipe.reader is not None:
            self.pipe.reader.wake(EVERYTHING if self.kernel.dialect.bsd else IN | OUT | ERR | HUP)
