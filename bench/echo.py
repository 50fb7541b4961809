"""Echo side by side: every server is up during the whole run, and each round asks each of them."""

from __future__ import annotations

import contextlib
import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .process import BenchError, Load, cpu_seconds, progress, server
from .servers import SERVERS

if TYPE_CHECKING:
    import argparse

BARE = "bare-epoll"
PEER = "uvloop-streams"


@dataclass
class Sample:
    """What one server did in each of the rounds."""

    rate: list[float] = field(default_factory=list)  # round trips per second
    user: list[float] = field(default_factory=list)  # seconds of the server's CPU per round trip
    system: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)  # microseconds
    p99: list[float] = field(default_factory=list)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this benchmark."""
    parser.add_argument("--rounds", type=int, default=7, help="rounds (%(default)s)")
    parser.add_argument("--seconds", type=float, default=1.0, help="per server and round")
    parser.add_argument("--connections", type=int, default=100)
    parser.add_argument("--size", type=int, default=1024, help="bytes of a message (%(default)s)")
    parser.add_argument(
        "--servers",
        type=lambda text: text.split(","),
        default=list(SERVERS),
        help="comma-separated; by default " + ", ".join(SERVERS),
    )


def _round(load: Load, args: argparse.Namespace, pid: int, port: int, sample: Sample) -> None:
    before = cpu_seconds(pid)
    result = load.echo(port, args.connections, args.size, args.seconds)
    after = cpu_seconds(pid)
    count = max(result["operations"], 1)
    sample.rate.append(count / result["seconds"])
    sample.p50.append(result["p50_us"])
    sample.p99.append(result["p99_us"])
    if before and after:
        sample.user.append((after[0] - before[0]) / count)
        sample.system.append((after[1] - before[1]) / count)


def run(args: argparse.Namespace, load: Load) -> dict[str, Any]:
    """Measure; returns what `--json` writes."""
    if unknown := [name for name in args.servers if name not in SERVERS]:
        raise BenchError(f"no server {unknown[0]!r}; there are {', '.join(SERVERS)}")
    samples = {name: Sample() for name in args.servers}
    with contextlib.ExitStack() as stack:
        running = {
            name: stack.enter_context(server("bench.servers", name)) for name in args.servers
        }
        for number in range(args.rounds + 1):  # the first warms up and is thrown away
            progress(f"round {number} of {args.rounds}")
            for name, (pid, port) in running.items():
                _round(load, args, pid, port, samples[name] if number else Sample())
    progress("")
    return {
        "load": load.kind,
        "connections": args.connections,
        "size": args.size,
        "seconds": args.seconds,
        "rounds": args.rounds,
        "servers": {name: _summary(samples, name) for name in args.servers},
    }


def _summary(samples: dict[str, Sample], name: str) -> dict[str, Any]:
    sample = samples[name]
    rate = statistics.median(sample.rate)

    def ratio(other: str) -> float | None:
        # Of each round apart, then the median: what disturbs the machine disturbs neighbours alike.
        if other not in samples:
            return None
        pairs = zip(sample.rate, samples[other].rate, strict=True)
        return statistics.median(mine / theirs for mine, theirs in pairs)

    return {
        "rate": rate,
        "spread": (max(sample.rate) - min(sample.rate)) / rate,
        "rates": sample.rate,
        "user_us": statistics.median(sample.user) * 1e6 if sample.user else None,
        "system_us": statistics.median(sample.system) * 1e6 if sample.system else None,
        "p50_us": statistics.median(sample.p50),
        "p99_us": statistics.median(sample.p99),
        "to_bare": ratio(BARE),
        "to_uvloop_streams": ratio(PEER),
    }


def table(data: dict[str, Any]) -> str:
    """Return the result for people."""
    columns = {
        "rate": ("trips/s", "{:,.0f}"),
        "spread": ("spread", "{:.0%}"),
        "user_us": ("user us", "{:.1f}"),
        "system_us": ("system us", "{:.1f}"),
        "p50_us": ("p50 us", "{:.0f}"),
        "p99_us": ("p99 us", "{:.0f}"),
        "to_bare": ("/ bare", "{:.2f}"),
        "to_uvloop_streams": ("/ uvloop streams", "{:.2f}"),
    }
    rows = [["server", *(title for title, _ in columns.values())]]
    for name, summary in data["servers"].items():
        cells = [
            "-" if summary[key] is None else form.format(summary[key])
            for key, (_, form) in columns.items()
        ]
        rows.append([name, *cells])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows
    ]
    head = (
        f"{data['size']} B echo, {data['connections']} connections, medians of "
        f"{data['rounds']} rounds of {data['seconds']:g} s, load in {data['load']}"
    )
    return "\n".join([head, "", *lines])
