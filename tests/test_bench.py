"""The benchmarks run, and count what they say; how fast is for who reads their tables."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import churn, loop_worker
from harness import schema
from reactor import backends

ROOT = Path(__file__).resolve().parents[1]


def bench(*args):
    return subprocess.run(
        [sys.executable, "-m", "bench", *map(str, args)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("compiler", ["cc", "no-such-compiler"])
def test_echo_measures_side_by_side(tmp_path, compiler):
    """Every server in every round, with ratios; with the load in C and, without a compiler, Python."""
    servers = "bare-epoll,reactor-epoll,reactor-select,asyncio-streams"
    if sys.platform != "linux":
        servers = "reactor-poll,reactor-select,asyncio-streams"
    done = bench(
        *("echo", "--rounds", 2, "--seconds", 0.05, "--connections", 4, "--cc", compiler),
        *("--servers", servers, "--json", tmp_path / "echo.json"),
    )
    assert done.returncode == 0, done.stderr
    data = json.loads((tmp_path / "echo.json").read_text())
    schema.published("bench-1", complete=True)(data)
    assert list(data["servers"]) == servers.split(",")
    for name, summary in data["servers"].items():
        assert len(summary["rates"]) == 2
        assert min(summary["rates"]) > 0
        assert name in done.stdout


def test_churn_finds_everything_given_back(tmp_path):
    here = backends.available()
    done = bench(
        *("churn", "--count", 300, "--at-once", 20, "--backends", ",".join(here)),
        *("--json", tmp_path / "churn.json"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    data = json.loads((tmp_path / "churn.json").read_text())
    schema.published("bench-1", complete=True)(data)
    assert list(data["backends"]) == here
    for backend, result in data["backends"].items():
        assert f"{backend}: 300 connections in" in done.stderr  # told as each one ends
        assert result["leaks"] == []
        assert result["steps"][-1]["served"] == 300


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"fds": 5}, "fds"),
        ({"tasks": 3}, "tasks"),
        ({"timers": 1}, "timers"),
        ({"descriptors": 9}, "descriptors"),
        ({"served": 99}, "99 of 100 served"),
        ({"failed": 1}, "1 failed"),
        ({"rss": 100 << 20}, "rss"),
    ],
)
def test_a_leak_is_told(change, word):
    """The check of the churn is not blind."""
    before: dict[str, float] = {
        "fds": 4,
        "tasks": 2,
        "timers": 0,
        "descriptors": 2,
        "rss": 10 << 20,
    }
    after = before | {"served": 100, "failed": 0}
    assert churn._leaks(before, [after, after], 100) == []
    (leak,) = churn._leaks(before, [after, after | change], 100)
    assert word in leak


@pytest.mark.parametrize(
    "args",
    [
        ("echo", "--servers", "warp"),
        ("churn", "--count", "3"),
        ("loops", "--suites", "warp"),
        ("loops", "--loops", "warp"),
        ("sing",),
    ],
)
def test_a_wrong_use_exits_2(args):
    done = bench(*args)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_loops_are_measured_side_by_side(tmp_path):
    """Every loop in every round of the suites that it has; the rest is said."""
    done = bench(
        *("loops", "--rounds", 2, "--seconds", 0.02, "--loops", "reactor,asyncio,trio"),
        *("--json", tmp_path / "loops.json"),
    )
    assert done.returncode == 0, done.stderr
    data = json.loads((tmp_path / "loops.json").read_text())
    schema.published("bench-1", complete=True)(data)
    assert set(data["loops"]) == set(loop_worker.SUITES)
    for suite, loops in data["loops"].items():
        assert suite in done.stdout
        assert {"reactor", "asyncio"} <= set(loops)
        for summary in loops.values():
            assert len(summary["rates"]) == 2
            assert min(summary["rates"]) > 0
        assert loops["asyncio"]["to_asyncio"] == 1.0
    if "trio" in data["missing"]:
        assert "trio is left out: trio is not installed" in done.stdout


@pytest.mark.parametrize("name", ["reactor", "asyncio"])
@pytest.mark.parametrize("suite", loop_worker.SUITES)
def test_a_suite_does_what_it_counts(suite, name, monkeypatch):
    """What is counted has been made, or, of what is taken back, has not."""
    made = itertools.count()

    async def spawned():
        next(made)

    monkeypatch.setattr(loop_worker, "nothing", made.__next__)
    monkeypatch.setattr(loop_worker, "anothing", spawned)
    monkeypatch.setattr(loop_worker, "BATCH", 10)
    monkeypatch.setattr(loop_worker, "PENDING", 50)
    library: Any = loop_worker.LIBRARIES[name]()
    meter = loop_worker.Meter(0.01)
    loop_worker.SUITES[suite][0](library, meter)
    result = meter.result()
    assert result["operations"] >= 10
    assert result["seconds"] >= 0.01
    counted = result["operations"] if suite in {"post", "post-threads", "spawn"} else 0
    # Of tasks, the last batch may be left to the next turn, which there is none of.
    assert counted - 10 <= next(made) <= counted + 10
    if name == "asyncio":
        library._loop.close()
    else:
        library._context.close()


def test_a_library_that_is_not_installed_is_left_out(monkeypatch, capsys):
    class Absent(loop_worker.Library):
        def open(self):
            raise ImportError("no", name="absent")

    monkeypatch.setitem(loop_worker.LIBRARIES, "absent", Absent)
    monkeypatch.setattr(sys, "stdin", ["what\n"])
    loop_worker.main("absent")
    assert json.loads(capsys.readouterr().out) == "absent is not installed"
