"""Loops side by side without any I/O: posting, spawning, switching, timers."""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .loop_worker import LIBRARIES, SUITES
from .process import PATIENCE, BenchError, Load, progress

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

#: What the others are compared with, and what it calls each of the suites.
PEER = "asyncio"

_TITLES = {
    "post": "A call posted from a call, and made (asyncio: call_soon)",
    "post-threads": "A call posted by another thread, and made (call_soon_threadsafe)",
    "spawn": "A task that does nothing, spawned and ended (create_task)",
    "switch": "Two tasks that let each other go first (sleep(0))",
    "timers": "A call put off and cancelled, 100,000 others pending (call_later and cancel)",
    "timeout": "A block with a timeout that does not fire, around a switch (asyncio.timeout)",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this benchmark."""
    parser.add_argument("--rounds", type=int, default=7, help="rounds (%(default)s)")
    parser.add_argument("--seconds", type=float, default=0.3, help="per loop and round")
    for name, choices in (("suites", SUITES), ("loops", LIBRARIES)):
        parser.add_argument(
            f"--{name}",
            type=lambda text: text.split(","),
            default=list(choices),
            help="comma-separated; by default " + ", ".join(choices),
        )


class _Worker:
    """A process that has one of the libraries, and measures itself when it is asked to."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, *words: object) -> Any:
        """Return its answer to a line."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(" ".join(map(str, words)) + "\n")
        stdin.flush()
        line = stdout.readline()
        if not line:
            raise BenchError(f"the worker ended at {' '.join(map(str, words))!r}")
        return json.loads(line)


@contextlib.contextmanager
def _worker(library: str) -> Iterator[_Worker]:
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.loop_worker", library],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parent.parent,
        text=True,
    )
    try:
        yield _Worker(process)
    finally:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()  # it ends with its input
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def run(args: argparse.Namespace, load: Load) -> dict[str, Any]:
    """Measure; returns what `--json` writes."""
    for chosen, known, word in (
        (args.suites, SUITES, "suite"),
        (args.loops, LIBRARIES, "loop"),
    ):
        if unknown := [name for name in chosen if name not in known]:
            raise BenchError(f"no {word} {unknown[0]!r}; there are {', '.join(known)}")
    rates: dict[str, dict[str, list[float]]] = {
        suite: {name: [] for name in args.loops} for suite in args.suites
    }
    missing: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        workers = {name: stack.enter_context(_worker(name)) for name in args.loops}
        offers = {name: worker.ask("what") for name, worker in workers.items()}
        missing = {name: offer for name, offer in offers.items() if isinstance(offer, str)}
        for suite in args.suites:
            here = [name for name in args.loops if suite in offers[name] and name not in missing]
            for number in range(args.rounds + 1):  # the first warms up and is thrown away
                progress(f"{suite}: round {number} of {args.rounds}")
                turn = number % max(len(here), 1)  # nobody always follows the same one
                for name in here[turn:] + here[:turn]:
                    answer = workers[name].ask("run", suite, args.seconds)
                    if number:
                        rates[suite][name].append(answer["operations"] / answer["seconds"])
    progress("")
    return {
        "load": load.kind,
        "rounds": args.rounds,
        "seconds": args.seconds,
        "missing": missing,
        "loops": {
            suite: {name: _summary(one, found.get(PEER)) for name, one in found.items() if one}
            for suite, found in rates.items()
        },
    }


def _summary(rates: list[float], peer: list[float] | None) -> dict[str, Any]:
    rate = statistics.median(rates)
    return {
        "rate": rate,
        "rates": rates,
        "spread": (max(rates) - min(rates)) / rate,
        # Of each round apart, then the median: what disturbs the machine disturbs neighbours alike.
        "to_asyncio": statistics.median(a / b for a, b in zip(rates, peer, strict=True))
        if peer
        else None,
    }


def table(data: dict[str, Any]) -> str:
    """Return the result for people."""
    lines = [f"medians of {data['rounds']} rounds of {data['seconds']} s"]
    lines += [f"{name} is left out: {why}" for name, why in data["missing"].items()]
    form = "  {:<10} {:>12} {:>8} {:>8} {:>10}"
    for suite, loops in data["loops"].items():
        lines += ["", f"{suite}: {_TITLES[suite]}"]
        lines.append(form.format("loop", "per second", "ns", "spread", "/ asyncio"))
        for name, one in sorted(loops.items(), key=lambda item: -item[1]["rate"]):
            ratio = one["to_asyncio"]
            lines.append(
                form.format(
                    name,
                    f"{one['rate']:,.0f}",
                    f"{1e9 / one['rate']:,.0f}",
                    f"{one['spread']:.0%}",
                    "" if ratio is None else f"{ratio:.2f}",
                )
            )
    return "\n".join(lines)
