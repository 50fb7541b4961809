"""The benchmarks run, and count what they say; how fast is for who reads their tables."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench import churn
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
    "args", [("echo", "--servers", "warp"), ("churn", "--count", "3"), ("sing",)]
)
def test_a_wrong_use_exits_2(args):
    done = bench(*args)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
