"""Oracles around a scenario, in its own process: what it must leave as it found it.

They are asked on every scenario, not only where an author remembered. What only the subject can
see (its tasks, timers and descriptors, whether it still serves a fresh echo) is the lab's part.
"""

from __future__ import annotations

import gc
import os
import resource
import stat
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: Seconds that a thread which is already ending may take until it is called left over.
THREAD_GRACE = 2.0

#: Where the system has no truthful list of descriptors, the numbers below this are tried.
SCAN_LIMIT = 8192


@dataclass(frozen=True)
class Snapshot:
    """The process before a scenario: descriptors by number with what each is, and threads."""

    descriptors: dict[int, tuple[int, int]]
    threads: frozenset[threading.Thread]


def snapshot() -> Snapshot:
    """Look at this process."""
    return Snapshot(_descriptors(), frozenset(threading.enumerate()))


def judge(before: Snapshot) -> list[dict[str, Any]]:
    """Compare this process with what it was before.

    Returns:
        One ``{"name", "ok", "detail"}`` for each oracle.
    """
    threads = _threads_left(before)
    # Where cycles keep sockets alive, or nothing counts references (PyPy), a dropped object is
    # closed by the collector only; it is left over when even that does not close it.
    gc.collect()
    after = _descriptors()
    opened = [fd for fd in after if fd not in before.descriptors]
    lost = [fd for fd, what in before.descriptors.items() if after.get(fd) != what]
    return [
        _oracle(
            "no-leaked-fd",
            "" if not opened else f"{len(opened)} left open: {', '.join(map(_describe, opened))}",
        ),
        _oracle(
            "no-foreign-close",
            "" if not lost else f"{len(lost)} closed or replaced that belong to the harness",
        ),
        _oracle("no-leaked-thread", "" if not threads else f"still running: {', '.join(threads)}"),
    ]


def _oracle(name: str, detail: str) -> dict[str, Any]:
    return {"name": name, "ok": not detail, "detail": detail}


def _threads_left(before: Snapshot) -> list[str]:
    left = []
    for thread in threading.enumerate():
        if thread not in before.threads and thread is not threading.current_thread():
            try:
                thread.join(THREAD_GRACE)
            except (RuntimeError, AssertionError):  # the latter before Python 3.13
                continue  # a stand-in for a foreign thread, which cannot be joined
            if thread.is_alive():
                left.append(thread.name)
    return left


def _descriptors() -> dict[int, tuple[int, int]]:
    """Return every open descriptor with the device and inode of what it refers to."""
    found = {}
    for fd in _numbers():
        try:
            status = os.fstat(fd)
        except OSError:
            continue  # the one that listed the folder
        found[fd] = (status.st_dev, status.st_ino)
    return found


def _numbers() -> list[int]:
    # Without fdescfs, the BSDs' /dev/fd holds 0, 1 and 2 only, or every number there can be.
    folder = {"linux": "/proc/self/fd", "darwin": "/dev/fd"}.get(sys.platform)
    if folder is not None:
        try:
            return [int(name) for name in os.listdir(folder)]  # noqa: PTH208 - names, not paths
        except OSError:
            pass  # no /proc here, or no descriptor free to list it with
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return list(range(SCAN_LIMIT if soft == resource.RLIM_INFINITY else min(soft, SCAN_LIMIT)))


def _describe(fd: int) -> str:
    """Say what a descriptor is, for the person who looks for the leak."""
    try:
        return str(Path(f"/proc/self/fd/{fd}").readlink())
    except OSError:
        pass
    try:
        mode = os.fstat(fd).st_mode
    except OSError:
        return f"descriptor {fd}"
    kinds = {"socket": stat.S_ISSOCK, "pipe": stat.S_ISFIFO, "file": stat.S_ISREG}
    return next((kind for kind, test in kinds.items() if test(mode)), f"mode {mode:o}")
