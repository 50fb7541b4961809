"""Plays a program of raw calls over a `System`, live or simulated, and writes down every answer.

A program is a list of steps, each the name of a call and three numbers; what the numbers mean is
decided when the step is played, from what there is at that moment, so that every list is a program
and shrinking one leaves a program. Descriptor numbers are written as the how-manieth distinct
number they are: both kernels give out the lowest free one, so these agree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .answers import errno_name, plain
from .kqueues import KqueueSteps
from .plain import PlainSteps
from .polling import PollerSteps
from .sockets import SocketSteps

if TYPE_CHECKING:
    from collections.abc import Sequence

Step = tuple[str, int, int, int]

#: Nobody needs more descriptors of a program, and a long table makes for dull programs.
MOST = 10

#: The steps that make a descriptor.
_MAKERS = frozenset(
    {"tcp", "tcp_pair", "tcp_listener", "unix", "unix_pair", "unix_listener", "dgram_pair"}
    | {"udp_pair", "accept", "pipe", "eventfd", "timerfd", "dup", "client"}
)


class Player(SocketSteps, PlainSteps, PollerSteps, KqueueSteps):
    """Every step there is, and how they are played one after the other."""

    def play(self, program: Sequence[Step]) -> list[Any]:
        """Play every step; returns for each what it answered, and what poll(2) sees after it."""
        answers = []
        try:
            for name, *numbers in program:
                answers.append(plain([self._step(name, numbers), self._look()]))
        finally:
            self._end()
        return answers

    def _step(self, name: str, numbers: list[int]) -> Any:
        crowded = name in _MAKERS and len(self._open) >= MOST
        try:
            answer = None if crowded else getattr(self, f"do_{name}")(*numbers)
        except OSError as exc:
            answer = f"{type(exc).__name__} {errno_name(exc.errno)}"
        self._between()
        return answer
