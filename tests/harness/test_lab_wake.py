"""What the lab has for the family *wake*: other contexts in threads, forks, and calls made alone."""

from __future__ import annotations

import os
import threading
import time

import pytest

import reactor
from harness import oracles, provoke
from harness.provoke import Canary, forked
from harness.scenario import scenario
from harness.subject import _current, run_scenario
from harness.world import LiveWorld
from reactor import backends


def stop():
    """Have a scenario that hangs fail."""
    _current[-1][1].stop()


@pytest.fixture
def run():
    """Run an async function as a scenario; its status and reason."""

    def run_one(function, *, spec="poll", system="live", threads=1):
        function.__doc__ = "It holds."
        made = scenario(id="toy.x", law=1, provenance="a bug")(function).__scenario__
        before = oracles.snapshot()
        watchdog = threading.Timer(60, stop)  # here no parent owns a deadline
        watchdog.start()
        try:
            report = run_scenario(
                made, spec=spec, system=system, seed=1, threads=threads, sink=lambda _: None
            )
        finally:
            watchdog.cancel()
            watchdog.join()
        assert [oracle for oracle in oracles.judge(before) if not oracle["ok"]] == []
        return report.status, report.reason

    return run_one


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_what_is_posted_alone_runs_while_nothing_else_does(run, threads):
    async def posts(lab):
        running: list[int] = []
        seen: list[int] = []
        ended = lab.subject.event()

        def other():
            running.append(1)
            time.sleep(0.001)
            running.pop()

        def alone():
            for _ in range(20):
                seen.append(len(running))
                time.sleep(0.0005)
            ended.set()

        for _ in range(10):
            lab.post(other)
        lab.post_alone(alone)
        for _ in range(10):
            lab.post(other)
        await ended.wait()
        lab.equal(seen, [0] * 20, "what ran beside it")

    assert run(posts, threads=threads) == ("PASS", "")


def test_what_is_posted_alone_and_raises_lets_the_others_go(run):
    async def posts(lab):
        lab.post_alone(lambda: 1 / 0)
        await lab.settle()
        lab.equal([type(error) for error in lab.surfaced], [ZeroDivisionError], "what came out")
        lab.surfaced.clear()

    assert run(posts, threads=3) == ("PASS", "")


@pytest.mark.parametrize("threads", [1, 3])
def test_a_fresh_context_is_run_by_threads_that_are_asleep_at_first(run, threads):
    async def runs(lab):
        context = lab.fresh_context()
        ran: list[str] = []
        with lab.running(context, threads) as runners:
            lab.equal(len(runners), threads, "threads")
            signal = context.scheduler.signal
            lab.equal((signal.runners, signal.idle), (threads, threads - 1), "where they are")
            context.post(lambda: ran.append(threading.current_thread().name))
            lab.until_asleep(context, threads)
            lab.equal(len(ran), 1, "calls that ran")
            lab.check(all(runner.is_alive() for runner in runners), "they went without work")
        lab.check(not any(runner.is_alive() for runner in runners), "they run on")
        lab.check(ran[0] != threading.current_thread().name, "it ran in the scenario's thread")

    assert run(runs) == ("PASS", "")


def test_what_comes_out_of_a_fresh_context_fails_the_scenario(run):
    async def runs(lab):
        context = lab.fresh_context()
        begun = threading.Event()

        def fail():
            begun.set()
            return 1 / 0

        with lab.running(context):
            context.post(fail)
            begun.wait(10)

    status, reason = run(runs)
    assert (status, reason) == ("FAIL", "ZeroDivisionError: division by zero")


def test_a_thread_that_does_not_end_is_said(run, monkeypatch):
    monkeypatch.setattr("harness.lab.SAFETY", 0.05)

    async def waits(lab):
        release = threading.Event()
        thread = lab.thread(release.wait)
        try:
            thread.ended()
        finally:
            release.set()

    assert run(waits) == ("FAIL", "helper-wait does not end")


def test_a_loop_that_stays_awake_is_said(run, monkeypatch):
    monkeypatch.setattr("harness.lab.SAFETY", 0.05)

    async def waits(lab):
        context = lab.fresh_context()
        lab.until_asleep(context)  # nobody runs it

    assert run(waits) == ("FAIL", "the loop does not fall asleep")


def test_the_loop_under_test_is_asleep_when_a_helper_thread_asks(run):
    async def waits(lab):
        async def ask():
            await lab.join(lab.thread(lab.until_asleep))

        await ask()

    for threads in (1, 3):
        assert run(waits, threads=threads) == ("PASS", "")


@pytest.mark.parametrize("spec", backends.available())
def test_every_waker_makes_a_context(run, spec):
    async def makes(lab):
        wakers = lab.wakers()
        lab.equal([lab.fresh_context(waker).backend.waker.name for waker in wakers], wakers, "them")
        lab.check("pipe" in wakers, "there is no self-pipe")

    assert run(makes, spec=spec) == ("PASS", "")


def test_a_system_without_extensions_has_one_waker(run):
    async def makes(lab):
        lab.equal(lab.wakers(), ["pipe"], "wakers")

    assert run(makes, system="posix") == ("PASS", "")


def test_the_timer_of_the_specification_stays_with_another_waker(run):
    async def makes(lab):
        context = lab.fresh_context("pipe")
        lab.equal(context.backend.spec, "poll+pipe+timeout", "the specification")

    assert run(makes, spec="poll+timeout") == ("PASS", "")


def test_wakeups_are_those_of_threads_that_do_not_poll(run):
    async def counts(lab):
        context = lab.fresh_context()
        with lab.running(context, 3):
            before = lab.wakeups(context)
            for _ in range(5):
                context.post(int)
                lab.until_asleep(context, 3)
            lab.equal(lab.wakeups(context) - before, 5, "threads woken")

    assert run(counts) == ("PASS", "")


def test_an_idle_fresh_context_makes_no_waits_and_a_busy_one_does(run):
    async def measures(lab):
        context = lab.fresh_context()
        with lab.running(context):
            lab.idle_of(context, 0.1).check()

            async def spin():
                while True:
                    await reactor.sleep(0)

            context.spawn(spin)
            with pytest.raises(AssertionError, match="it spins"):
                lab.idle_of(context, 0.1).check()

    assert run(measures) == ("PASS", "")


def test_the_descriptors_are_those_of_the_process(run):
    async def opens(lab):
        before = lab.world.descriptors()
        number = os.dup(0)
        lab.equal(lab.world.descriptors() - before, {number}, "what was opened")
        os.close(number)

    assert run(opens) == ("PASS", "")


# -- Forks


def test_a_forked_child_does_what_it_is_told_and_is_gone(monkeypatch):
    children: list[int] = []
    fork = os.fork

    def noted():
        children.append(fork())
        return children[-1]

    monkeypatch.setattr(os, "fork", noted)
    read_end, write_end = os.pipe()
    forked(os.write, write_end, b"from the child")
    os.close(write_end)
    assert os.read(read_end, 100) == b"from the child"
    os.close(read_end)
    (child,) = children
    with pytest.raises(ChildProcessError):  # it has been waited for
        os.waitpid(child, os.WNOHANG)


def test_what_a_forked_child_raises_is_raised():
    with pytest.raises(AssertionError, match="in a forked child: ZeroDivisionError: division by"):
        forked(lambda: 1 / 0)


def test_a_forked_child_that_dies_is_said():
    with pytest.raises(AssertionError, match="in a forked child: it died: 0x300"):
        forked(os._exit, 3)


def test_a_forked_child_that_hangs_is_killed(monkeypatch):
    monkeypatch.setattr(provoke, "SAFETY", 0.1)
    with pytest.raises(AssertionError, match="in a forked child: it hangs"):
        forked(time.sleep, 60)


# -- Canaries


def test_canaries_on_neighbouring_numbers_do_not_tread_on_each_other():
    numbers = [os.dup(0) for _ in range(4)]
    for number in numbers:
        os.close(number)
    canaries = [Canary(number, LiveWorld()) for number in numbers]
    for canary in canaries:
        canary.check()
    for canary in canaries:
        canary.close()
