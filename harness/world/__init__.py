"""Worlds: what a scenario and its peers use of an operating system beside the subject.

The lab, the peers and all that provokes take a `World` and exist once. The live one is this machine;
the simulated one is a kernel of `harness.kernel`, whose sockets, threads and time are all virtual.
"""

from __future__ import annotations

from reactor.system import SYSTEMS

from ..errors import HarnessError
from ..kernel import DIALECTS
from ..scenario import unknown
from .base import World
from .live import LiveWorld
from .simulated import SimulatedWorld

#: What a run can stand on, as the command line and the reports call it.
GROUNDS = ("live", "sim")


def dialect_for(ground: str, dialect: str | None) -> str:
    """Return the dialect that is asked for; of a simulated kernel by default Linux's."""
    return dialect or ("linux" if ground == "sim" else "")


def check_ground(ground: str, system: str, dialect: str) -> None:
    """Check that these go together; each as for `make_world`.

    Raises:
        HarnessError: they do not; says why.
    """
    if ground not in GROUNDS:
        raise HarnessError(unknown("ground", ground, GROUNDS))
    if system not in SYSTEMS:
        raise HarnessError(unknown("system", system, SYSTEMS))
    if ground == "live":
        if dialect:
            raise HarnessError("a dialect is of a simulated kernel: add --ground sim")
        return
    if dialect not in DIALECTS:
        raise HarnessError(unknown("dialect", dialect, DIALECTS))
    if system != "live":
        raise HarnessError(f"--system {system} is for --ground live; see --dialect")


def make_world(ground: str, *, system: str = "live", dialect: str = "", seed: int = 0) -> World:
    """Make the world that a run asks for.

    Args:
        ground: ``live`` or ``sim``.
        system: of the live world: ``live``, or ``posix`` to refuse every Linux and BSD extension.
        dialect: of the simulated kernel; the live world has none.
        seed: decides every choice that the simulated kernel is free to make.

    Raises:
        HarnessError: they do not go together.
    """
    check_ground(ground, system, dialect)
    return LiveWorld(system) if ground == "live" else SimulatedWorld(dialect, seed)


__all__ = [
    "GROUNDS",
    "LiveWorld",
    "SimulatedWorld",
    "World",
    "check_ground",
    "dialect_for",
    "make_world",
]
