"""Hold the model against a real kernel: ``python -m harness.kernel.verify``.

Against the one of this machine by default; against what another one answered, with a record; or
against a second instance of itself, which shows that its answers hang on neither seed nor numbers.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ..dialects import DIALECTS
from . import records
from .compare import Comparison
from .grounds import Live, Model, Recorded, native_dialect
from .programs import Disagreement, from_text, sample, themes_for, to_text, verify

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .grounds import Ground
    from .player import Step

_T = TypeVar("_T")

#: Programs of one seed; the next ones come from the next seed, so that no run holds them all.
_ROUND = 500
#: Of the second instance of the model.
_OTHER_SEED, _SPARE = 0x5EED, 3


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m harness.kernel.verify",
        description="Play random programs of raw calls on the simulated kernel and on this one.",
    )
    parser.add_argument("--programs", type=int, default=20_000, metavar="N", help="how many")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="where drawing begins")
    parser.add_argument(
        "--dialect", metavar="NAME", help="whose model, by default this machine's or the record's"
    )
    parser.add_argument(
        "--itself", action="store_true", help="hold the model against another instance of itself"
    )
    parser.add_argument("--replay", type=Path, metavar="FILE", help="play the program of a file")
    parser.add_argument("--save", type=Path, metavar="FILE", help="write a program that differs")
    parser.add_argument(
        "--record", type=Path, metavar="FILE", help="write what this kernel answers"
    )
    parser.add_argument(
        "--against", type=Path, metavar="FILE", help="hold the model against such a record"
    )
    parser.add_argument("--json", action="store_true", help="write the result as JSON")
    return parser


class _Refused(Exception):
    """The command line asks for something that cannot be done."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 1 for a difference, 2 for a bad command line."""
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except _Refused as exc:
        print(f"verify: {exc}", file=sys.stderr)
        return 2


def _run(options: argparse.Namespace) -> int:
    if options.programs < 1 or options.seed < 0:
        raise _Refused("--programs takes a number from 1, --seed one from 0")
    if sum(map(bool, (options.itself, options.record, options.against))) > 1:
        raise _Refused("--itself, --record and --against exclude each other")
    record = None if options.against is None else _parsed(options.against, records.read)
    program = None
    if options.replay is not None:
        program = _parsed(options.replay, lambda file: from_text(file.read_text(encoding="utf-8")))
        if record is not None:
            raise _Refused("--against holds programs of its own, and takes no --replay")
    dialect = options.dialect or (native_dialect() if record is None else record.dialect)
    if dialect not in DIALECTS:
        raise _Refused(f"unknown dialect {dialect!r}; allowed: {', '.join(DIALECTS)}")
    other: Ground
    if record is not None:
        other = Recorded(record)
    else:
        other = Model(dialect, None, _OTHER_SEED, _SPARE) if options.itself else Live()
    with Comparison(dialect, other) as comparison:
        run = _Run(options, comparison)
        if record is not None:
            return run.check([entry.steps for entry in record.programs])
        if program is not None:
            return run.check([program])
        try:
            return run.record() if options.record is not None else run.search()
        except ImportError as exc:
            if exc.name != "hypothesis":
                raise
            raise _Refused("this needs hypothesis: install reactorlab[test]") from exc


def _parsed(file: Path, read: Callable[[Path], _T]) -> _T:
    try:
        return read(file)
    except (OSError, ValueError) as exc:
        raise _Refused(f"{file}: {exc}") from exc


def _written(file: Path, write: Callable[[], object]) -> None:
    try:
        write()
    except OSError as exc:
        raise _Refused(f"{file}: {exc}") from exc


class _Run:
    """One run: what was asked for, and what it came to."""

    def __init__(self, options: argparse.Namespace, comparison: Comparison) -> None:
        self._options = options
        self._comparison = comparison
        self._console = Console(stderr=True)
        self._begun = time.monotonic()

    def check(self, programs: list[list[Step]]) -> int:
        """Play these programs."""
        for done, program in enumerate(programs, 1):
            difference = self._comparison.difference(program)
            if difference is not None:
                return self._tell(done, program, str(difference))
        return self._tell(len(programs))

    def search(self) -> int:
        """Play random programs until one differs, or there have been enough."""
        done = 0

        def play(count: int, seed: int, progress: Callable[[], object]) -> None:
            nonlocal done
            verify(self._comparison, count, seed, progress)
            done += count

        try:
            seed = self._rounds(play)
        except Disagreement as found:
            seed = self._options.seed + done // _ROUND
            return self._tell(done, found.program, str(found), seed)
        return self._tell(done, seed=seed)

    def record(self) -> int:
        """Write down what the other kernel answers, whether or not the model agrees."""
        themes = themes_for(self._comparison.extensions).values()
        entries: list[records.Entry] = []
        differences: list[str] = []

        def play(count: int, seed: int, progress: Callable[[], object]) -> None:
            for program in sample(count, seed, themes):
                answers, difference = self._comparison.settled(program)
                entries.append(records.Entry(program, answers))
                if difference is not None:
                    differences.append(str(difference))
                progress()

        self._rounds(play)
        other = self._comparison.against
        record = records.Record(
            self._comparison.dialect, records.this_machine(), sorted(other.extensions), entries
        )
        file = self._options.record
        _written(file, lambda: records.write(file, record))
        said = f"{len(entries)} programs, {len(differences)} of which the model answers otherwise"
        result = {"programs": len(entries), "differences": differences}
        print(json.dumps(result) if self._options.json else "\n\n".join([said, *differences]))
        return 0

    def _rounds(self, play: Callable[[int, int, Callable[[], object]], None]) -> int:
        """Have programs drawn, some at a time; returns the seed that the next would come from."""
        options, console = self._options, self._console
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        done = 0
        seed: int = options.seed
        with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
            task = bar.add_task("programs", total=options.programs)
            while done < options.programs:
                count = min(_ROUND, options.programs - done)
                play(count, seed, lambda: bar.advance(task))
                done += count
                seed += 1
                if not console.is_terminal:
                    # A log has no bar; it still shows that the work goes on.
                    elapsed = time.monotonic() - self._begun
                    console.print(f"{done} of {options.programs} programs, {elapsed:.0f} s")
        return seed

    def _tell(
        self,
        done: int,
        program: list[Step] | None = None,
        difference: str | None = None,
        seed: int | None = None,
    ) -> int:
        options, comparison = self._options, self._comparison
        save: Path | None = options.save
        unused = [name for name, count in comparison.permitted.items() if not count]
        result = {
            "dialect": comparison.dialect,
            "kernel": comparison.against.release,
            "programs": done,
            "seed": options.seed,
            "looked_again": comparison.looked_again,
            "permitted": comparison.permitted,
            "difference": difference,
            "program": program,
        }
        if options.json:
            print(json.dumps(result))
        elif difference is None:
            print(
                f"{done} programs from seed {options.seed}: the {comparison.dialect} dialect and "
                f"{comparison.against.release} agree ({comparison.looked_again} only at a second "
                f"look, {sum(comparison.permitted.values())} but for what is permitted)"
            )
            if unused:
                print(f"permits that no program needed: {', '.join(unused)}")
        else:
            where = "" if seed is None else f"seed {seed}, shrunk to:\n"
            print(f"{difference}\n\n{where}{to_text(program or [])}")
        if difference is not None and save is not None:
            text = to_text(program or [])
            _written(save, lambda: save.write_text(text, encoding="utf-8"))
        return 0 if difference is None else 1


if __name__ == "__main__":
    sys.exit(main())
