"""Several threads in `run`, with the GIL and without it."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Final

from ..process import Worker
from ..suite import Case, Missing, Running, Subject, Suite
from .loops import measuring

if TYPE_CHECKING:
    from contextlib import ExitStack

    from ..suite import Tools

#: Names an interpreter without the GIL; else the running one, or one of these on PATH.
VARIABLE: Final = "REACTORLAB_FREE_THREADED"
NAMES: Final = ("python3.15t", "python3.14t", "python3.13t")

#: Connections, and the bytes of a message.
PAIRS: Final = 32
SIZE: Final = 64

_WITH, _WITHOUT = "reactor (GIL)", "reactor (no GIL)"

_PROBE = "import sys; sys.exit(getattr(sys, '_is_gil_enabled', lambda: True)())"


def without_gil() -> list[str]:
    """Return the command of an interpreter that runs without the GIL.

    Raises:
        Missing: there is none, or the one that the environment names is not one.
    """
    named = os.environ.get(VARIABLE)
    for name in [named] if named else [sys.executable, *NAMES]:
        path = shutil.which(name)
        if path is not None and _runs_without(path):
            return [path, "-X", "gil=0"]
    if named:
        raise Missing(f"{VARIABLE}={named} runs no Python without the GIL")
    raise Missing(f"no Python without the GIL: {VARIABLE} names one, or PATH has {NAMES[1]}")


@functools.cache
def _runs_without(path: str) -> bool:
    # The option is an error to an interpreter that cannot do without.
    done = subprocess.run(
        [path, "-X", "gil=0", "-c", _PROBE], capture_output=True, check=False, timeout=30
    )
    return done.returncode == 0


def with_gil() -> list[str]:
    """Return the command of the running interpreter, with the GIL also where it can do without."""
    free = hasattr(sys, "_is_gil_enabled") and _runs_without(sys.executable)
    return [sys.executable, *(("-X", "gil=1") if free else ())]


class Threads(Suite):
    """One thread in `run`, two, and as many as there are processors."""

    name = "threads"
    title = "Threads in run(), connections inside the process"
    what = "round trips"
    axis = "threads"

    def cases(self, *, full: bool) -> list[Case]:
        """As `Suite.cases`."""
        return [
            Case(
                f"{count} thread{'s' if count > 1 else ''}",
                {"threads": count, "connections": PAIRS, "size": SIZE},
            )
            for count in sorted({1, 2, os.cpu_count() or 1} if full else {1, 2})
        ]

    def subjects(self, case: Case) -> list[Subject]:
        """As `Suite.subjects`."""
        return [Subject(_WITH, "reactor"), Subject(_WITHOUT, "reactor")]

    def start(self, case: Case, subject: Subject, tools: Tools, stack: ExitStack) -> Running:
        """As `Suite.start`."""
        interpreter = with_gil() if subject.name == _WITH else without_gil()
        worker = stack.enter_context(
            Worker(
                "inprocess.threads",
                *(case.parameters[key] for key in ("threads", "connections", "size")),
                interpreter=interpreter,
            )
        )
        worker.ask("what")
        return measuring(worker, f"{self.name}: {case.name}: {subject.name}")


SUITE = Threads()
