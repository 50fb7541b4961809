"""Churn: connections opened, used and closed, by the million; then everything must be back."""

from __future__ import annotations

import json
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reactor import backends

from .process import BenchError, Load, server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: What must be the same after the churn as it was before.
EXACT = ("fds", "tasks", "timers", "descriptors")

#: Memory that may come on top between 10 % and 100 %, in bytes: arenas that fragment, not a leak
#: (at one million connections this is less than 5 bytes for each).
SLACK = 4 << 20

_STEPS = 10


@dataclass(frozen=True, slots=True)
class Options:
    """What is churned.

    Attributes:
        count: connections for each backend.
        at_once: of them open at a time.
        backends: their names; by default all that there are here.
        limit: seconds for one backend.

    Raises:
        BenchError: that cannot be.
    """

    count: int = 100_000
    at_once: int = 100
    backends: tuple[str, ...] = ()
    limit: float = 900.0

    def __post_init__(self) -> None:
        if self.count < _STEPS:
            raise BenchError(f"--count must be at least {_STEPS}")
        here = backends.available()
        if unknown := [name for name in self.backends if name not in here]:
            raise BenchError(f"no backend {unknown[0]!r} here; there are {', '.join(here)}")


def run(options: Options, load: Load, say: Callable[[str], object]) -> Iterator[dict[str, Any]]:
    """Measure; yields what stands under `leaks` in a report, anew after each backend.

    Args:
        options: what is churned.
        load: the load generator.
        say: is told how far it is.

    Raises:
        BenchError: it cannot be measured.
    """
    found: dict[str, Any] = {}
    for name in options.backends or backends.available():
        found[name] = _churn(name, options, load, say)
        yield {"count": options.count, "at_once": options.at_once, "backends": dict(found)}


def _churn(backend: str, args: Options, load: Load, say: Callable[[str], object]) -> dict[str, Any]:
    ours, theirs = socket.socketpair()
    with (
        ours,
        server("churn_server", backend, str(theirs.fileno()), pass_fds=(theirs.fileno(),)) as (
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
            say(f"{backend}: {number * 100 // _STEPS} %")
        seconds = time.monotonic() - start
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


def table(data: dict[str, Any]) -> list[list[str]]:
    """Return what stands under `leaks` in a report as rows, the heads first."""
    memory = ("rss 0", "10 %", "50 %", "100 %")
    rows = [["", "connections/s", "user us", "system us", *memory, *EXACT]]
    for backend, result in data["backends"].items():
        before, steps = result["before"], result["steps"]
        last = steps[-1]
        rows.append(
            [
                backend,
                f"{result['rate']:,.0f}",
                *(
                    f"{(last[name] - before[name]) / data['count'] * 1e6:.1f}"
                    for name in ("user_s", "system_s")
                ),
                *(
                    f"{step['rss'] / 2**20:.1f} M"
                    for step in (before, steps[0], steps[_STEPS // 2 - 1], last)
                ),
                *(f"{last[name] - before[name]:+.0f}" for name in EXACT),
            ]
        )
    return rows
