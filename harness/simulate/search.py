"""Many programs, one after the other: drawn, played, and when a law does not hold made short."""

from __future__ import annotations

import logging
import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..errors import HarnessError
from .draw import draw
from .player import Outcome, play
from .program import GROUPS
from .shrink import shorten

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .program import Program

#: A law that has been broken so often is not looked at any more closely in one run.
_ENOUGH = 3


@dataclass(frozen=True)
class Found:
    """A program that breaks a law.

    Attributes:
        number: which program of its group it was, from 0.
        program: as short as it became.
        outcome: of the short one, with its timeline.
    """

    number: int
    program: Program
    outcome: Outcome


@dataclass
class Tally:
    """What came of one group.

    Attributes:
        backend, dialect: of the group.
        programs: that were played.
        calls: that they made.
        seconds: that they took.
        found: those that broke a law.
        more: how many others broke laws that had been found often enough.
    """

    backend: str
    dialect: str
    programs: int = 0
    calls: int = 0
    seconds: float = 0.0
    found: list[Found] = field(default_factory=list)
    more: int = 0


def groups(backend: str | None, dialect: str | None) -> list[tuple[str, str]]:
    """Return the groups that are asked for; None for all.

    Raises:
        HarnessError: there is no such group.
    """
    chosen = [
        group
        for group in GROUPS
        if (backend is None or group[0] == backend) and (dialect is None or group[1] == dialect)
    ]
    if not chosen:
        known = ", ".join(f"{name} on {of}" for name, of in GROUPS)
        raise HarnessError(
            f"no programs for {backend or 'any'} on {dialect or 'any'}; there are: {known}"
        )
    return chosen


def nth(seed: int, backend: str, dialect: str, number: int) -> Program:
    """Draw the program with a number: the same for the same seed, whatever came before it."""
    return draw(random.Random(f"{seed} {backend} {dialect} {number}"), backend, dialect)


def search(
    tally: Tally, seed: int, *, count: int | None = None, seconds: float | None = None
) -> Iterator[Found | None]:
    """Play programs of one group; yields after each, and what it found in it.

    Args:
        tally: of the group; goes on where it stands.
        seed: what the programs are drawn from.
        count: programs in this call at most.
        seconds: that this call may take; a program that has begun is played to its end.
    """
    logging.getLogger("reactor").disabled = True  # accept warns, and many programs make it
    begin = time.monotonic()
    end = None if count is None else tally.programs + count
    kinds: dict[str, int] = {}
    for found in tally.found:
        law = found.outcome.findings[0].law
        kinds[law] = kinds.get(law, 0) + 1
    try:
        while (end is None or tally.programs < end) and (
            seconds is None or time.monotonic() - begin < seconds
        ):
            number = tally.programs
            program = nth(seed, tally.backend, tally.dialect, number)
            outcome = play(program)
            tally.programs += 1
            tally.calls += outcome.calls
            if outcome.first is None:
                yield None
                continue
            law = outcome.first.law
            kinds[law] = kinds.get(law, 0) + 1
            if kinds[law] > _ENOUGH:
                tally.more += 1
                yield None
                continue
            short = shorten(program, law)
            made = Found(number, short, play(short, timeline=True))
            tally.found.append(made)
            yield made
    finally:
        tally.seconds += time.monotonic() - begin
        logging.getLogger("reactor").disabled = False
