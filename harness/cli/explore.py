"""``reactorlab explore``: the scheduler under every interleaving of small programs."""

from __future__ import annotations

import multiprocessing
import os
import time
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from typing import TYPE_CHECKING

from rich.table import Table

from ..errors import HarnessError
from ..explore import explorer, programs
from ..model import AS_EXPECTED, UNEXPECTED
from .show import console, plain, print_json

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from ..explore.explorer import Report

#: Seconds between two lines of progress.
_EVERY = 5.0


def main(options: argparse.Namespace) -> int:
    """Explore the programs that the options name; returns the exit code."""
    if options.replay is not None:
        return _replay(options)
    for name in ("limit", "seconds"):
        value = getattr(options, name)
        if value is not None and not value > 0:
            raise HarnessError(f"--{name} must be more than 0, not {value}")
    chosen = [programs.get(name).name for name in options.programs or programs.PROGRAMS]
    if options.list:
        for name in chosen:
            console().print(plain(f"{name}: {programs.get(name).about}"))
        return AS_EXPECTED
    begin = time.monotonic()
    reports: dict[str, Report] = {}
    progress = console(stderr=True)
    said = begin
    for report in _explore(chosen, options):
        if report is not None:
            reports[report.name] = report
            for finding in report.violations:
                progress.print(plain(f"{report.name}: {finding.kind}: {finding.detail}"))
        now = time.monotonic()
        if now - said >= _EVERY or (report is not None and progress.is_terminal):
            said = now
            total = sum(item.schedules for item in reports.values())
            progress.print(
                f"{len(reports)} of {len(chosen)} programs, {total:,} schedules, "
                f"{now - begin:.0f} s"
            )
    found = [reports[name] for name in chosen]
    if options.json:
        print_json({"schema": explorer.SCHEMA, "programs": [report.to_json() for report in found]})
    else:
        _show(found, time.monotonic() - begin)
    return UNEXPECTED if any(report.violations for report in found) else AS_EXPECTED


def _explore(chosen: list[str], options: argparse.Namespace) -> Iterator[Report | None]:
    """Explore each in a process of its own; yields reports as they come, and None in between."""
    jobs = min(options.jobs or os.cpu_count() or 1, len(chosen))
    # Spawned: this process may have threads, and the explorer starts some.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        waiting: set[Future[Report]] = {
            pool.submit(_one, name, options.limit, options.seconds, options.random)
            # With several runners they are the largest: first, so that none is left for the end.
            for name in sorted(chosen, key=lambda name: "runners" not in name)
        }
        try:
            while waiting:
                done, waiting = wait(waiting, timeout=1.0, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
                if not done:
                    yield None
        except BaseException:
            # What the others are at is not wanted any more, and may take long.
            for process in multiprocessing.active_children():
                process.terminate()
            raise
        finally:
            pool.shutdown(cancel_futures=True)


def _one(name: str, limit: int | None, seconds: float | None, seed: int | None) -> Report:
    return explorer.explore(programs.get(name), limit=limit, seconds=seconds, seed=seed)


def _show(found: list[Report], seconds: float) -> None:
    out = console()
    table = Table(
        "program", "threads", "schedules", "executions", "complete", "seconds", "found", box=None
    )
    for name in ("threads", "schedules", "executions", "seconds"):
        next(column for column in table.columns if column.header == name).justify = "right"
    for report in found:
        cells = (
            report.name,
            str(report.threads),
            f"{report.schedules:,}",
            f"{report.executions:,}",
            "yes" if report.complete else "no",
            f"{report.seconds:.1f}",
            "; ".join(finding.kind for finding in report.violations) or "nothing",
        )
        table.add_row(*(plain(cell) for cell in cells))
    out.print(table)
    for report in found:
        for finding in report.violations:
            _show_finding(report.name, finding)
    total = sum(report.schedules for report in found)
    executions = sum(report.executions + report.sampled for report in found)
    complete = sum(report.complete for report in found)
    broken = sum(bool(report.violations) for report in found)
    out.print(
        f"{total:,} schedules of {len(found)} programs, known from {executions:,} executions, in "
        f"{seconds:.0f} s: {complete} complete, {broken} with a violation"
    )


def _show_finding(name: str, finding: explorer.Finding) -> None:
    out = console()
    out.print(plain(f"\n{name}: {finding.kind}: {finding.detail}"))
    out.print(plain(f"with {finding.switches} switches of threads that need not be:"))
    for line in finding.timeline:
        out.print(plain(f"  {line}"))
    out.print(plain(f"replay: reactorlab explore --replay '{finding.replay}'"), soft_wrap=True)


def _replay(options: argparse.Namespace) -> int:
    report, timeline = explorer.replay(options.replay)
    if options.json:
        print_json(
            {"schema": explorer.SCHEMA, "programs": [report.to_json()], "timeline": timeline}
        )
    else:
        out = console()
        for line in timeline:
            out.print(plain(line))
        words = [f"{finding.kind}: {finding.detail}" for finding in report.violations]
        out.print(plain("; ".join(words) or "nothing went wrong"))
    return UNEXPECTED if report.violations else AS_EXPECTED
