"""Churn: connections opened, used and closed, by the million; then everything must be back."""

from __future__ import annotations

import json
import socket
import sys
import time
from typing import TYPE_CHECKING, Any

from .process import BenchError, Load, progress, server

if TYPE_CHECKING:
    import argparse

#: What must be the same after the churn as it was before.
EXACT = ("fds", "tasks", "timers", "descriptors")

#: Memory that may come on top between 10 % and 100 %, in bytes: arenas that fragment, not a leak
#: (at one million connections this is less than 5 bytes for each).
SLACK = 4 << 20

_STEPS = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this benchmark."""
    parser.add_argument("--count", type=int, default=100_000, help="connections (%(default)s)")
    parser.add_argument("--at-once", type=int, default=100, help="open at a time (%(default)s)")
    parser.add_argument(
        "--backends",
        type=lambda text: text.split(","),
        default=["epoll", "poll", "select"],
        help="comma-separated (epoll,poll,select)",
    )
    parser.add_argument("--limit", type=float, default=900.0, help="seconds for a backend")


def run(args: argparse.Namespace, load: Load) -> dict[str, Any]:
    """Measure; returns what `--json` writes, with `leaks` for each backend."""
    if args.count < _STEPS:
        raise BenchError(f"--count must be at least {_STEPS}")
    results = {}
    for backend in args.backends:
        results[backend] = result = _churn(backend, args, load)
        leaks = "; ".join(result["leaks"]) or "no leak"
        # At once, since the next backend may take minutes, or never come to its end.
        print(
            f"{backend}: {args.count:,} connections in {result['seconds']:.0f} s, {leaks}",
            file=sys.stderr,
            flush=True,
        )
    return {
        "load": load.kind,
        "count": args.count,
        "at_once": args.at_once,
        "backends": results,
    }


def _churn(backend: str, args: argparse.Namespace, load: Load) -> dict[str, Any]:
    ours, theirs = socket.socketpair()
    with (
        ours,
        server(
            "bench.churn_server", backend, str(theirs.fileno()), pass_fds=(theirs.fileno(),)
        ) as (
            _,
            port,
        ),
    ):
        theirs.close()
        ours.settimeout(30)
        answers = ours.makefile("rb")

        def holdings() -> dict[str, float]:
            ours.sendall(b"?")
            answer: dict[str, float] = json.loads(answers.readline())
            return answer

        before = holdings()
        steps = []
        start = time.monotonic()
        for number in range(1, _STEPS + 1):
            count = args.count * number // _STEPS - args.count * (number - 1) // _STEPS
            left = args.limit - (time.monotonic() - start)
            if left <= 0:
                raise BenchError(f"{backend}: {number - 1} of {_STEPS} done in {args.limit:.0f} s")
            load.churn(port, args.at_once, count, left)
            steps.append(holdings())
            progress(f"{backend}: {number * 100 // _STEPS} %")
        seconds = time.monotonic() - start
        progress("")
        answers.close()
    return {
        "seconds": seconds,
        "rate": args.count / seconds,
        "before": before,
        "steps": steps,
        "leaks": _leaks(before, steps, args.count),
    }


def _leaks(before: dict[str, float], steps: list[dict[str, float]], count: int) -> list[str]:
    first, last = steps[0], steps[-1]
    found = [
        f"{name}: {before[name]:.0f} before, {last[name]:.0f} after"
        for name in EXACT
        if last[name] != before[name]
    ]
    if last["served"] != count or last["failed"]:
        found.append(f"{last['served']:.0f} of {count} served, {last['failed']:.0f} failed")
    if last["rss"] > first["rss"] + SLACK:
        found.append(f"rss: {first['rss']:.0f} B at 10 %, {last['rss']:.0f} B at the end")
    return found


def table(data: dict[str, Any]) -> str:
    """Return the result for people."""
    lines = [
        f"{data['count']:,} connections, {data['at_once']} at once, load in {data['load']}",
        "",
    ]
    form = "{:<14} {:>9} {:>9} {:>9}  {:>8} {:>8} {:>8} {:>8}  {:>5} {:>5} {:>6} {:>11}"
    lines.append(
        form.format(
            "backend", "conn/s", "user us", "system us",
            "rss 0", "10 %", "50 %", "100 %", "fds", "tasks", "timers", "descriptors",
        )
    )  # fmt: skip
    for backend, result in data["backends"].items():
        before, steps = result["before"], result["steps"]
        last = steps[-1]
        memory = [step["rss"] / 2**20 for step in (before, steps[0], steps[_STEPS // 2 - 1], last)]
        lines.append(
            form.format(
                backend,
                f"{result['rate']:,.0f}",
                *(
                    f"{(last[k] - before[k]) / data['count'] * 1e6:.1f}"
                    for k in ("user_s", "system_s")
                ),
                *(f"{value:.1f} M" for value in memory),
                *(f"{last[name] - before[name]:+.0f}" for name in EXACT),
            )
        )
        lines.extend(f"  LEAK {backend} {leak}" for leak in result["leaks"])
    return "\n".join(lines)
