"""Runs mutants: which killers come at which, in what order, and whether a kill counts."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from reactor import backends
from reactor.system import System

from ..lines import Lines
from ..scenario import load
from . import model
from .model import BYSTANDER, PROGRAM, SCENARIO, SIMULATED, TEST, Killer, Mutant, MutantError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: Seconds for one attempt at a scenario: of a mutant's own killers, and of all others.
AIMED_S, SWEPT_S = 5.0, 20.0

#: Schedules of a program at most; for an unbroken one, and for those that are not aimed at a mutant.
AIMED, CONTROL, SWEPT = 20_000, 200, 2_000

#: Generated programs at most, of an unbroken library too: it must pass the one that noticed.
PROGRAMS = 3_000

#: A child that says nothing for so many seconds hangs, in what it has begun last.
SILENCE_S = 100.0

#: The area whose mutants only an exhaustive or property-based killer may have: a scenario on real
#: threads notices them by luck.
SIGNALLING = "signalling"


@dataclass
class Fate:
    """What became of a mutant.

    Attributes:
        name, area, imitates: of the mutant.
        killed_by: what noticed it, such as ``scenario cancel.pending-recv on poll``; None for a
            survivor.
        detail: what it saw.
        replay: of an explorer's finding: the schedule, for ``reactorlab mutants --only NAME
            --replay``.
        switches: how often that schedule goes from thread to thread without having to.
        timeline: what the threads did.
        tried: killers that were let at it, including the one that noticed.
        unreliable: those that "noticed" and notice the same of the unbroken library.
        broken: why it could not be run at all; then it counts as a survivor.
        seconds: that it took.
    """

    name: str
    area: str
    imitates: str
    killed_by: str | None = None
    detail: str = ""
    replay: str | None = None
    switches: int | None = None
    timeline: list[str] = field(default_factory=list)
    tried: int = 0
    unreliable: list[str] = field(default_factory=list)
    broken: str | None = None
    seconds: float = 0.0

    @property
    def survived(self) -> bool:
        """Whether nothing noticed it."""
        return self.killed_by is None


def checkout() -> Path | None:
    """Return the root of the checkout that this package runs from, None if installed without one."""
    root = model.SOURCE.parent
    return (
        root if (root / "tests/reactor").is_dir() and (root / "pyproject.toml").is_file() else None
    )


def can(spec: str) -> bool:
    """Tell whether this machine has the backend, waker and timer of a killer."""
    name, *axes = spec.partition("*")[0].split("+")
    system = System()
    return name in backends.available() and all(
        axis in {"timeout", "pipe"} or system.has(axis) for axis in axes
    )


class Plan:
    """The killers of this machine, and their order for each mutant."""

    def __init__(self) -> None:
        from ..explore import programs

        self.root = checkout()
        self.specs = backends.available() + [
            f"{name}+pipe" for name in backends.available() if name == "epoll"
        ]
        self.scenarios = [item.id for item in load(None) if item.family != "stress"]
        self.programs = list(programs.PROGRAMS)
        self.tests = (
            sorted(
                str(path.relative_to(self.root / "tests"))
                for pattern in ("reactor/test_*.py", "kernel/test_reactor_*.py")
                for path in (self.root / "tests").glob(pattern)
            )
            if self.root
            else []
        )

    def stages(self, mutant: Mutant) -> Iterable[tuple[list[Killer], float, int]]:
        """Yield what to try, likely killers first: killers, seconds, schedules."""
        aimed = [killer for killer in mutant.dies if self.has(killer)]
        yield aimed, AIMED_S, AIMED
        words = {word for edit in mutant.edits for word in re.split(r"\W+", edit.file)} - {"py"}
        near = [name for name in self.tests if words & set(re.split(r"[\W_]+", name))]
        machines = [name for name in self.tests if "machine" in name and name not in near]
        programs = [Killer(PROGRAM, name) for name in self.programs]
        if mutant.area == SIGNALLING:
            yield programs, SWEPT_S, SWEPT
            properties = [name for name in near + machines if self._properties(name)]
            yield [Killer(TEST, name) for name in properties], SWEPT_S, SWEPT
            return
        yield [Killer(TEST, name) for name in near], SWEPT_S, SWEPT
        for spec in self.specs:
            yield [Killer(SCENARIO, one, spec) for one in self.scenarios], SWEPT_S, SWEPT
        rest = machines + [name for name in self.tests if name not in near + machines]
        yield [Killer(TEST, name) for name in rest], SWEPT_S, SWEPT
        yield programs, SWEPT_S, SWEPT

    def has(self, killer: Killer) -> bool:
        """Tell whether a killer can be had here."""
        if killer.kind == TEST:
            return self.root is not None
        return killer.kind in {PROGRAM, SIMULATED} or can(killer.spec)

    def _properties(self, name: str) -> bool:
        assert self.root is not None
        return "hypothesis" in (self.root / "tests" / name).read_text(encoding="utf-8")


class Runner:
    """Runs mutants, each in a copy of its own; may be called from several threads.

    A context manager: its folder of copies, and what still runs, go with it.

    Attributes:
        at: the mutants that are being run.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.at: list[str] = []
        self._folder = tempfile.TemporaryDirectory(prefix="mutants-")
        self._unbroken = Path(self._folder.name) / "unbroken"
        model.copy(self._unbroken, {})
        self._lock = threading.Lock()
        self._children: set[subprocess.Popen[bytes]] = set()
        self._ended = False
        self._controls: dict[Killer, bool] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.end()
        self._folder.cleanup()

    def end(self) -> None:
        """Kill what still runs; whoever waits for it gets an InterruptedError."""
        with self._lock:
            self._ended = True
            for child in self._children:
                _kill(child)

    def run(self, mutant: Mutant) -> Fate:
        """Let killers at `mutant` until one notices.

        Raises:
            MutantError: it does not fit the code.
            InterruptedError: the runner was ended meanwhile.
        """
        fate = Fate(mutant.name, mutant.area, mutant.imitates)
        begin = time.monotonic()
        folder = Path(self._folder.name) / mutant.name
        mutant.copy(folder)
        self.at.append(mutant.name)
        try:
            for number, (killers, seconds, limit) in enumerate(self.plan.stages(mutant)):
                first = [BYSTANDER] if number == 0 and can(BYSTANDER.spec) else []
                if self._stage(fate, folder, first + killers, seconds, limit):
                    break
        except _Broken as exc:
            fate.broken = str(exc)
        finally:
            self.at.remove(mutant.name)
        fate.seconds = round(time.monotonic() - begin, 3)
        return fate

    def replay(self, mutant: Mutant, text: str) -> dict[str, Any]:
        """Run the one schedule of `mutant` that a replay string names; what came of it."""
        folder = Path(self._folder.name) / mutant.name
        mutant.copy(folder)
        try:
            return next(self._messages({"folder": str(folder), "replay": text}))
        except _Broken as exc:
            raise MutantError(f"mutant {mutant.name}: {exc}") from exc

    def _stage(
        self, fate: Fate, folder: Path, killers: list[Killer], seconds: float, limit: int
    ) -> bool:
        while killers:
            found = self._attempt(folder, killers, seconds, limit)
            if found is None:
                fate.tried += len(killers)
                return False
            killer, message = found
            if killer == BYSTANDER:
                raise _Broken(f"not even {BYSTANDER} passes: {message['detail']}")
            place = next(
                (place for place, one in enumerate(killers) if _covers(one, killer)), len(killers)
            )
            fate.tried += place + 1
            if self._reliable(killer, seconds):
                fate.killed_by = str(killer)
                fate.detail = message.get("detail", "")
                fate.replay = message.get("replay")
                fate.switches = message.get("switches")
                fate.timeline = message.get("timeline", [])
                return True
            fate.unreliable.append(str(killer))
            killers = killers[place + 1 :]
        return False

    def _reliable(self, killer: Killer, seconds: float) -> bool:
        """Tell whether the unbroken library passes `killer`, here and now."""
        with self._lock:
            known = self._controls.get(killer)
        if known is None:
            known = self._attempt(self._unbroken, [killer], seconds, CONTROL) is None
            with self._lock:
                self._controls[killer] = known
        return known

    def _attempt(
        self, folder: Path, killers: list[Killer], seconds: float, limit: int
    ) -> tuple[Killer, dict[str, Any]] | None:
        """Let killers at one copy; the first that notices, and what it says."""
        order = {
            "folder": str(folder),
            "killers": [[one.kind, one.name, one.spec] for one in killers],
            "seconds": seconds,
            "limit": limit,
            "simulated": PROGRAMS,
            "root": str(self.plan.root),
        }
        for message in self._messages(order):
            if "killed" in message:
                return Killer(*message["killed"]), message
        return None

    def _messages(self, order: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Run a child; yields what it says.

        Raises:
            _Broken: it could not do what it was told.
        """
        with tempfile.TemporaryFile() as errors:
            with self._lock:
                if self._ended:
                    raise InterruptedError
                child = subprocess.Popen(
                    [sys.executable, "-m", "harness.mutants.victim"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    env=_environment(order["folder"]),
                    start_new_session=True,
                )
                self._children.add(child)
            try:
                yield from _hear(child, order)
                if child.wait() and not self._ended:
                    errors.seek(0)
                    said = errors.read().decode(errors="replace").strip().splitlines()
                    raise _Broken(f"its process ended with {child.returncode}: {said[-1:]}")
            finally:
                _kill(child)
                child.wait()
                with self._lock:
                    self._children.discard(child)
            if self._ended:
                raise InterruptedError


class _Broken(Exception):
    """A child could not do what it was told."""


def _hear(child: subprocess.Popen[bytes], order: dict[str, Any]) -> Iterable[dict[str, Any]]:
    """Give a child its order and yield what it says; a hang is a kill by what it was at."""
    assert child.stdin is not None
    assert child.stdout is not None
    with child.stdin as stdin:
        stdin.write(json.dumps(order).encode())
    lines = Lines()
    at: list[str] = order["killers"][0] if "killers" in order else [PROGRAM, order["replay"], ""]
    with child.stdout as stdout:
        while True:
            if not select.select([stdout], [], [], SILENCE_S)[0]:
                yield {"killed": at, "detail": f"no end within {SILENCE_S:g} s"}
                return
            data = os.read(stdout.fileno(), 1 << 16)
            if not data:
                return
            for line in lines.feed(data):
                message: dict[str, Any] = json.loads(line)
                if "broken" in message:
                    raise _Broken(message["broken"])
                at = message.get("begin", at)
                yield message


def _kill(child: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


def _covers(killer: Killer, found: Killer) -> bool:
    """Tell whether `found` is `killer` or, if that is a file of tests, one in it."""
    return killer == found or (killer.kind == TEST and found.name.startswith(f"{killer.name}::"))


def _environment(folder: str) -> dict[str, str]:
    """The environment of a child that imports the copy, and all else as this process does."""
    path = [folder, *(entry or str(Path.cwd()) for entry in sys.path)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path), "PYTHONSAFEPATH": "1"}
