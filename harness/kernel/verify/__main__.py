"""Hold the model against the kernel of this machine: ``python -m harness.kernel.verify``."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from .compare import Comparison, native_dialect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .player import Step

#: Programs of one seed; the next ones come from the next seed, so that no run holds them all.
_ROUND = 500


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m harness.kernel.verify",
        description="Play random programs of raw calls on the simulated kernel and on this one.",
    )
    parser.add_argument("--programs", type=int, default=20_000, metavar="N", help="how many")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="where drawing begins")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="play the program of a file")
    parser.add_argument("--save", type=Path, metavar="FILE", help="write a program that differs")
    parser.add_argument("--json", action="store_true", help="write the result as JSON")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 1 for a difference, 2 for a bad command line."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.programs < 1 or options.seed < 0:
        return _refuse("--programs takes a number from 1, --seed one from 0")
    try:
        from .programs import from_text
    except ImportError:
        return _refuse("this needs hypothesis: install reactorlab[test]")
    with Comparison() as comparison:
        if options.replay is not None:
            try:
                program = from_text(options.replay.read_text(encoding="utf-8"))
            except (OSError, ValueError) as exc:
                return _refuse(f"{options.replay}: {exc}")
            difference = comparison.difference(program)
            return _tell(
                options, comparison, 1, program, None if difference is None else str(difference)
            )
        return _search(options, comparison)


def _refuse(message: str) -> int:
    print(f"verify: {message}", file=sys.stderr)
    return 2


def _search(options: argparse.Namespace, comparison: Comparison) -> int:
    from .programs import Disagreement, verify

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    done = 0
    begun = time.monotonic()
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("programs", total=options.programs)
        seed = options.seed
        while done < options.programs:
            count = min(_ROUND, options.programs - done)
            try:
                verify(comparison, count, seed, lambda: bar.advance(task))
            except Disagreement as found:
                bar.stop()
                return _tell(options, comparison, done, found.program, str(found), seed)
            done += count
            seed += 1
            if not console.is_terminal:
                # A log has no bar; it still shows that the work goes on.
                elapsed = time.monotonic() - begun
                console.print(f"{done} of {options.programs} programs, {elapsed:.0f} s")
    return _tell(options, comparison, done, None, None, seed)


def _tell(
    options: argparse.Namespace,
    comparison: Comparison,
    done: int,
    program: list[Step] | None,
    difference: str | None,
    seed: int | None = None,
) -> int:
    from .programs import to_text

    result = {
        "dialect": native_dialect(),
        "programs": done,
        "seed": options.seed,
        "looked_again": comparison.looked_again,
        "difference": difference,
        "program": program if difference else None,
    }
    if options.json:
        print(json.dumps(result))
    elif difference is None:
        print(
            f"{done} programs from seed {options.seed}: the {native_dialect()} dialect and this kernel agree "
            f"({comparison.looked_again} only at a second look)"
        )
    else:
        print(f"{difference}\n\nseed {seed}, shrunk to:\n{to_text(program or [])}")
    if difference is not None and options.save is not None:
        options.save.write_text(to_text(program or []), encoding="utf-8")
    return 0 if difference is None else 1


if __name__ == "__main__":
    sys.exit(main())
