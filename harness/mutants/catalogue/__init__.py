"""The catalogue of mutants: one module for each area of the library."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import HarnessError
from ...scenario import unknown
from . import (
    acceptor,
    backends,
    close,
    datagram,
    descriptor,
    kqueue,
    operation,
    scheduler,
    scope,
    signalling,
    stream,
    timers,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..model import Mutant

#: Every mutant, area by area.
AREAS: dict[str, Sequence[Mutant]] = {
    module.AREA: module.MUTANTS
    for module in (
        signalling,
        scheduler,
        operation,
        descriptor,
        scope,
        close,
        stream,
        datagram,
        acceptor,
        timers,
        backends,
        kqueue,
    )
}


def select(areas: Iterable[str] = (), names: Iterable[str] = ()) -> list[Mutant]:
    """Return the mutants of these areas, or with these names; all of them by default.

    Raises:
        HarnessError: there is no such area or mutant.
    """
    areas, names = list(areas), list(names)
    every = {mutant.name: mutant for mutants in AREAS.values() for mutant in mutants}
    _known("area", areas, AREAS)
    _known("mutant", names, every)
    return [
        mutant
        for mutant in every.values()
        if (not areas or mutant.area in areas) and (not names or mutant.name in names)
    ]


def _known(what: str, asked: Iterable[str], known: Iterable[str]) -> None:
    for one in asked:
        if one not in known:
            raise HarnessError(unknown(what, one, known))
