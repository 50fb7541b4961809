"""Things that provoke: full listeners, canaries on reused numbers, forks, and the spin measurement."""

from __future__ import annotations

import os
import select
import signal
import socket
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reactor.system import READABLE, WRITABLE

from .peer import SAFETY

if TYPE_CHECKING:
    from collections.abc import Callable

    from .world import World

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

    def __init__(self, number: int, world: World) -> None:
        ours, near = (sock.detach() for sock in world.socketpair())
        self._world = world
        # Out of the way: low numbers are those that other canaries are to sit on.
        theirs = world.dup(near, _FAR)
        world.plain.close(near)
        if ours != number:
            world.dup2(ours, number)
            world.plain.close(ours)
        self.number = number
        self._other_end = theirs
        for fd in (number, theirs):
            world.set_blocking(fd, blocking=False)
        world.plain.write(theirs, _SONG)

    def check(self) -> None:
        """Fail the scenario if the number was closed or used."""
        system = self._world.plain
        try:
            data = system.read(self.number, 100)
            system.write(self._other_end, _SONG)
        except OSError as exc:
            raise AssertionError(f"the reused descriptor was touched: {exc}") from exc
        if data != _SONG:
            raise AssertionError(f"the reused descriptor was used: it holds {data!r}")
        try:
            data = system.read(self._other_end, 100)
        except BlockingIOError:
            return
        raise AssertionError(f"the reused descriptor was written to: {data!r}")

    def close(self) -> None:
        """Give both ends back."""
        for fd in (self.number, self._other_end):
            try:
                self._world.plain.close(fd)
            except OSError:  # closed by a broken subject; `check` has told
                pass


class Crowd:
    """A listener with a full queue that never accepts, so that further connects hang.

    A TCP listener with a backlog of 1 completes a few connects and leaves the rest in progress
    (2 on Linux); how many is found out by trying.
    """

    def __init__(self, family: int, world: World) -> None:
        self._world = world
        self._listener = world.socket(family)
        self._listener.bind(world.path() if family == socket.AF_UNIX else ("127.0.0.1", 0))
        self._listener.listen(1)
        self.address: Any = self._listener.getsockname()
        self._members: list[socket.socket] = []
        for _ in range(64):
            member = world.socket(family)
            member.setblocking(False)
            error = member.connect_ex(self.address)
            self._members.append(member)
            if family == socket.AF_UNIX:
                if error:
                    return
                continue
            # Loopback connects complete before the call returns, or wait for room in the queue.
            if not world.ready(member, WRITABLE, 0.02):
                return
        raise AssertionError("this system completes every connect: no pending connect to be had")

    def accept_all(self) -> list[socket.socket]:
        """Accept everything that waits, until the queue is empty."""
        self._listener.settimeout(SAFETY)
        accepted = []
        while self._world.ready(self._listener, READABLE, 0.05):
            accepted.append(self._listener.accept()[0])
        self._members.extend(accepted)
        return accepted

    def close(self) -> None:
        """Close the listener and its members."""
        for sock in (*self._members, self._listener):
            sock.close()


class NumberSocket:
    """A descriptor number with the calls of a socket, as far as a stream needs them.

    Args:
        number: of a terminal, or of a socket that is somebody else's.
        world: whose number it is.
        closes: whether `close` closes it.
    """

    family = socket.AF_UNIX  # of which a short read does not say that there is no more
    type = socket.SOCK_STREAM

    def __init__(self, number: int, world: World, *, closes: bool) -> None:
        self._number = number
        self._world = world
        self._closes = closes

    def fileno(self) -> int:
        """Return the number."""
        return self._number

    def setblocking(self, flag: bool) -> None:  # noqa: FBT001 - as in `socket`
        """As `socket.socket.setblocking`."""
        self._world.set_blocking(self._number, blocking=flag)

    def setsockopt(self, *_option: int) -> None:
        """SO_NOSIGPIPE, where there is one, is for sockets of one's own."""

    def recv(self, size: int, _flags: int = 0) -> bytes:
        """read(2)."""
        return self._world.plain.read(self._number, size)

    def send(self, data: bytes, _flags: int = 0) -> int:
        """write(2)."""
        return self._world.plain.write(self._number, data)

    def close(self) -> None:
        """Close the number, unless somebody else does."""
        if self._closes:
            self._world.plain.close(self._number)


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
