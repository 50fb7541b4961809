"""System calls are those of operations, and who may not count them says so once."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

from bench import runner, strace
from bench.process import BenchError
from bench.suite import Case, Measurement, Running, Subject, Suite, Tools

SUMMARY = """\
strace: Process 71 detached
strace: Process 72 detached
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 50.33    0.060773           1     45568           sendto
 49.67    0.059975         101     45569        12 recvfrom
  0.00    0.000000           0         1         1 epoll_wait
------ ----------- ----------- --------- --------- ----------------
100.00    0.120748           1     91138        13 total
"""

#: For each line, what a round costs, then as many operations as it says.
ASKED = """
import os, sys
for line in sys.stdin:
    for _ in range(200): os.getuid()
    for _ in range(int(line)): os.getppid(), os.getppid(), os.getppid(), os.getgid()
    print(flush=True)
"""


def refuse(tmp_path, text, code=1):
    """A strace that says something and ends."""
    program = tmp_path / "strace"
    program.write_text(f"#!/bin/sh\necho '{text}' >&2\nexit {code}\n")
    program.chmod(0o755)
    return str(program)


def test_a_summary_says_how_often_each_call_was_made():
    """With errors and without; whoever else speaks there."""
    assert strace.parse(SUMMARY) == {"sendto": 45568, "recvfrom": 45569, "epoll_wait": 1}
    assert strace.parse("strace: Process 71 detached\n") == {}


def traceable():
    if not (program := shutil.which("strace")):
        return "there is no strace"
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        try:
            with strace.traced(process.pid, program):
                return None
        except strace.RefusedError as exc:
            return str(exc)
        finally:
            process.communicate(b"\n")


@pytest.fixture
def asked():
    """A process that makes calls when it is asked to."""
    if why := traceable():
        pytest.skip(why)
    with subprocess.Popen(
        [sys.executable, "-c", ASKED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield process
        process.stdin.close()


class Asked:
    """Puts it to work: for each second a thousand operations."""

    def __init__(self, process):
        self.pid = process.pid
        self._ask, self._answer = process.stdin, process.stdout
        self.rounds = []

    def __call__(self, seconds):
        self.rounds.append(seconds)
        operations = round(seconds * 1000)
        self._ask.write(f"{operations}\n")
        self._ask.flush()
        self._answer.readline()
        return Measurement(operations, seconds)


def of_work(found):
    """What the process was asked for: the call in which it waits is counted once more, or not."""
    return {name: value for name, value in found.items() if name.startswith("get")}


def test_what_belongs_to_a_round_is_not_of_an_operation(asked):
    """Not what each round does once, and not what carries the question."""
    noted: list[str] = []
    work = Asked(asked)
    found = strace.Calls(noted.append).count("it", work.pid, work, 0.3)
    assert list(of_work(found).items()) == [("getppid", 3.0), ("getgid", 1.0)]
    assert noted == []


def test_what_hardly_happens_is_left_out(asked, monkeypatch):
    work = Asked(asked)
    monkeypatch.setattr(strace, "LEAST", 1.5)
    found = strace.Calls(pytest.fail).count("it", work.pid, work, 0.3)
    assert of_work(found) == {"getppid": 3.0}


def test_a_process_goes_on_when_it_is_not_traced_any_more(asked):
    program = shutil.which("strace")
    work = Asked(asked)
    with pytest.raises(ZeroDivisionError), strace.traced(work.pid, program or ""):
        _ = 1 / 0
    assert work(0.01).operations == 10


def never(seconds):
    raise AssertionError("nothing is measured that cannot be counted")


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("strace: attach: ptrace(PTRACE_SEIZE, 7): Operation not permitted", "not permitted"),
        ("", "system calls are not counted: strace ended"),
    ],
)
def test_who_may_not_count_says_so_once(said, why, tmp_path):
    noted: list[str] = []
    calls = strace.Calls(noted.append, refuse(tmp_path, said))
    for _ in range(2):
        assert calls.count("it", 1, never, 0.1) is None
    (line,) = noted
    assert why in line


def test_without_strace_nothing_is_counted_and_that_is_said_once():
    noted: list[str] = []
    calls = strace.Calls(noted.append, "no-such-strace")
    for _ in range(2):
        assert calls.count("it", 1, never, 0.1) is None
    assert noted == ["system calls are not counted: there is no strace"]


def test_too_few_operations_are_counted_again_for_longer(asked):
    """As long as that takes; each time the difference of two."""
    work = Asked(asked)
    found = strace.Calls(pytest.fail).count("it", work.pid, work, 0.03)
    assert of_work(found) == {"getppid": 3.0, "getgid": 1.0}
    assert work.rounds == pytest.approx([0.01, 0.03, 0.04, 0.12])


def test_a_round_that_was_over_before_it_began_is_counted_again(asked):
    """What opens the connections of the longer one would be taken for that of operations."""
    work = Asked(asked)
    opening = 0.025

    def open_first(seconds):
        return work(max(seconds - opening, 0))

    found = strace.Calls(pytest.fail).count("it", work.pid, open_first, 0.09)
    assert of_work(found) == {"getppid": 3.0, "getgid": 1.0}
    assert work.rounds == pytest.approx([0.005, 0.065, 0.095, 0.335])


def test_who_is_too_slow_when_traced_is_told_and_the_next_one_is_counted(asked):
    noted: list[str] = []
    calls = strace.Calls(noted.append)

    def slow(seconds):
        raise BenchError("no answer for 10 s")

    assert calls.count("slow", asked.pid, slow, 0.1) is None
    assert calls.count("still", asked.pid, lambda _: Measurement(5, 0.1), 0.1) is None
    assert noted == [
        "system calls of slow are not counted: no answer for 10 s",
        "system calls of still are not counted: too few operations",
    ]
    work = Asked(asked)
    assert calls.count("it", work.pid, work, 0.1)


def test_they_are_counted_after_the_rounds_and_stand_in_the_report(asked, tmp_path):
    """Only of who has a process for that; the rates are those of the rounds alone."""
    work = Asked(asked)

    class Two(Suite):
        name, title, what = "two", "Two", "calls"

        def cases(self, *, full):
            return [Case("one")]

        def subjects(self, case):
            return [Subject("served", "peer"), Subject("own", "peer")]

        def start(self, case, subject, tools, stack):
            if subject.name == "served":
                return Running(work, work.pid)
            return Running(lambda seconds: Measurement(1, seconds))

    class Load:
        kind = "none"

    said = []
    options = runner.Options(rounds=2, seconds=0.3)
    tools = Tools(Load(), 1)  # type: ignore[arg-type]
    run = runner.Run(options, tools, lambda *words: said.append(words), pytest.fail)
    run.suites(runner.plan([Two()], options))
    served, own = run.report["suites"][0]["cases"][0]["subjects"]
    assert of_work(json.loads(json.dumps(served["syscalls"]))) == {"getppid": 3.0, "getgid": 1.0}
    assert own["syscalls"] is None
    assert len(served["rates"]) == 2
    assert work.rounds == [0.3, 0.3, 0.3, pytest.approx(0.1), 0.3]
    assert said[-1] == ("two", "one", None, "served", pytest.approx(0.4))
