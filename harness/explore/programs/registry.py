"""The list of programs, and what adds one to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..steps import ExploreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..stage import Stage


@dataclass(frozen=True)
class Program:
    """A program.

    Attributes:
        name: what the command line calls it.
        about: the race, in one sentence.
        setup: given a `Stage`, makes the threads and the checks.
    """

    name: str
    about: str
    setup: Callable[[Stage], None]


PROGRAMS: dict[str, Program] = {}


def program(*variants: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add a program to the list.

    Args:
        variants: once for each: the backend, which `setup` is given as second argument, and behind
            a ``*`` how many threads `Stage.run` starts, one if there is none.
    """

    def add(setup: Callable[..., None]) -> Callable[..., None]:
        name = setup.__name__.replace("_", "-")
        about = " ".join((setup.__doc__ or "").split())
        for variant in variants or ("",):
            backend, _, runners = variant.partition("*")
            suffix = f"{runners}-runners" if runners else ""
            full = "-".join(filter(None, (name, backend, suffix)))

            def call(stage: Stage, backend: str = backend, runners: str = runners) -> None:
                stage.runners = int(runners or 1)
                if backend:
                    setup(stage, backend)
                else:
                    setup(stage)

            PROGRAMS[full] = Program(full, about, call)
        return setup

    return add


def get(name: str) -> Program:
    """Return the program of that name.

    Raises:
        ExploreError: there is none.
    """
    if name not in PROGRAMS:
        raise ExploreError(f"there is no program {name!r}; there are: {', '.join(PROGRAMS)}")
    return PROGRAMS[name]
