"""``reactorlab simulate`` and ``replay``: generated programs on the simulated kernel."""

from __future__ import annotations

import random
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.table import Table

from ..errors import HarnessError
from ..model import AS_EXPECTED, UNEXPECTED
from ..simulate import finding
from ..simulate.program import script
from ..simulate.search import Found, Tally, groups, search
from .show import console, plain, print_json

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from ..simulate.player import Outcome
    from ..simulate.program import Program

#: Seconds between two lines of progress.
_EVERY = 5.0

#: Programs of a group, unless the options say how many or how long.
_PROGRAMS = 1_000

#: Lines of a timeline that are shown.
_SHOWN = 200

#: In the long mode, seconds for a group before it is the next one's turn.
_TURN_S = 20.0


def main(options: argparse.Namespace) -> int:
    """Play programs of the groups that the options name; returns the exit code."""
    for name in ("programs", "minutes"):
        value = getattr(options, name)
        if value is not None and not value > 0:
            raise HarnessError(f"--{name} must be more than 0, not {value}")
    if options.programs is not None and options.minutes is not None:
        raise HarnessError("--programs and --minutes do not go together")
    chosen = groups(options.backend, options.dialect)
    seed = random.SystemRandom().randrange(1 << 32) if options.seed is None else options.seed
    console(stderr=True).print(f"seed {seed}")
    run = _Run(chosen, seed, options)
    run.go()
    if options.json:
        print_json(run.to_json())
    else:
        run.show()
    return UNEXPECTED if any(tally.found for tally in run.tallies) else AS_EXPECTED


class _Run:
    """One call of the command."""

    def __init__(
        self, chosen: list[tuple[str, str]], seed: int, options: argparse.Namespace
    ) -> None:
        self.seed = seed
        self.tallies = [Tally(*group) for group in chosen]
        self._options = options
        self._progress = console(stderr=True)
        self._begin = self._said = time.monotonic()

    def go(self) -> None:
        """Play them."""
        minutes = self._options.minutes
        if minutes is None:
            for tally in self.tallies:
                self._search(tally, count=self._options.programs or _PROGRAMS)
            return
        end = self._begin + 60 * minutes
        for tally in self.tallies:  # however short the time
            self._search(tally, count=1)
        while (left := end - time.monotonic()) > 0:
            # The group that has had least, for a turn.
            tally = min(self.tallies, key=lambda one: one.seconds)
            self._search(tally, seconds=min(_TURN_S, left, 60 * minutes / len(self.tallies)))

    def _search(
        self, tally: Tally, *, count: int | None = None, seconds: float | None = None
    ) -> None:
        for found in search(tally, self.seed, count=count, seconds=seconds):
            if found is not None:
                self._save(tally, found)
            now = time.monotonic()
            if now - self._said >= _EVERY:
                self._said = now
                total = sum(one.programs for one in self.tallies)
                broken = sum(len(one.found) for one in self.tallies)
                self._progress.print(
                    f"{total:,} programs, {now - self._begin:.0f} s, {broken} findings; "
                    f"at {tally.backend} on {tally.dialect}"
                )

    def _save(self, tally: Tally, found: Found) -> None:
        first = found.outcome.findings[0]
        path = self._file(tally, found)
        finding.save(path, found.program, found.outcome)
        self._progress.print(plain(f"{first.law}: {first.detail}\n  {path}"), soft_wrap=True)

    def _file(self, tally: Tally, found: Found) -> Path:
        name = f"{tally.backend}-{tally.dialect}-{self.seed}-{found.number}.json"
        path: Path = self._options.out / name
        return path

    def show(self) -> None:
        """Print what came of it."""
        out = console()
        for tally in self.tallies:
            for found in tally.found:
                _show_finding(found.program, found.outcome)
                path = self._file(tally, found)
                out.print(plain(f"replay: reactorlab replay {path}"), soft_wrap=True)
        table = Table("backend", "dialect", "programs", "calls", "per second", "found", box=None)
        for column in table.columns[2:5]:
            column.justify = "right"
        for tally in self.tallies:
            laws = [found.outcome.findings[0].law for found in tally.found]
            laws += [f"{tally.more} more"] if tally.more else []
            cells = (
                tally.backend,
                tally.dialect,
                f"{tally.programs:,}",
                f"{tally.calls:,}",
                f"{tally.programs / (tally.seconds or 1):,.0f}",
                "; ".join(laws) or "nothing",
            )
            table.add_row(*map(plain, cells))
        out.print(table)
        total = sum(tally.programs for tally in self.tallies)
        out.print(f"{total:,} programs, seed {self.seed}")

    def to_json(self) -> dict[str, Any]:
        """Return what came of it as plain data."""
        return {
            "seed": self.seed,
            "groups": [
                {
                    "backend": tally.backend,
                    "dialect": tally.dialect,
                    "programs": tally.programs,
                    "calls": tally.calls,
                    "seconds": tally.seconds,
                    "more": tally.more,
                    "found": [
                        {
                            "number": found.number,
                            "file": str(self._file(tally, found)),
                            "digest": found.outcome.digest,
                            "finding": asdict(found.outcome.findings[0]),
                        }
                        for found in tally.found
                    ],
                }
                for tally in self.tallies
            ],
        }


def _show_finding(program: Program, outcome: Outcome) -> None:
    out = console()
    if outcome.first is not None:
        out.print(plain(f"\n{outcome.first.law}: {outcome.first.detail}"), soft_wrap=True)
    for line in script(program):
        out.print(plain(f"  {line}"), soft_wrap=True)
    out.print("what happened: seconds, thread, call")
    for line in outcome.timeline[-_SHOWN:]:
        out.print(plain(f"  {line}"), soft_wrap=True)


def main_replay(options: argparse.Namespace) -> int:
    """Play a saved program again; returns the exit code."""
    saved = finding.load(options.file)
    outcome = finding.replay(saved)
    same = not saved.digest or outcome.digest == saved.digest
    if options.json:
        print_json(
            {
                "findings": [asdict(one) for one in outcome.findings],
                "digest": outcome.digest,
                "as_saved": same,
                "timeline": outcome.timeline,
            }
        )
    else:
        _show_finding(saved.program, outcome)
        out = console()
        out.print("nothing went wrong" if outcome.first is None else plain(outcome.first.law))
        out.print(
            f"digest {outcome.digest}" + ("" if same else f", and not {saved.digest} as saved")
        )
    return UNEXPECTED if outcome.findings else AS_EXPECTED
