"""Generated runs of many platforms, for the tests of the board and for its bars of size and time.

python -m tests.board.sample FOLDER --platforms 10 --backends 4 --scenarios 250 --seed 0
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

from harness.model import Attempt, Result, Run, RunInfo, Status

PLATFORMS = [
    ("linux", "6.18.1", "x86_64", "glibc 2.41"),
    ("linux", "6.18.1", "aarch64", "glibc 2.41"),
    ("linux", "6.12.0", "x86_64", "musl 1.2.5"),
    ("darwin", "25.1.0", "arm64", ""),
    ("darwin", "24.6.0", "x86_64", ""),
    ("freebsd", "14.3-RELEASE", "amd64", ""),
    ("netbsd", "10.1", "amd64", ""),
    ("openbsd", "7.8", "amd64", ""),
    ("dragonfly", "6.4-RELEASE", "x86_64", ""),
    ("sunos", "5.11", "i86pc", ""),
]
BACKENDS = [("epoll", "eventfd+timeout"), ("kqueue", "user+timer"), ("poll", "pipe+timeout")]
BACKENDS.append(("select", "pipe+timeout"))
FAMILIES = [
    "accept",
    "cancel",
    "close",
    "connect",
    "partial",
    "timer",
    "wake",
    "udp",
    "signal",
    "fd",
]
NAMES = ["recv", "send", "peer", "lab", "echo", "accept 0"]
EVENTS = ["start", "runs", "ends", "outcome", "note"]
DETAILS = [
    "",
    "recv of 1000 bytes",
    "value 1000 bytes",
    "OperationCancelled",
    "None",
    "65536 bytes",
]


def result(name: str, place: random.Random, plan: random.Random, backend: str) -> Result:
    """One result: the plan is the same on every platform, what the place adds is not."""
    events = [
        (plan.choice(NAMES), plan.choice(EVENTS), plan.choice(DETAILS))
        for _ in range(plan.randint(4, 14))
    ]
    status = place.choices([Status.PASS, Status.FAIL, Status.UNSUPPORTED], [97, 1, 2])[0]
    moment = 0.0
    timeline = []
    for who, event, detail in events:
        for extra in (False, True):
            moment += place.random() / 1000
            more = {"t": round(moment, 6), "thread": "MainThread", "task": who}
            timeline.append({**more, "event": "note" if extra else event, "detail": detail})
    lacks = status is Status.UNSUPPORTED
    return Result(
        id=name,
        family=name.partition(".")[0],
        law=plan.randint(1, 10),
        strictness="MUST",
        title="a title",
        provenance="libuv 1234; kqueue(2); https://bugs.example/77",
        status=status,
        law_text="What must hold in this situation is said here, in one sentence of usual length.",
        unexpected=status is Status.FAIL,
        reason="no ipv6: OSError: no address" if lacks else "it did not" * (status is Status.FAIL),
        duration_s=moment,
        attempts=[] if lacks else [Attempt(status, moment, "", 7)],
        counters={"waits": place.randint(1, 9), "inline_completions": 5, "parks": 2},
        replay=f"reactorlab run --backend {backend} -k {name} --seed {place.getrandbits(32)}",
        trace=[]
        if lacks
        else [
            {"seq": number, "who": who, "event": event, "detail": detail}
            for number, (who, event, detail) in enumerate(events)
        ],
        timeline=[] if lacks else timeline,
        oracles=[{"name": f"oracle-{n}", "ok": True, "detail": ""} for n in range(7)],
    )


def run(platform: int, backend: int, scenarios: int, seed: int = 0, age: int = 0) -> Run:
    """One run of one column; `age` counts the days before the last."""
    os, release, machine, libc = PLATFORMS[platform]
    name, variant = BACKENDS[backend]
    place = random.Random(f"{seed} {platform} {backend} {age}")
    day = f"2027-01-{28 - age:02}"
    return Run(
        RunInfo(
            id=f"{day}-{os}-{platform}-{name}",
            started=f"{day}T00:00:00.000+00:00",
            finished=f"{day}T00:01:00.000+00:00",
            spec=name,
            backend=name,
            variant=variant,
            seed=seed,
            platform={"os": os, "release": release, "machine": machine, "libc": libc},
            python={"version": "3.14.1", "implementation": "CPython", "gil": True},
            git={"sha": f"{age:040x}", "dirty": False},
            capabilities=[
                {"name": "tcp", "available": True, "evidence": "listened on 127.0.0.1"},
                {"name": "ipv6", "available": False, "evidence": "OSError: no address"},
            ],
        ),
        [
            result(
                f"{FAMILIES[number % len(FAMILIES)]}.what-happens-{number // len(FAMILIES)}",
                place,
                random.Random(f"{seed} {number}"),
                name,
            )
            for number in range(scenarios)
        ],
    )


def write(folder: Path, *, platforms: int, backends: int, scenarios: int, seed: int = 0) -> None:
    """Write the run.json of every column."""
    for platform in range(platforms):
        for backend in range(backends):
            made = run(platform, backend, scenarios, seed)
            made.save(folder / f"{platform}-{BACKENDS[backend][0]}" / "run.json")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    for name, default in (("platforms", 10), ("backends", 4), ("scenarios", 250), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = vars(parser.parse_args())
    write(options.pop("folder"), **options)


if __name__ == "__main__":
    main()
