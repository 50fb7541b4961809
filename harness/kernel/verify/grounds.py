"""What can play a program: the live kernel, the model, and a record of what a live kernel answered."""

from __future__ import annotations

import itertools
import os
import platform
import shutil
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Any, Protocol

from reactor.system import System

from ..dialects import DIALECTS
from ..kernel import Kernel
from ..sockets import SimulatedSocket
from ..system import SimulatedSystem
from .permits import at_least, version
from .player import Player

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from .player import Step
    from .records import Record

#: sys.platform's beginning, and the dialect that is held against it.
_NATIVE = {
    "linux": "linux",
    "darwin": "macos",
    "freebsd": "freebsd",
    "netbsd": "netbsd",
    "openbsd": "openbsd",
    "dragonfly": "dragonfly",
    "sunos": "illumos",
}
#: Extensions that programs use, where there are any.
EXTENSIONS = ("epoll", "kqueue", "eventfd", "timerfd")


def dialect_for(platform_name: str, release: str) -> str:
    """Return the dialect of a system; ``posix`` for one that is not known.

    Args:
        platform_name: as `sys.platform` has it.
        release: as uname(1) gives it.
    """
    name = next((name for word, name in _NATIVE.items() if platform_name.startswith(word)), "posix")
    newer = [
        dialect
        for dialect in DIALECTS.values()
        if dialect.based == name and dialect.release and at_least(release, dialect.release)
    ]
    return max(newer, key=lambda dialect: version(dialect.release)).name if newer else name


def native_dialect() -> str:
    """Return the dialect of the machine that this runs on."""
    return dialect_for(sys.platform, platform.release())


class Ground(Protocol):
    """Something that plays programs."""

    @property
    def release(self) -> str:
        """Of its kernel, as uname(1) gives it."""
        ...

    @property
    def extensions(self) -> Collection[str]:
        """Which of `EXTENSIONS` it has."""
        ...

    @property
    def looks(self) -> int:
        """How often a program that differs is worth playing, more slowly each time."""
        ...

    def play(self, program: Sequence[Step], pause: float = 0.0) -> list[Any]:
        """Play a program, with a pause in seconds after each step; returns the answers."""
        ...

    def close(self) -> None:
        """Remove what it left on the disk."""


class Live:
    """The kernel of this machine.

    Its loopback is asynchronous, and a busy machine may deliver a segment after the call that sent
    it: hence the looks.
    """

    looks = 4

    def __init__(self) -> None:
        self.release = platform.release()
        self._system = System()
        self.extensions = {name for name in EXTENSIONS if self._system.has(name)}
        self._folder = tempfile.mkdtemp(prefix="kernel-")
        self._serial = itertools.count()

    def _path(self) -> str:
        return os.path.join(self._folder, str(next(self._serial)))  # noqa: PTH118 - a str is what bind takes

    def play(self, program: Sequence[Step], pause: float = 0.0) -> list[Any]:
        """Play it on the live kernel."""

        def between() -> None:
            if pause:
                time.sleep(pause)

        return Player(self._system, self._path, between).play(program)

    def close(self) -> None:
        """Remove the paths of the Unix sockets."""
        shutil.rmtree(self._folder, ignore_errors=True)


class Model:
    """A simulated kernel, a new one for each program.

    Args:
        dialect: whose rules it keeps.
        extensions: those that programs may use, None for all that the dialect has.
        seed: of the kernel.
        spare: descriptors that are open before the program begins, so that its own have other
            numbers.
    """

    looks = 1

    def __init__(
        self,
        dialect: str,
        extensions: Collection[str] | None = None,
        seed: int = 0,
        spare: int = 0,
    ) -> None:
        self._dialect = dialect
        self._seed = seed
        self._spare = spare
        self.release = f"simulated {dialect}"
        has = SimulatedSystem(Kernel(dialect)).has
        self.extensions = {
            name for name in EXTENSIONS if has(name) and (extensions is None or name in extensions)
        }
        self._without = set(EXTENSIONS) - self.extensions

    def play(self, program: Sequence[Step], pause: float = 0.0) -> list[Any]:
        """Play it on a kernel of its own."""
        kernel = Kernel(self._dialect, self._seed)
        for _ in range(self._spare):
            SimulatedSocket(kernel)
        serial = itertools.count()
        return Player(
            SimulatedSystem(kernel), lambda: f"/{next(serial)}", without=self._without
        ).play(program)

    def close(self) -> None:
        """Nothing is on the disk."""


class Recorded:
    """A record of what a live kernel answered."""

    looks = 1

    def __init__(self, record: Record) -> None:
        self.release = record.uname["release"]
        self.extensions = set(record.extensions)
        self._answers = {_key(entry.steps): entry.answers for entry in record.programs}

    def play(self, program: Sequence[Step], pause: float = 0.0) -> list[Any]:
        """Return what was answered.

        Raises:
            KeyError: it holds no such program.
        """
        return self._answers[_key(program)]

    def close(self) -> None:
        """Nothing is open."""


def _key(program: Sequence[Step]) -> tuple[Step, ...]:
    return tuple(program)
