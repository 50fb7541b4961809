"""What other processes have used of the machine, and which machine it is."""

from __future__ import annotations

import os
import platform
import re
import sys
import time
from pathlib import Path
from typing import Any, Final, NamedTuple

_TICK: Final = os.sysconf("SC_CLK_TCK")


class Usage(NamedTuple):
    """Processor time, in seconds.

    Attributes:
        total: exact.
        user: in user mode, as the kernel tells it: in ticks of its clock.
        system: likewise in the kernel.
    """

    total: float
    user: float
    system: float

    def since(self, before: Usage) -> Usage:
        """Return what was used since `before`."""
        return Usage(*(now - then for now, then in zip(self, before, strict=True)))


def usage(pid: int) -> Usage | None:
    """Return the processor time of a process so far, all of its threads; None where there is no /proc."""
    try:
        fields = _stat(pid)
        # clock_getcpuclockid(3): on Linux the number of a process's clock is made of its own, so that
        # nothing has to be asked for it. It counts nanoseconds, and threads that have ended too.
        total = time.clock_gettime_ns(~pid << 3 | 2) / 1e9 if sys.platform == "linux" else None
    except OSError:
        return None
    user, system = int(fields[11]) / _TICK, int(fields[12]) / _TICK
    return Usage(user + system if total is None else total, user, system)


def waits(pid: int) -> bool:
    """Return whether a process has nothing to do; True also where there is no /proc."""
    try:
        return _stat(pid)[0] == "S"
    except OSError:
        return True


def _stat(pid: int) -> list[str]:
    """Return what /proc says of a process, from its state on: the name before that may have any letter."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()


def peak_memory(pid: int) -> int | None:
    """Return the most memory that a process has had, in bytes; None where there is no /proc."""
    return _memory(pid, "VmHWM")


def memory(pid: int) -> int | None:
    """Return the memory that a process has, in bytes; None where there is no /proc."""
    return _memory(pid, "VmRSS")


def _memory(pid: int, name: str) -> int | None:
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    found = re.search(rf"^{name}:\s*(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def processor() -> dict[str, Any]:
    """Return what the processor is called, empty if the system does not say, and how many there are."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        text = ""
    found = re.search(r"^model name\s*: (.*)$", text, re.MULTILINE)
    usable = getattr(os, "sched_getaffinity", None)
    return {
        "model": found[1] if found else platform.processor(),
        "count": len(usable(0)) if usable else os.cpu_count() or 1,
    }
