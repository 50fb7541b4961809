"""What the loops count has happened, each library says what it lacks, and a failure is one line."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import suites
from bench.inprocess import library as words, timers, worker
from bench.inprocess.libraries import LIBRARIES
from bench.inprocess.meter import Meter
from bench.process import BenchError
from bench.suite import Missing, Subject
from bench.suites import loops

ROOT = Path(__file__).resolve().parents[2]

#: Small, and no divisors of each other, so that a mixed up count shows.
OPTIONS = {
    "post": {"batch": 10},
    "post-threads": {"window": 14},
    "ping": {},
    "spawn": {"batch": 10},
    "spawn-group": {"batch": 10},
    "switch": {"batch": 10},
    "ping-pong": {"batch": 10},
    "timeout": {"batch": 10, "limit": True},
    "fan-out": {"tasks": 7},
    "cancel": {"batch": 10, "pending": 50, "seed": 6},
    "fire": {"pending": 30},
}

#: Those in which what is counted is an empty call or task that is made.
MADE = {"post", "post-threads", "ping", "spawn", "spawn-group", "fire"}


class Instruments:
    """What a test measures with: a library, a case, and how many empty calls and tasks were made."""

    def __init__(self, name, case, monkeypatch):
        self.calls = 0

        def call():
            self.calls += 1

        async def task():
            self.calls += 1

        monkeypatch.setattr(words, "nothing", call)
        monkeypatch.setattr(words, "anothing", task)
        found = worker.prepare(name, case, OPTIONS[case])
        if isinstance(found, str):
            pytest.skip(found)
        self.library, self.measure = found


@pytest.fixture
def instruments(monkeypatch):
    with contextlib.ExitStack() as stack:

        def make(name, case):
            made = Instruments(name, case, monkeypatch)
            stack.callback(made.library.close)
            return made

        yield make


# gevent's hub belongs to its thread for good, so it has a process of its own below.
@pytest.mark.parametrize("name", [name for name in LIBRARIES if name != "gevent"])
@pytest.mark.parametrize("case", worker.CASES)
def test_what_is_counted_has_been_made(case, name, instruments):
    """Twice, as in rounds: exactly as many as were counted, and none of those taken back."""
    tools = instruments(name, case)
    counted = 0
    for _ in range(2):
        meter = Meter(0.005)
        tools.measure(meter)
        result = meter.result()
        assert result["operations"] > 0
        assert result["seconds"] > 0
        assert result["user_s"] + result["system_s"] >= 0
        counted += result["operations"]
    assert tools.calls == (counted if case in MADE else 0)


@pytest.mark.parametrize("case", worker.CASES)
def test_the_process_of_each_library_answers(case):
    """In the form of a measurement; gevent too, where it is installed."""
    for name in ("reactor", "gevent"):
        done = subprocess.run(
            [sys.executable, "-m", "bench.inprocess.worker", name, case, json.dumps(OPTIONS[case])],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            input="what\nrun 0.005\nrun 0.005\n",
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert (done.returncode, done.stderr) == (0, "")
        what, *rounds = map(json.loads, done.stdout.splitlines())
        if what is None:
            assert all(one["operations"] > 0 for one in rounds)
        else:
            assert name == "gevent"
            assert what.startswith("gevent ")


def test_the_window_of_another_thread_is_kept(instruments):
    """So many calls may be under way, and no more; the calls that make room are not counted."""
    tools = instruments("reactor", "post-threads")
    given = most = 0
    post = tools.library.post_from_thread

    def counting(function):
        nonlocal given, most
        if function is words.nothing:
            given += 1
            most = max(most, given - tools.calls)
        post(function)

    tools.library.post_from_thread = counting
    tools.measure(Meter(0.01))
    assert 7 <= most <= OPTIONS["post-threads"]["window"]


def test_memory_is_of_the_pending_alone(instruments, monkeypatch):
    """It is the growth of the process by so many, told once; of few it is not told."""
    sizes = iter([1000, 9000])
    monkeypatch.setattr(timers, "rss", lambda: next(sizes))
    tools = instruments("asyncio", "cancel")
    meter = Meter(0.001)
    tools.measure(meter)
    assert meter.bytes_per_item is None
    sizes = iter([1000, 9000])
    monkeypatch.setattr(timers, "LEAST_WEIGHED", 50)
    tools = instruments("asyncio", "cancel")
    for _ in range(2):
        meter = Meter(0.001)
        tools.measure(meter)
        assert meter.bytes_per_item == 160


def test_what_a_library_has_no_word_for_is_left_out(monkeypatch):
    class Bare(words.Library):
        pass

    monkeypatch.setitem(LIBRARIES, "bare", Bare)
    assert worker.prepare("bare", "cancel", {}) == "bare has no call later"


def test_a_library_that_is_not_installed_is_left_out(monkeypatch, capsys):
    class Absent(words.Library):
        def open(self):
            raise ImportError("no", name="absent")

    monkeypatch.setitem(LIBRARIES, "absent", Absent)
    monkeypatch.setattr(sys, "stdin", ["what\n"])
    worker.main("absent", "post", "{}")
    assert json.loads(capsys.readouterr().out) == "absent is not installed"


def test_what_goes_wrong_in_a_worker_is_one_line():
    def wrong(meter):
        raise ValueError("this\nand that")

    answer = worker.run(wrong, 0.1)
    assert answer == {"error": "ValueError: this and that"}

    class Asked:
        def ask(self, *asked):
            return answer

    with pytest.raises(BenchError, match=r"^spawn: spawn: trio: ValueError: this and that$"):
        loops.measuring(Asked(), "spawn: spawn: trio").measure(0.1)  # type: ignore[arg-type]


def test_a_suite_leaves_out_who_has_no_such_case(tmp_path):
    pytest.importorskip("curio")
    suite = suites.SUITES["post"]
    with contextlib.ExitStack() as stack, pytest.raises(Missing, match="curio has no post"):
        suite.start(suite.cases(full=False)[0], Subject("curio", "peer"), _Tools(), stack)  # type: ignore[arg-type]


class _Tools:
    seed = 6


@pytest.mark.parametrize("suite", loops.SUITES, ids=lambda suite: suite.name)
def test_every_case_is_one_that_the_worker_has(suite):
    names = [case.name for case in suite.cases(full=True)]
    assert len(names) == len(set(names))
    assert {case.name for case in suite.cases(full=False)} <= set(names)
    for work in suite._works.values():
        assert work.measured in worker.CASES
        assert set(work.options) <= set(OPTIONS[work.measured])
