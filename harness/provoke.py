"""Things that provoke: full listeners, canaries on reused numbers, and the spin measurement."""

from __future__ import annotations

import os
import select
import socket
from dataclasses import dataclass
from typing import Any

from .peer import SAFETY

#: Waits that an idle subject may make: its own sleep, and a few for rounding and wake-ups.
_WAITS = 6
#: Share of the time that an idle subject may spend on the CPU; a spin takes all of it.
_CPU = 0.3


@dataclass(frozen=True)
class Idle:
    """What a subject did while it was left alone.

    Attributes:
        waits: calls of the poller's wait.
        cpu: CPU seconds of the process.
        seconds: for how long.
    """

    waits: int
    cpu: float
    seconds: float

    def check(self) -> None:
        """Fail the scenario if that was a spin."""
        if self.waits > _WAITS:
            raise AssertionError(f"idle, but {self.waits} waits in {self.seconds} s: it spins")
        if self.cpu > max(self.seconds * _CPU, 0.05):
            raise AssertionError(f"idle, but {self.cpu:.3f} s of CPU in {self.seconds} s")


class Canary:
    """Holds a descriptor number that the subject has given back.

    If the subject closes the number again, or reads or writes it, `check` tells.
    """

    def __init__(self, number: int) -> None:
        read_end, write_end = os.pipe()
        if number not in (read_end, write_end):
            os.dup2(read_end, number)
            os.close(read_end)
            read_end = number
        elif number == write_end:  # keep the canary's reading end on the number
            spare = os.dup(write_end)
            os.dup2(read_end, number)
            os.close(read_end)
            read_end, write_end = number, spare
        self.number = read_end
        self._write_end = write_end

    def check(self) -> None:
        """Fail the scenario if the number was closed or used."""
        try:
            os.write(self._write_end, b"alive")
            data = os.read(self.number, 100)
        except OSError as exc:
            raise AssertionError(f"the reused descriptor was touched: {exc}") from exc
        if data != b"alive":
            raise AssertionError(f"the reused descriptor was written to: {data!r}")

    def close(self) -> None:
        """Give both ends back."""
        for fd in (self.number, self._write_end):
            try:
                os.close(fd)
            except OSError:  # closed by a broken subject; `check` has told
                pass


class Crowd:
    """A listener with a full queue that never accepts, so that further connects hang.

    A TCP listener with a backlog of 1 completes a few connects and leaves the rest in progress
    (2 on Linux); how many is found out by trying.
    """

    def __init__(self, family: int, path: str | None) -> None:
        self._listener = socket.socket(family, socket.SOCK_STREAM)
        self._listener.bind(("127.0.0.1", 0) if path is None else path)
        self._listener.listen(1)
        self.address: Any = self._listener.getsockname()
        self._members: list[socket.socket] = []
        poller = select.poll()
        for _ in range(64):
            member = socket.socket(family, socket.SOCK_STREAM)
            member.setblocking(False)
            error = member.connect_ex(self.address)
            self._members.append(member)
            if family == socket.AF_UNIX:
                if error:
                    return
                continue
            poller.register(member, select.POLLOUT)
            # Loopback connects complete before the call returns, or wait for room in the queue.
            if not poller.poll(20):
                return
            poller.unregister(member)
        raise AssertionError("this system completes every connect: no pending connect to be had")

    def accept_all(self) -> list[socket.socket]:
        """Accept everything that waits, until the queue is empty."""
        self._listener.settimeout(SAFETY)
        accepted = []
        poller = select.poll()
        poller.register(self._listener, select.POLLIN)
        while poller.poll(50):
            accepted.append(self._listener.accept()[0])
        self._members.extend(accepted)
        return accepted

    def close(self) -> None:
        """Close the listener and its members."""
        for sock in (*self._members, self._listener):
            sock.close()
