"""One program on both kernels: where do they part, and is that declared?"""

from __future__ import annotations

import itertools
import os
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reactor.system import System

from ..kernel import Kernel
from ..system import SimulatedSystem
from .player import Player

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .player import Step

#: How often a program that differs is played again on the live kernel, more slowly: its loopback
#: is asynchronous, and a busy machine may deliver a segment after the call that sent it.
LOOKS = 3
_PAUSE = 0.003

#: sys.platform's beginning, and the dialect that is held against it.
_NATIVE = {
    "linux": "linux",
    "darwin": "macos",
    "freebsd": "freebsd",
    "netbsd": "netbsd",
    "openbsd": "openbsd",
    "dragonfly": "dragonfly",
}


def native_dialect() -> str:
    """Return the dialect of the machine that this runs on; ``posix`` for one that is not known."""
    return next((name for word, name in _NATIVE.items() if sys.platform.startswith(word)), "posix")


@dataclass(frozen=True)
class Difference:
    """Where the two kernels part.

    Attributes:
        index: the step's place in the program.
        step: the step itself.
        live, model: the answer and what poll(2) saw afterwards, on either.
    """

    index: int
    step: Step
    live: Any
    model: Any

    def __str__(self) -> str:
        name, *numbers = self.step
        return (
            f"step {self.index}, {name}{tuple(numbers)}:\n"
            f"  live:  {self.live}\n  model: {self.model}"
        )


class Comparison:
    """Plays programs on both kernels.

    Attributes:
        looked_again: how many programs agreed only when the live kernel was given time.
    """

    def __init__(self, dialect: str | None = None) -> None:
        self._dialect = dialect or native_dialect()
        self._folder = tempfile.mkdtemp(prefix="kernel-")
        self._serial = itertools.count()
        self.looked_again = 0
        live = System()
        # Python has timerfd from 3.13 on only.
        self._missing = {name for name in ("epoll", "eventfd", "timerfd") if not live.has(name)}

    def close(self) -> None:
        """Remove the paths of the Unix sockets."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Comparison:  # noqa: PYI034 - Self would not say more
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _path(self) -> str:
        return os.path.join(self._folder, str(next(self._serial)))  # noqa: PTH118 - a str is what bind takes

    def on_model(self, program: Sequence[Step]) -> list[Any]:
        """Play it on the model."""
        system = SimulatedSystem(Kernel(self._dialect))
        return Player(system, self._path, without=self._missing).play(program)

    def live(
        self, program: Sequence[Step], between: Callable[[], None] = lambda: None
    ) -> list[Any]:
        """Play it on the kernel of this machine."""
        return Player(System(), self._path, between).play(program)

    def difference(self, program: Sequence[Step]) -> Difference | None:
        """Return the first difference that stays when the live kernel is given time."""
        model = self.on_model(program)
        found: Difference | None = None
        for look in range(LOOKS):
            pause = _PAUSE * look
            live = self.live(program, lambda pause=pause: time.sleep(pause) if pause else None)  # type: ignore[misc]
            found = _first(program, live, model)
            if found is None:
                self.looked_again += bool(look)
                return None
        return found


def _first(program: Sequence[Step], live: list[Any], model: list[Any]) -> Difference | None:
    for index, (step, one, other) in enumerate(zip(program, live, model, strict=True)):
        if one != other:
            return Difference(index, step, one, other)
    return None
