"""A report of the benchmarks as one would come out, with every kind of thing in it, for tests."""

from __future__ import annotations

import random
import statistics
from typing import Any

from bench import bars

ROUNDS = 5

#: Name, kind, and how fast it is beside ours.
SERVERS = [
    ("reactor-epoll", "reactor", 1.0),
    ("bare-epoll", "limit", 1.3),
    ("c-epoll", "limit", 2.6),
    ("asyncio-streams", "peer", 0.36),
    ("uvloop-streams", "peer", 0.78),
    ("uvloop-protocol", "peer", 1.15),
    ("trio", "peer", 0.5),
]
LOOPS = [("reactor", "reactor", 1.0), ("asyncio", "peer", 0.5), ("trio", "peer", 0.3)]


def missing(name: str, kind: str, reason: str) -> dict[str, Any]:
    """A subject that was left out."""
    numbers = ("rate", "spread", "user_us", "system_us", "p50_us", "p99_us", "syscalls")
    return {
        "name": name,
        "kind": kind,
        "missing": reason,
        "rates": [],
        **dict.fromkeys((*numbers, "peak_rss", "bytes_per_item")),
        "ratios": {},
        "user_ratios": {},
    }


def case(
    name: str,
    parameters: dict[str, Any],
    rate: float,
    subjects: list[tuple[str, str, float]],
    *,
    loops: bool = False,
    seed: int = 1,
) -> dict[str, Any]:
    """A case in which ours does `rate` operations per second, and the others in proportion."""
    rng = random.Random(seed)
    rows: list[dict[str, Any]] = []
    for subject, kind, factor in subjects:
        rates = [rate * factor * rng.uniform(0.97, 1.03) for _ in range(ROUNDS)]
        middle = statistics.median(rates)
        rows.append(
            {
                "name": subject,
                "kind": kind,
                "missing": None,
                "rates": rates,
                "rate": middle,
                "spread": (max(rates) - min(rates)) / middle,
                "user_us": 0.6e6 / middle,
                "system_us": 0.4e6 / middle,
                "p50_us": None if loops else 50e6 / middle,
                "p99_us": None if loops else 90e6 / middle,
                "syscalls": None if loops else {"recvfrom": 1.0, "sendto": 1.0, "epoll_wait": 0.1},
                "peak_rss": 24 << 20,
                "bytes_per_item": 120 / factor if loops else None,
            }
        )
    for one in rows:
        others = [other for other in rows if other is not one]
        one["ratios"] = {
            other["name"]: statistics.median(
                mine / theirs for mine, theirs in zip(one["rates"], other["rates"], strict=True)
            )
            for other in others
        }
        one["user_ratios"] = {other["name"]: one["user_us"] / other["user_us"] for other in others}
    gone = missing("gevent", "peer", "gevent is not installed")
    return {"name": name, "parameters": parameters, "subjects": [*rows, gone]}


def suite(name: str, what: str, axis: str | None, cases: list[dict[str, Any]]) -> dict[str, Any]:
    return {"name": name, "title": f"The {name}", "what": what, "axis": axis, "cases": cases}


def report() -> dict[str, Any]:
    """A whole one, judged."""
    idle = [
        case(
            f"{count} idle",
            {"idle": count},
            60_000 - count * slope,
            [("reactor-epoll", "reactor", 1.0), ("asyncio-streams", "peer", 0.4)],
        )
        for count, slope in ((0, 0), (1000, 0.1), (5000, 0.1), (20000, 0.1))
    ]
    made: dict[str, Any] = {
        "schema": "reactorlab.bench/2",
        "environment": {
            "platform": {"os": "linux", "release": "6.18.1", "machine": "x86_64", "libc": ""},
            "python": {"version": "3.14.1", "implementation": "CPython", "gil": True},
            "cpu": {"model": "A processor", "count": 2},
        },
        "started": "2027-01-01T00:00:00+00:00",
        "load": "c",
        "rounds": ROUNDS,
        "seconds": 0.6,
        "seed": 1,
        "suites": [
            suite(
                "echo",
                "round trips",
                "connections",
                [
                    case(
                        "1 KiB, 100 connections",
                        {"size": 1024, "connections": 100},
                        60_000,
                        SERVERS,
                    ),
                    case(
                        "1 MiB, 1 connection", {"size": 1 << 20, "connections": 1}, 1_500, SERVERS
                    ),
                    case(
                        "1 MiB, 10 connections",
                        {"size": 1 << 20, "connections": 10},
                        1_700,
                        SERVERS,
                    ),
                ],
            ),
            suite("post", "calls", None, [case("post", {}, 3e6, LOOPS, loops=True)]),
            suite("idle", "round trips", "idle", idle),
            suite(
                "timers",
                "timers",
                "pending",
                [
                    case(
                        f"schedule and cancel, {count} pending",
                        {"pending": count},
                        2e6 / (1 + count / 1e6),
                        LOOPS,
                        loops=True,
                    )
                    for count in (1000, 100_000, 1_000_000)
                ],
            ),
        ],
        "leaks": {
            "count": 1000,
            "at_once": 100,
            "backends": {
                "epoll": {"seconds": 1.5, "rate": 700.0, "before": {}, "steps": [], "leaks": []},
                "poll": {
                    "seconds": 2.5,
                    "rate": 400.0,
                    "before": {},
                    "steps": [],
                    "leaks": ["fds: 4 before, 5 after"],
                },
            },
        },
    }
    made["bars"] = bars.judge(made)
    return made
