"""The process of one scenario: forked, told what to do, and gone.

It speaks to the fork server through a pipe, one JSON object a line, each line begun by a token
that nothing else knows: whatever a stray write puts into the pipe is told from what the child
said. Trace events go out as they happen, so that a hang or a crash has its last ones.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import resource
import signal
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from . import oracles

if TYPE_CHECKING:
    from collections.abc import Callable

    from .scenario import Scenario
    from .subject import SubjectReport

#: Exit code of a child that could not report because its pipe had been closed under it.
EXIT_MUTE = 81

#: Exit code of a child that could not even begin; its output says why.
EXIT_BROKEN = 82


class SubjectModule(Protocol):
    """What the child needs of the module that runs scenarios."""

    def run_scenario(  # noqa: D102 - see harness.subject
        self,
        scenario: Scenario,
        *,
        spec: str,
        system: str,
        seed: int,
        threads: int,
        sink: Callable[[dict[str, Any]], None],
        ground: str,
        dialect: str,
    ) -> SubjectReport: ...

    def current_dump(self) -> str: ...  # noqa: D102 - see harness.subject


@dataclass(frozen=True, slots=True)
class Order:
    """What a child is to do; times in seconds.

    Attributes:
        timeout_s: after which the fork server kills it.
        soft_s: after which it writes down where it hangs.
        token: begins each of its lines.
    """

    id: str
    spec: str
    system: str
    seed: int
    threads: int
    timeout_s: float
    soft_s: float
    token: str
    ground: str = "live"
    dialect: str = ""


@dataclass(frozen=True, slots=True)
class Channels:
    """The descriptors that the fork server made for one child."""

    result: int
    output: int
    stacks: int
    dump: int


class Reporter:
    """Writes lines into the result pipe, from any thread."""

    def __init__(self, fd: int, token: str) -> None:
        self._fd = fd
        self._token = token
        self._what = _identity(fd)
        # Re-entrant: a signal handler may record an event in the middle of recording another.
        self._lock = threading.RLock()

    def __call__(self, message: dict[str, Any]) -> None:
        """Send one message; after the pipe was closed under us, nothing."""
        text = json.dumps(message, default=repr)
        data = memoryview(f"\n{self._token} {text}\n".encode())
        with self._lock, contextlib.suppress(OSError):
            while data:
                data = data[os.write(self._fd, data) :]

    @property
    def mute(self) -> bool:
        """Whether the descriptor is no longer the pipe that it was."""
        return _identity(self._fd) != self._what


def _identity(fd: int) -> tuple[int, int] | None:
    try:
        status = os.fstat(fd)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def main(scenario: Scenario, order: Order, subject: SubjectModule, channels: Channels) -> NoReturn:
    """Run one scenario, report, and leave without running what the parent left to do at exit."""
    code = 0
    try:
        _settle_in(channels)
        report = Reporter(channels.result, order.token)
        _watch(order, subject, channels)
        try:
            report(_run(scenario, order, subject, report))
        except BaseException:  # noqa: BLE001 - the harness broke, whatever it was
            report({"kind": "error", "reason": traceback.format_exc()})
        if report.mute:
            code = EXIT_MUTE
    except BaseException:  # noqa: BLE001 - a forked child must not return into the fork server
        traceback.print_exc()
        code = EXIT_BROKEN
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)


def _settle_in(channels: Channels) -> None:
    """Take the channels into use and undo what the fork server had for itself."""
    os.setpgid(0, 0)  # so that what the scenario starts dies with it
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.dup2(channels.output, 1)
    os.dup2(channels.output, 2)
    os.close(channels.output)
    # Fresh ones: the fork server's write into a file, and remember a position in it.
    sys.stdout, sys.stderr = (
        open(fd, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
        for fd in (1, 2)
    )
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    faulthandler.enable(channels.stacks, all_threads=True)


def _watch(order: Order, subject: SubjectModule, channels: Channels) -> None:
    """Have the stacks, and the reactor's own dump, written down shortly before the deadline.

    A Python thread does it, early enough to wait for its turn while something spins. If it gets
    none, because C code keeps the GIL, faulthandler's own thread writes the stacks without it a
    little later; only then, since walking the frames of a thread that runs may crash.
    """
    last_s = (order.soft_s + order.timeout_s) / 2
    faulthandler.dump_traceback_later(last_s, file=channels.stacks)

    def write_down() -> None:
        time.sleep(order.soft_s)
        faulthandler.cancel_dump_traceback_later()
        faulthandler.dump_traceback(channels.stacks)
        try:
            text = subject.current_dump()
        except Exception:  # noqa: BLE001 - a broken dump is still news
            text = traceback.format_exc()
        with contextlib.suppress(OSError):
            os.write(channels.dump, text.encode(errors="backslashreplace"))

    # No signal may be delivered to the watchdog: scenarios count on their own thread getting them.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        threading.Thread(target=write_down, name="watchdog", daemon=True).start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _run(
    scenario: Scenario, order: Order, subject: SubjectModule, sink: Reporter
) -> dict[str, Any]:
    """Run it between the oracles; the message that says how it ended."""
    before = oracles.snapshot()
    begin = time.monotonic()
    report = subject.run_scenario(
        scenario,
        spec=order.spec,
        system=order.system,
        seed=order.seed,
        threads=order.threads,
        sink=sink,
        ground=order.ground,
        dialect=order.dialect,
    )
    duration = time.monotonic() - begin
    found = [*report.oracles, *oracles.judge(before)]
    status, reason = report.status, report.reason
    broken = [oracle for oracle in found if not oracle["ok"]]
    if status == "PASS" and broken:
        status = "FAIL"
        reason = "; ".join(f"{oracle['name']}: {oracle['detail']}" for oracle in broken)
    return {
        "kind": "end",
        "status": status,
        "reason": reason,
        "variant": report.variant,
        "duration_s": duration,
        "counters": report.counters,
        "info": report.info,
        "oracles": found,
        "digest": report.digest,
        "dump": report.dump,
    }
