"""What other processes have used: exact in sum, and divided as the kernel divides it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from bench import accounts, runner
from bench.suite import Measurement, Subject

CLOCK = "import sys, time\nfor _ in sys.stdin: print(time.process_time(), flush=True)"


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_the_time_of_a_process_is_that_of_its_own_clock():
    """Not of ticks: it lies between what the process itself says before and after."""
    with subprocess.Popen(
        [sys.executable, "-c", CLOCK], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        ask, answer = process.stdin, process.stdout
        assert ask is not None
        assert answer is not None

        def own():
            ask.write("\n")
            ask.flush()
            return float(answer.readline())

        for _ in range(3):
            before = own()
            found = accounts.usage(process.pid)
            assert found is not None
            assert before < found.total < own()
            assert found.user + found.system <= found.total + 0.01
        ask.close()
    assert accounts.usage(process.pid) is None


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_who_has_something_to_do_does_not_wait():
    """The name of a process may look like the state of another one."""
    assert not accounts.waits(os.getpid())
    script = "import sys\nopen('/proc/self/comm', 'w').write('x) R')\nprint(flush=True)\ninput()"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        while not accounts.waits(process.pid):
            assert process.poll() is None
        process.communicate(b"\n")
    assert accounts.waits(process.pid)


def numbers(*rounds):
    return runner._numbers(Subject("one", "peer"), list(rounds), None)


def test_an_exact_sum_is_divided_as_the_ticks_of_all_rounds_are():
    made = numbers(
        Measurement(50, 1.0, cpu_s=0.004, user_s=0.01, system_s=0.0),
        Measurement(50, 1.0, cpu_s=0.036, user_s=0.02, system_s=0.01),
    )
    assert made["user_us"] == pytest.approx(0.75 * 400)
    assert made["system_us"] == pytest.approx(0.25 * 400)


def test_without_a_tick_nobody_knows_how_it_is_divided():
    made = numbers(Measurement(50, 1.0, cpu_s=0.004, user_s=0.0, system_s=0.0))
    assert made["user_us"] is made["system_us"] is None


def test_what_is_known_no_better_is_taken_as_it_is():
    made = numbers(Measurement(50, 1.0, user_s=0.001, system_s=0.003))
    assert made["user_us"] == pytest.approx(20)
    assert made["system_us"] == pytest.approx(60)
