"""The benchmarks run, and count what they say; how fast is for who reads their tables."""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bench import churn, runner, suites
from bench.process import BenchError, Worker, server
from bench.suite import Case, Measurement, Missing, Running, Subject, Suite
from harness import jsonfile, schema
from harness.cli import main
from reactor import backends
from tests.bench.running import ROOT, bench, report


def cases(data):
    return {(s["name"], c["name"]): c["subjects"] for s in data["suites"] for c in s["cases"]}


@pytest.mark.parametrize("compiler", [None, "no compiler"])
def test_servers_are_measured_side_by_side(tmp_path, compiler):
    """Every server in every round, with ratios; with the load in C and, without a compiler, Python."""
    path = os.environ["PATH"] if compiler is None else str(Path(sys.executable).parent)
    done = bench(
        *("echo", "--case", "1 KiB", "--rounds", 2, "--seconds", 0.05, "--seed", 5),
        *("--out", tmp_path),
        PATH=path,
    )
    assert done.returncode == 0, done.stderr
    data = report(tmp_path / "bench.json")
    assert data["seed"] == 5
    if compiler is not None:
        assert data["load"] == "python"
    ((_, subjects),) = cases(data).items()
    there = {one["name"]: one for one in subjects if one["missing"] is None}
    assert {f"reactor-{name}" for name in backends.available()} <= set(there)
    for name, one in there.items():
        assert len(one["rates"]) == 2
        assert min(one["rates"]) > 0
        assert set(one["ratios"]) == set(there) - {name}
        assert name in done.stdout
    assert "What must hold" in done.stdout
    assert "echo: 1 KiB, 100 connections" in done.stderr  # where nobody watches, a line for a case


def test_churn_finds_everything_given_back(tmp_path):
    here = backends.available()
    done = bench(
        *("churn", "--count", 300, "--at-once", 20, "--backends", ",".join(here)),
        *("--json", tmp_path / "churn.json"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    leaks = report(tmp_path / "churn.json")["leaks"]
    assert list(leaks["backends"]) == here
    for backend, result in leaks["backends"].items():
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
    ("args", "words"),
    [
        (("sing",), "no suite 'sing'; there are echo"),
        (("echo", "--subject", "warp"), "no subject 'warp'; there are reactor-"),
        (("echo", "--case", "huge"), "no case has 'huge' in its name"),
        (("echo", "--rounds", "0"), "--rounds must be at least 1"),
        (("echo", "--seconds", "nan"), "--seconds must be at least"),
        (("echo", "--seconds", "long"), "invalid float value"),
        (("echo", "--cc", "no-such-compiler"), "no such compiler"),
        (("echo", "--quick", "--full"), "not allowed with"),
        (("churn", "--count", "3"), "--count must be at least 10"),
        (("churn", "--backends", "warp"), "no backend 'warp' here"),
    ],
)
def test_a_wrong_use_is_one_line_and_exit_code_2(args, words, capsys):
    try:
        code = main(["bench", *args])
    except SystemExit as exc:
        code = exc.code  # type: ignore[assignment]
    assert code == 2
    said = capsys.readouterr()
    assert words in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""


def test_what_there_is_can_be_listed(monkeypatch, capsys):
    """Suites, cases and subjects, and which of them are not here."""
    gone = Subject("elsewhere", "peer", "no_such_module")
    monkeypatch.setattr(suites.SUITES["echo"], "subjects", lambda case: [gone])
    assert main(["bench", "--list"]) == 0
    said = capsys.readouterr().out
    assert "peer elsewhere: left out, no_such_module is not installed" in said
    for name in (*suites.SUITES, "churn"):
        assert f"{name}: " in said
    assert "  case 1 KiB, 100 connections" in said
    assert "1000 connections" not in said
    assert main(["bench", "echo", "--list", "--full"]) == 0
    assert "1000 connections" in capsys.readouterr().out


class Counted(Suite):
    """A suite whose subjects do as many operations as the test says, at no time at all."""

    name, title, what = "counted", "Counted", "calls"

    def __init__(self):
        self.asked: list[str] = []

    def subjects(self, case):
        return [
            Subject("reactor", "reactor"),
            Subject("peer", "peer"),
            Subject("gone", "peer", "no_such_module"),
            Subject("lame", "peer"),
        ]

    def cases(self, *, full):
        return [Case("one"), *([Case("two")] if full else [])]

    def start(self, case, subject, tools, stack):
        if subject.name == "lame":
            raise Missing("it has no such call")
        stack.callback(self.asked.append, f"{subject.name} ends")
        counts = itertools.count(1)

        def measure(seconds):
            self.asked.append(subject.name)
            number = next(counts)
            twice = 2 if subject.name == "reactor" else 1
            return Measurement(100 * twice * number, 1.0, user_s=0.001 * number)

        return Running(measure)


@pytest.fixture
def counted(monkeypatch):
    suite = Counted()
    monkeypatch.setattr("bench.cli.SUITES", {"counted": suite})
    return suite


def test_rounds_are_interleaved_and_ratios_are_of_rounds(counted, tmp_path, capsys):
    """The first round warms up; who begins changes; who is not there is told, and fails nothing."""
    assert main(["bench", "counted", "--rounds", "2", "--out", str(tmp_path)]) == 0
    ends = ["peer ends", "reactor ends"]
    assert counted.asked == ["reactor", "peer", "peer", "reactor", "reactor", "peer", *ends]
    ours, peer, gone, lame = cases(report(tmp_path / "bench.json"))["counted", "one"]
    assert ours["rates"] == [400, 600]
    assert (ours["rate"], ours["spread"]) == (500, 0.4)
    assert ours["user_us"] == pytest.approx(5.0)
    assert ours["ratios"] == {"peer": 2.0}
    assert peer["ratios"] == {"reactor": 0.5}
    assert ours["user_ratios"] == {"peer": pytest.approx(0.5)}
    assert gone["missing"] == "no_such_module is not installed"
    assert lame["missing"] == "it has no such call"
    said = capsys.readouterr()
    assert said.err.count("pip install 'reactorlab[bench]'") == 1
    assert "lame is left out: it has no such call" in said.out


def test_an_interrupt_shows_what_there_is_so_far(counted, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(Counted, "cases", lambda self, *, full: [Case("one"), Case("two")])
    start = counted.start
    started = []

    def once(case, *args):
        measure = start(case, *args)
        started.append(case.name)
        if case.name == "two":
            raise KeyboardInterrupt
        return measure

    monkeypatch.setattr(Counted, "start", lambda self, *args: once(*args))
    assert main(["bench", "counted", "--rounds", "2", "--out", str(tmp_path)]) == 130
    data = report(tmp_path / "bench.json")
    assert list(cases(data)) == [("counted", "one")]
    assert {bar["holds"] for bar in data["bars"]} == {None}
    said = capsys.readouterr()
    assert "Counted: one" in said.out
    assert "interrupted" in said.err
    # What the case that was under way had started has ended too.
    assert started.count("two") == 1
    assert counted.asked.count("reactor ends") == 2


def test_a_subject_that_dies_takes_nothing_of_what_was_measured_with_it(
    counted, monkeypatch, tmp_path, capsys
):
    monkeypatch.setattr(Counted, "cases", lambda self, *, full: [Case("one"), Case("two")])
    start = counted.start

    def dying(case, *args):
        if case.name == "two":
            raise BenchError("the server ended")
        return start(case, *args)

    monkeypatch.setattr(Counted, "start", lambda self, *args: dying(*args))
    assert main(["bench", "counted", "--rounds", "2", "--out", str(tmp_path)]) == 2
    assert list(cases(report(tmp_path / "bench.json"))) == [("counted", "one")]
    said = capsys.readouterr()
    assert "Counted: one" in said.out
    assert said.err.splitlines()[-1] == "reactorlab: the server ended"


def test_a_terminal_sees_how_far_it_is():
    """In one line that changes: suite, case, round, subject, and the time that is left."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "wb", 0) as terminal:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "bench", "post", "--subject", "reactor"),
                *("--rounds", "1", "--seconds", "0.01"),
            ],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=terminal,
            check=False,
            timeout=60,
        )
    with os.fdopen(ours, "rb", 0) as shown:
        said = shown.read(100_000).decode()
    assert done.returncode == 0
    assert "\rpost: post: round 0 of 1: reactor, 0:00 left" in said.replace("\x1b[K", "")
    assert b"\x1b" not in done.stdout


def test_an_interrupt_at_the_terminal_ends_everything_in_one_line(tmp_path):
    """It reaches the whole foreground; the servers leave it to who has started them."""
    ours, theirs = pty.openpty()
    with (
        os.fdopen(ours, "rb", 0) as shown,
        os.fdopen(theirs, "wb", 0) as terminal,
        subprocess.Popen(
            [
                *(sys.executable, "-m", "bench", "echo", "--subject", "reactor-poll"),
                *("--rounds", "1000", "--seconds", "0.05", "--out", tmp_path),
            ],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=terminal,
            start_new_session=True,
        ) as process,
    ):
        terminal.close()
        said = b""
        while b"round 1 of" not in said:
            said += shown.read(1000)
        os.killpg(process.pid, signal.SIGINT)
        # To the end, which is an error on Linux, and comes when the last one has gone.
        with contextlib.suppress(OSError):
            while more := shown.read(1000):
                said += more
        assert process.wait(60) == 130
    assert b"interrupted" in said
    assert b"Traceback" not in said
    assert report(tmp_path / "bench.json")["suites"] == []


def test_a_server_is_not_in_the_foreground_of_the_terminal():
    with server("servers", "reactor-poll") as (pid, port):
        assert port
        assert os.getpgid(pid) == pid != os.getpgid(0)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(BenchError, match="servers nobody ended before it listened"):
        server("servers", "nobody").__enter__()


def test_a_worker_that_ends_is_told_in_one_line():
    with (
        Worker("inprocess.worker", "reactor", "post", "{}") as worker,
        pytest.raises(BenchError, match=r"inprocess\.worker reactor post {} ended at 'run warp'"),
    ):
        worker.ask("run", "warp")


def test_a_report_alone_goes_to_standard_output(counted, capsys):
    assert main(["bench", "counted", "--rounds", "1", "--json", "-"]) == 0
    data = json.loads(capsys.readouterr().out)
    schema.of(data["schema"], complete=True)(data)


def test_a_missed_bar_is_no_failure_and_a_leak_is_one(counted, monkeypatch, capsys):
    def leaking(options, load, say):
        one = {"seconds": 1.0, "rate": 1.0, "leaks": ["fds: 1 before, 2 after"]}
        held = dict.fromkeys((*churn.EXACT, "user_s", "system_s", "rss"), 1)
        one |= {"before": held, "steps": [held] * 10}
        yield {"count": 10, "at_once": 1, "backends": {"poll": one}}

    monkeypatch.setattr(churn, "run", leaking)
    assert main(["bench", "--rounds", "1"]) == 1
    said = capsys.readouterr()
    assert "fds: 1 before, 2 after" in said.out
    assert "fds: 1 before, 2 after" in said.err


@pytest.mark.parametrize("option", ["--out", "--json"])
@pytest.mark.parametrize("place", ["file/below", "folder"])
def test_a_place_that_cannot_be_written_is_one_line(option, place, counted, tmp_path, capsys):
    """It is told before anything is measured, which may take an hour."""
    (tmp_path / "file").touch()
    (tmp_path / "folder" / "bench.json").mkdir(parents=True)
    assert main(["bench", "counted", "--rounds", "1", option, str(tmp_path / place)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"reactorlab: {tmp_path / place}")
    assert counted.asked == []


def test_what_was_measured_is_shown_when_it_cannot_be_written(
    counted, monkeypatch, tmp_path, capsys
):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(jsonfile, "write", full)
    assert main(["bench", "counted", "--rounds", "1", "--out", str(tmp_path)]) == 2
    said = capsys.readouterr()
    assert "Counted: one" in said.out
    assert said.err.splitlines()[-1] == f"reactorlab: {tmp_path / 'bench.json'}: no space left"


def test_subjects_and_cases_are_chosen():
    suite = Counted()
    options = runner.Options(full=True, cases=("tw",), subjects=("peer",))
    (step,) = runner.plan([suite], options)
    assert (step.case.name, [one.name for one in step.subjects]) == ("two", ["peer"])
    with pytest.raises(BenchError, match="there is no subject 'who'"):
        runner.plan([suite], runner.Options(subjects=("peer", "who")))
