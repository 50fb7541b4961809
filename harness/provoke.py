"""Things that provoke: full listeners, canaries on reused numbers, forks, and the spin measurement."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .peer import SAFETY

if TYPE_CHECKING:
    from collections.abc import Callable

#: Waits that an idle subject may make: its own sleep, and a few for rounding and wake-ups.
_WAITS = 6
#: Share of the time that an idle subject may spend on the CPU; a spin takes all of it.
_CPU = 0.3

#: The other ends of canaries have numbers from here on.
_FAR = 100

#: What waits in a canary to be read.
_SONG = b"alive"


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

    If the subject closes the number again, or reads or writes it, `check` tells. There is always
    something to read, so a poller that still watches the number spins.
    """

    def __init__(self, number: int) -> None:
        ours, near = (sock.detach() for sock in socket.socketpair())
        # Out of the way: low numbers are those that other canaries are to sit on.
        theirs = fcntl.fcntl(near, fcntl.F_DUPFD_CLOEXEC, _FAR)
        os.close(near)
        if ours != number:
            os.dup2(ours, number)
            os.close(ours)
        self.number = number
        self._other_end = theirs
        for fd in (number, theirs):
            os.set_blocking(fd, False)
        os.write(theirs, _SONG)

    def check(self) -> None:
        """Fail the scenario if the number was closed or used."""
        try:
            data = os.read(self.number, 100)
            os.write(self._other_end, _SONG)
        except OSError as exc:
            raise AssertionError(f"the reused descriptor was touched: {exc}") from exc
        if data != _SONG:
            raise AssertionError(f"the reused descriptor was used: it holds {data!r}")
        try:
            data = os.read(self._other_end, 100)
        except BlockingIOError:
            return
        raise AssertionError(f"the reused descriptor was written to: {data!r}")

    def close(self) -> None:
        """Give both ends back."""
        for fd in (self.number, self._other_end):
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


def forked(function: Callable[..., object], *args: Any) -> None:
    """Call ``function(*args)`` in a forked child and wait for its end.

    The child leaves without unwinding, so nothing that the parent left to do at exit happens there.

    Raises:
        AssertionError: the function raised something, or the child died or hung.
    """
    read_end, write_end = os.pipe()
    with warnings.catch_warnings():
        # Python 3.12 on warns of forking with threads about, which is what is provoked.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        said = "ok"
        try:
            os.close(read_end)
            function(*args)
        except BaseException as exc:  # noqa: BLE001 - the parent raises it
            said = f"{type(exc).__name__}: {exc}"
        finally:
            os.write(write_end, said.encode(errors="backslashreplace")[: select.PIPE_BUF])
            os._exit(0)
    os.close(write_end)
    poller = select.poll()
    poller.register(read_end, select.POLLIN)
    try:
        heard = os.read(read_end, select.PIPE_BUF) if poller.poll(SAFETY * 1000) else b"it hangs"
        if heard == b"it hangs":
            os.kill(child, signal.SIGKILL)
    finally:
        os.close(read_end)
        status = os.waitpid(child, 0)[1]
    if heard != b"ok":
        raise AssertionError(f"in a forked child: {heard.decode() or f'it died: {status:#x}'}")
