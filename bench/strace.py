"""System calls of a server for each operation, counted by strace while it is at work."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Final

from .accounts import waits
from .process import PATIENCE, BenchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .suite import Measurement

#: Calls that an operation makes less often than this are left out: they belong to something else.
LEAST: Final = 0.005

#: What the round takes whose calls are subtracted from the other one's, as a part of that.
SHORT: Final = 1 / 3

#: So many operations tell what one of them does, if the longer round has no more than so many times those
#: of the shorter one: else the shorter one was over before all connections were open, and what opens
#: them does not cancel out. Where that is not so, rounds that are so many times as long are counted,
#: and again, so often at most.
ENOUGH: Final = 50
STEADY: Final = 10
_LONGER: Final = 4
_TRIES: Final = 3

#: A row of the summary: share, seconds, microseconds for each, calls, errors if any, and the name.
_ROW: Final = re.compile(r"^ *[\d.]+ +[\d.]+ +\d+ +(\d+) +(?:\d+ +)?(\w+)$", re.MULTILINE)


class RefusedError(Exception):
    """No system call can be counted here; says why."""


def parse(summary: str) -> dict[str, int]:
    """Return how often each call was made, as `strace -c` sums it up; {} if there was none."""
    found = {name: int(calls) for calls, name in _ROW.findall(summary)}
    found.pop("total", None)
    return found


@contextlib.contextmanager
def traced(pid: int, program: str) -> Iterator[dict[str, int]]:
    """Count the calls of a process; yields what has them when it is left.

    Args:
        pid: of the process.
        program: strace.

    Raises:
        RefusedError: it may not be traced.
    """
    counts: dict[str, int] = {}
    with subprocess.Popen(
        [program, "-f", "-c", "-p", str(pid)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "LC_ALL": "C"},
        process_group=0,  # an interrupt at the terminal is for who has started it
    ) as tracer:
        assert tracer.stderr is not None
        try:
            said = []
            for line in tracer.stderr:
                said.append(line.strip())
                if "attached" in line:
                    break
            else:
                raise RefusedError(next(filter(None, said), "strace ended"))
            yield counts
            tracer.send_signal(signal.SIGINT)
            counts |= parse(tracer.communicate()[1])
        finally:
            if tracer.poll() is None:
                tracer.kill()


class Calls:
    """Counts the calls for each operation, as long as it is let.

    Args:
        note: is told why it is not; once if it is for good.
        program: name of strace.
    """

    def __init__(self, note: Callable[[str], object], program: str = "strace") -> None:
        self._note = note
        self._program = shutil.which(program)
        self._asked = False

    def count(
        self, name: str, pid: int, measure: Callable[[float], Measurement], seconds: float
    ) -> dict[str, float] | None:
        """Return how often an operation makes each call, the most frequent first; None if nobody knows.

        It takes two rounds, and is their difference. So what belongs to a round and not to an
        operation is not in it: connections that are opened and closed, and messages that are still on
        the way at its end.

        Args:
            name: of the server.
            pid: its process.
            measure: puts it to work for so many seconds.
            seconds: for the longer round, if that is enough.
        """
        if self._program is None:
            if not self._asked:
                self._note("system calls are not counted: there is no strace")
            self._asked = True
            return None
        try:
            for longer in range(_TRIES):
                length = seconds * _LONGER**longer
                few, before = _traced(pid, self._program, measure, length * SHORT)
                many, after = _traced(pid, self._program, measure, length)
                if few + ENOUGH <= many <= few * STEADY:
                    return _each(before, after, many - few)
        except RefusedError as exc:
            self._note(f"system calls are not counted: {exc}")
            self._program, self._asked = None, True
        except BenchError as exc:  # it may be too slow for the load then
            self._note(f"system calls of {name} are not counted: {exc}")
        else:
            self._note(f"system calls of {name} are not counted: too few operations")
        return None


def _traced(
    pid: int, program: str, measure: Callable[[float], Measurement], seconds: float
) -> tuple[int, dict[str, int]]:
    with traced(pid, program) as counts:
        made = measure(seconds)
        # A server does not say when it has closed the last connection; it waits then.
        until = time.monotonic() + PATIENCE
        while not waits(pid) and time.monotonic() < until:
            time.sleep(0.001)
    return made.operations, counts


def _each(before: dict[str, int], after: dict[str, int], operations: int) -> dict[str, float]:
    each = {call: (count - before.get(call, 0)) / operations for call, count in after.items()}
    return {
        call: value
        for call, value in sorted(each.items(), key=lambda item: -item[1])
        if value >= LEAST
    }
