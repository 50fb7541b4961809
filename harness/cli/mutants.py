"""``reactorlab mutants``: broken reactors, and what notices them."""

from __future__ import annotations

import difflib
import os
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from rich.table import Table

from ..errors import HarnessError
from ..model import AS_EXPECTED, NOTHING_MATCHED, UNEXPECTED
from ..mutants import catalogue, record
from ..mutants.model import SOURCE
from ..mutants.runner import Plan, Runner
from .show import console, plain, print_json

if TYPE_CHECKING:
    import argparse

    from ..mutants.model import Mutant
    from ..mutants.runner import Fate

#: Seconds without a result until a line says what is being done.
_EVERY = 5.0


def main(options: argparse.Namespace) -> int:
    """Run the suite against the mutants that the options name; returns the exit code."""
    chosen = catalogue.select(options.area, options.only)
    if options.list:
        return _list(chosen, diffs=bool(options.only), as_json=options.json)
    if options.replay is not None:
        return _replay(chosen, options)
    plan = Plan()
    said = console(stderr=True)
    if plan.root is None:
        said.print("there is no checkout with tests/ here: scenarios and explorer programs only")
    here = [mutant for mutant in chosen if any(map(plan.has, mutant.dies))]
    if len(here) < len(chosen):
        away = ", ".join(mutant.name for mutant in chosen if mutant not in here)
        said.print(plain(f"left out, since what notices them is not here: {away}"), soft_wrap=True)
    chosen = here
    if not chosen:
        said.print("reactorlab: no mutant is left")
        return NOTHING_MATCHED
    file = record.Record(options.out, record.digest(plan.root), [one.name for one in chosen])
    fates = {} if options.fresh else file.earlier()
    if fates:
        said.print(plain(f"going on from {file.path}: {len(fates)} of {len(chosen)} are done"))
    file.write(list(fates.values()), complete=False)  # where it cannot, say so now
    begin = time.monotonic()
    waiting = [mutant for mutant in chosen if mutant.name not in fates]
    with Runner(plan) as runner:
        jobs = options.jobs or os.cpu_count() or 1
        with ThreadPoolExecutor(jobs) as pool:
            running: set[Future[Fate]] = {pool.submit(runner.run, mutant) for mutant in waiting}
            try:
                while running:
                    done, running = wait(running, _EVERY, return_when=FIRST_COMPLETED)
                    if not done:
                        said.print(
                            plain(f"{len(fates)} of {len(chosen)}; at {', '.join(runner.at)}"),
                            soft_wrap=True,
                        )
                    for future in done:
                        fate = future.result()
                        fates[fate.name] = fate
                        file.write(list(fates.values()), complete=False)
                        said.print(
                            plain(f"{len(fates)} of {len(chosen)} {_line(fate)}"), soft_wrap=True
                        )
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                runner.end()
                said.print(
                    plain(f"{len(fates)} of {len(chosen)} are done; the same command goes on")
                )
                raise
    ordered = [fates[mutant.name] for mutant in chosen]
    file.write(ordered, complete=True)
    if options.json:
        print_json(file.data(ordered, complete=True))
    else:
        _show(ordered, time.monotonic() - begin)
    said.print(plain(f"report: {file.path}"), soft_wrap=True)
    return UNEXPECTED if any(fate.survived for fate in ordered) else AS_EXPECTED


def _line(fate: Fate) -> str:
    how = f"killed by {fate.killed_by}" if fate.killed_by else f"SURVIVED {fate.tried} killers"
    if fate.broken:
        how = f"BROKEN: {fate.broken}"
    return f"{fate.name}: {how} ({fate.seconds:.1f} s)"


def _show(fates: list[Fate], seconds: float) -> None:
    out = console()
    table = Table("mutant", "area", "killed by", "what it saw", box=None)
    for fate in sorted(fates, key=lambda fate: not fate.survived):
        killed = fate.killed_by or ("BROKEN" if fate.broken else "SURVIVED")
        table.add_row(*map(plain, (fate.name, fate.area, killed, fate.broken or _saw(fate))))
    out.print(table)
    for fate in fates:
        if fate.replay is not None:
            out.print(plain(f"\n{fate.name}: {fate.detail}"), soft_wrap=True)
            out.print(plain(f"with {fate.switches} switches of threads that need not be:"))
            for line in fate.timeline:
                out.print(plain(f"  {line}"), soft_wrap=True)
            out.print(
                plain(f"replay: reactorlab mutants --only {fate.name} --replay '{fate.replay}'"),
                soft_wrap=True,
            )
    survivors = sum(fate.survived for fate in fates)
    out.print(f"\n{len(fates)} mutants in {seconds:.0f} s: {survivors} survived")


def _saw(fate: Fate) -> str:
    return fate.detail if len(fate.detail) <= 60 else f"{fate.detail[:57]}..."


def _list(chosen: list[Mutant], *, diffs: bool, as_json: bool) -> int:
    out = console()
    if as_json:
        fields = ("name", "area", "imitates")
        print_json({"mutants": [{name: getattr(one, name) for name in fields} for one in chosen]})
        return AS_EXPECTED
    for mutant in chosen:
        out.print(plain(f"{mutant.area}: {mutant.name}\n  {mutant.imitates}"), soft_wrap=True)
        if diffs:
            for file, text in mutant.changed().items():
                before = (SOURCE / file).read_text(encoding="utf-8").splitlines()
                names = (f"a/reactor/{file}", f"b/reactor/{file}")
                for line in difflib.unified_diff(before, text.splitlines(), *names, lineterm=""):
                    out.print(plain(f"  {line}"), soft_wrap=True)
    return AS_EXPECTED


def _replay(chosen: list[Mutant], options: argparse.Namespace) -> int:
    if len(options.only) != 1:
        raise HarnessError("--replay needs one mutant: --only NAME")
    with Runner(Plan()) as runner:
        found = runner.replay(chosen[0], options.replay)
    if options.json:
        print_json({"programs": [found["replayed"]], "timeline": found["timeline"]})
    else:
        out = console()
        for line in found["timeline"]:
            out.print(plain(line), soft_wrap=True)
        words = [f"{one['kind']}: {one['detail']}" for one in found["replayed"]["violations"]]
        out.print(plain("; ".join(words) or "nothing went wrong"))
    return UNEXPECTED if found["replayed"]["violations"] else AS_EXPECTED
