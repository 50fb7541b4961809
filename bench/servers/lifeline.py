"""A server ends with who has started it, also when that is killed and can end nothing any more."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import stat
import sys
import threading
from typing import Final

_INPUT: Final = 0


def end_with_input() -> None:
    """End this process when its standard input ends, if that is a pipe.

    Nobody writes to the pipe, and its other end goes with the process that has it. At a terminal, or
    with a file, nothing happens.
    """
    if not stat.S_ISFIFO(os.fstat(_INPUT).st_mode):
        return
    if sys.platform == "linux":
        # The kernel's signal, and no thread that waits: with a second thread each system call of the
        # first one would have to count who uses the table of descriptors, and that is measured.
        fcntl.fcntl(_INPUT, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(_INPUT, fcntl.F_SETSIG, signal.SIGTERM)
        fcntl.fcntl(_INPUT, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
        with contextlib.suppress(BlockingIOError):  # it may have ended before there was a signal
            _wait()
    else:
        threading.Thread(target=_wait, daemon=True).start()


def _wait() -> None:
    """End the process when its input has ended."""
    while os.read(_INPUT, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
