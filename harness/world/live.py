"""The live world: this machine."""

from __future__ import annotations

import fcntl
import os
import pty
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import tty
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reactor.system import SYSTEMS

from .. import oracles
from ..faults import alarms_counted, lab_system, signal_storm
from ..peer import SAFETY
from ..provoke import forked
from .base import World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager
    from socket import socket as Socket  # noqa: N812 - `World.socket` hides the module's name

    import reactor
    from reactor.system import System

    from ..clock import FakeClock
    from ..faults import FaultTable

#: Prints which of the descriptor numbers given to it are open.
_LIST_OPEN = """
import os, sys
for number in sys.argv[1:]:
    try:
        os.fstat(int(number))
    except OSError:
        continue
    print(number)
"""


class LiveWorld(World):
    """This machine.

    Args:
        kind: ``live``, or ``posix`` to refuse the subject every Linux and BSD extension.

    Raises:
        ValueError: there is no such system.
    """

    ground = "live"

    def __init__(self, kind: str = "live") -> None:
        if kind not in SYSTEMS:
            raise ValueError(f"unknown system {kind!r}; allowed: {', '.join(SYSTEMS)}")
        super().__init__(SYSTEMS[kind](), kind)
        self._directory: Path | None = None
        self._paths = 0

    def system(self, table: FaultTable, clock: FakeClock | None) -> System:
        """A system of its kind."""
        return lab_system(type(self.plain), table, clock)

    def socketpair(self, kind: int = socket.SOCK_STREAM) -> tuple[Socket, Socket]:
        """As `socket.socketpair`."""
        return socket.socketpair(socket.AF_UNIX, kind)

    def socket(
        self,
        family: int = socket.AF_INET,
        kind: int = socket.SOCK_STREAM,
        *,
        fileno: int | None = None,
    ) -> Socket:
        """As `socket.socket`."""
        return socket.socket(family, kind, fileno=fileno)

    def path(self) -> str:
        """A path in a private directory."""
        if self._directory is None:
            self._directory = Path(tempfile.mkdtemp(prefix="lab-"))
        self._paths += 1
        return str(self._directory / f"s{self._paths}")

    def backlog_limit(self) -> int:
        """What the running kernel says, else what it was built with."""
        try:
            return int(Path("/proc/sys/net/core/somaxconn").read_text(encoding="ascii"))
        except OSError:
            return socket.SOMAXCONN

    def thread(self, name: str, function: Callable[[], object]) -> threading.Thread:
        """As `threading.Thread`, started."""
        thread = threading.Thread(target=function, name=name, daemon=True)
        thread.start()
        return thread

    def pause(self, seconds: float) -> None:
        """As `time.sleep`."""
        time.sleep(seconds)

    def cpu(self) -> float:
        """The process's."""
        return time.process_time()

    def descriptors(self) -> set[int]:
        """The process's."""
        return set(oracles.snapshot().descriptors)

    def dup(self, number: int, least: int = 0) -> int:
        """F_DUPFD_CLOEXEC of fcntl(2)."""
        return fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, least)

    def dup2(self, number: int, to: int) -> None:
        """As `os.dup2`."""
        os.dup2(number, to, inheritable=False)

    def set_blocking(self, number: int, *, blocking: bool) -> None:
        """O_NONBLOCK."""
        os.set_blocking(number, blocking)

    def is_blocking(self, number: int) -> bool:
        """O_NONBLOCK."""
        return os.get_blocking(number)

    def is_inheritable(self, number: int) -> bool:
        """FD_CLOEXEC."""
        return os.get_inheritable(number)

    def limit_descriptors(self, limit: int) -> int:
        """The soft limit."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
        return soft

    def forked(self, function: Callable[..., object], *args: Any) -> None:
        """See `harness.provoke.forked`."""
        forked(function, *args)

    def signal_storm(self, interval: float) -> AbstractContextManager[list[int]]:
        """See `harness.faults.signal_storm`."""
        return signal_storm(interval)

    def terminal(self) -> tuple[int, int]:
        """As `pty.openpty`."""
        master, slave = pty.openpty()
        tty.setraw(slave)
        return master, slave

    def inherited(self, numbers: Iterable[int]) -> list[int]:
        """Ask a Python program."""
        listed = subprocess.run(
            [sys.executable, "-c", _LIST_OPEN, *map(str, numbers)],
            close_fds=False,
            stdout=subprocess.PIPE,
            timeout=SAFETY,
            check=True,
        )
        return [int(number) for number in listed.stdout.split()]

    def prepared(self) -> AbstractContextManager[None]:
        """Alarms interrupt, and do no more."""
        return alarms_counted()

    def dump(self, context: reactor.IoContext) -> str:
        """The reactor's own description, unless a thread keeps the mutex."""
        mutex = context.scheduler.mutex
        if not mutex.acquire(timeout=1):  # type: ignore[call-arg]  # a threading.Lock
            return "the scheduler's mutex is held: a thread is stuck inside it"
        mutex.release()
        return str(context.dump())

    def close(self) -> list[int]:
        """Remove the private directory; the process's own oracles look at its descriptors."""
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
        return []
