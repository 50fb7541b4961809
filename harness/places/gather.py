"""Runs the same scenarios at several places side by side, and makes a run of what each of them says."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import json
import os
import secrets
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from .. import engine, environment
from ..interpreter import command
from ..lines import Lines
from ..model import Result, Run, RunInfo, Status
from . import cargo, worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..engine import RunOptions
    from ..scenario import Scenario
    from .spec import Place

#: Seconds that a place may take until it says the first word, and to leave after the last.
BOOT_S, LEAVE_S = 90.0, 15.0

#: Seconds after which a place that says nothing is given up, unless told otherwise.
SILENCE_S = 30.0

_CHUNK = 1 << 20


class _Link:
    """The process that talks to one place, and what has come from there."""

    def __init__(self, place: Place, order: dict[str, Any], file: Path, silence_s: float) -> None:
        self.place = place
        self.info: RunInfo | None = None
        self.results: dict[str, Result] = {}
        self.status = self.reason = ""
        self._silence_s = silence_s
        self._lines = Lines()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the link
        # A place on this machine puts its cargo there, also when it is killed.
        self._scratch = tempfile.TemporaryDirectory(prefix="lab-", ignore_cleanup_errors=True)
        self._process = subprocess.Popen(
            command("harness.places.link", place.spec, str(file)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=os.environ | {"TMPDIR": self._scratch.name},
            # Killed as a group; and Ctrl-C at the terminal is for who started all this.
            start_new_session=True,
        )
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it is dead; hear() will find out
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()
        self.deadline = time.monotonic() + BOOT_S

    @property
    def output(self) -> IO[bytes]:
        """What the place says."""
        assert self._process.stdout is not None
        return self._process.stdout

    def hear(self, on_result: Callable[[Place, Result], None]) -> bool:
        """Take what there is; tells whether there will be more."""
        data = os.read(self.output.fileno(), _CHUNK)
        for line in self._lines.feed(data):
            self._take(json.loads(line), on_result)
        if data:
            self.deadline = time.monotonic() + (LEAVE_S if self.status else self._silence_s)
            return True
        if not self.status:
            self.give_up("lost", "it went away")
        return False

    def _take(self, message: dict[str, Any], on_result: Callable[[Place, Result], None]) -> None:
        kind = message["kind"]
        if kind in {"begin", "end"}:
            self.info = RunInfo.from_dict(message["run"])
        if kind == "result":
            result = Result.from_dict(message["result"])
            self.results[result.id] = result
            on_result(self.place, result)
        elif kind == "end":
            self.status = "complete"
        elif kind in {"refused", "lost"} and not self.status:
            self.give_up(kind, message["reason"])

    def give_up(self, status: str, reason: str) -> None:
        """Say that nothing more will come from the place, and why."""
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").strip().splitlines()
        # What ssh, a shell or a dying interpreter wrote tells more than a connection that ended.
        tell = status == "lost" and said and said[-1] not in reason
        self.status, self.reason = status, f"{reason}: {said[-1]}" if tell else reason

    def close(self) -> None:
        """End the process, and everything on this machine that it has started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
        self._process.wait()
        self._errors.close()
        self._scratch.cleanup()


def gather(
    places: Iterable[Place],
    options: RunOptions,
    on_result: Callable[[Place, Result], None],
    silence_s: float = SILENCE_S,
) -> list[Run]:
    """Run scenarios at several places at once.

    A place that cannot be reached, refuses, goes away or falls silent costs only what has not come
    from there yet: those scenarios are NOTRUN in its run, whose `place` says what happened. Ctrl-C
    ends all of them in the same way.

    Args:
        places: where.
        options: what and how; an empty `spec` lets each place choose.
        on_result: is given each result as it comes.
        silence_s: seconds after which a place that says nothing is given up.

    Returns:
        A run for each place, in the same order.

    Raises:
        HarnessError: the options or the catalogue are not in order.
    """
    options.check()
    chosen = engine.select(options)
    if options.seed is None:  # the same everywhere
        options = dataclasses.replace(options, seed=secrets.randbits(32))
    begin = dt.datetime.now(dt.UTC)
    links: list[_Link] = []
    with tempfile.TemporaryDirectory(prefix="lab-") as scratch:
        file = Path(scratch) / "cargo.zip"
        file.write_bytes(cargo.pack(options.scenarios_dir, options.expectations))
        try:
            for place in places:
                order = worker.order(
                    dataclasses.replace(options, place=place.spec),
                    git=environment.git_info(),
                    harness_version=environment.version(),
                    subject_version=environment.version(),
                    argv=list(sys.argv),
                )
                links.append(_Link(place, order, file, silence_s))
            _listen(links, on_result)
        except KeyboardInterrupt:
            for link in links:
                if not link.status:
                    link.give_up("interrupted", "Ctrl-C")
        finally:
            for link in links:
                link.close()
    return [_run(link, options, chosen, begin) for link in links]


def _listen(links: list[_Link], on_result: Callable[[Place, Result], None]) -> None:
    """Hear all of them until none has anything left to say."""
    with selectors.DefaultSelector() as selector:
        for link in links:
            selector.register(link.output, selectors.EVENT_READ, link)
        while speaking := [key.data for key in selector.get_map().values()]:
            earliest = min(link.deadline for link in speaking)
            ready = selector.select(max(0.0, earliest - time.monotonic()))
            heard = [key.data for key, _ in ready]
            for link in heard:
                if not link.hear(on_result):
                    selector.unregister(link.output)
            for link in speaking:
                # Not one that may have spoken while the others were heard: we may be late ourselves.
                if link in heard or link.deadline > time.monotonic():
                    continue
                if any(key.data is link for key, _ in selector.select(0)):
                    continue
                if not link.status:
                    link.give_up("silent", "it says nothing any more")
                selector.unregister(link.output)


def _run(link: _Link, options: RunOptions, chosen: list[Scenario], begin: dt.datetime) -> Run:
    """Make the run of a place; what did not come from there is NOTRUN."""
    info = link.info or engine.of_options(
        options,
        id=f"{begin:%Y%m%dT%H%M%SZ}-{link.place.name}-{secrets.token_hex(3)}",
        started=begin.isoformat(timespec="milliseconds"),
        spec=options.spec or "unknown",
        backend=options.spec.partition("+")[0] or "unknown",
        variant="",
        seed=options.seed or 0,
        platform={"os": "", "release": "", "machine": "", "libc": ""},
        python={"version": "", "implementation": "", "gil": True},
    )
    info.place = {"name": link.place.name, "spec": link.place.spec, "status": link.status}
    if link.reason:
        info.place["reason"] = link.reason
    spec = link.info.spec if link.info else options.spec
    there = dataclasses.replace(options, place=link.place.spec, spec=spec)
    why = f"{link.place.name} was {link.status}: {link.reason}"
    return Run(
        info,
        [
            link.results.get(item.id)
            or engine.of_scenario(
                item,
                Status.NOTRUN,
                why,
                unexpected=item.strictness != "INFO",
                replay=engine.replay(there, item, info.seed),
            )
            for item in chosen
        ],
    )
