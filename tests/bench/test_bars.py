"""The bars say what the report says, and what is not in it they do not judge."""

from __future__ import annotations

import copy

import pytest

from bench import bars
from tests.bench import document


def judged(report, text):
    (found,) = (one for one in bars.judge(report) if text in one["text"])
    return found


def subject(report, suite, case, name):
    (one,) = (item for item in report["suites"] if item["name"] == suite)
    (one,) = (item for item in one["cases"] if item["name"] == case)
    (one,) = (item for item in one["subjects"] if item["name"] == name)
    return one


def test_the_bars_of_the_issue_are_there():
    """Seven demands, each number of them once."""
    found = bars.load()
    assert {bar.number for bar in found} == set(range(1, 8))
    assert len({bar.text for bar in found}) == len(found)
    wanted = sorted(bar.wanted for bar in found if bar.number == 1)
    assert wanted == sorted([0.72, 1.2, 1.5, 1.5, 1.5, 2.5, 0.85, 2.7, 0.85])
    assert all(bar.at == "most" for bar in found if bar.metric in {"user", "cpu", "bytes"})


def test_a_ratio_of_one_case_is_that_of_its_rounds():
    report = document.report()
    ours = subject(report, "echo", "1 KiB, 100 connections", "reactor-epoll")
    ours["ratios"]["bare-epoll"] = 0.72
    ours["user_ratios"]["bare-epoll"] = 2.71
    found = judged(report, "0.72 of bare-epoll")
    assert (found["ratio"], found["holds"]) == (0.72, True)
    assert judged(report, "2.7 of bare-epoll")["holds"] is False
    ours["ratios"]["bare-epoll"] = 0.7199
    assert judged(report, "0.72 of bare-epoll")["holds"] is False


def test_a_ratio_of_two_cases_is_that_of_their_medians():
    report = document.report()
    many = subject(report, "idle", "20000 idle", "reactor-epoll")
    none = subject(report, "idle", "0 idle", "reactor-epoll")
    many["user_us"], many["system_us"] = 6.0, 5.5
    none["user_us"], none["system_us"] = 6.0, 4.0
    found = judged(report, "20,000 idle")
    assert (found["ratio"], found["holds"]) == (1.15, True)
    many["system_us"] = 5.6
    assert judged(report, "20,000 idle")["holds"] is False


def test_memory_at_most_is_memory_at_most():
    report = document.report()
    where = ("timers", "schedule and cancel, 100000 pending")
    subject(report, *where, "reactor")["bytes_per_item"] = 100
    subject(report, *where, "asyncio")["bytes_per_item"] = 100
    assert judged(report, "memory")["holds"] is True
    subject(report, *where, "reactor")["bytes_per_item"] = 101
    assert judged(report, "memory")["holds"] is False


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("of gevent", "gevent is not installed"),
        ("pipelined", "suite 'pipelined' was not run"),
        ("0.85 of uvloop-protocol", None),
    ],
)
def test_what_was_not_measured_is_not_judged(text, why):
    found = judged(document.report(), text)
    assert found["why"] == why
    assert (found["holds"] is None) is (found["ratio"] is None) is (why is not None)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda report: report["suites"][0]["cases"].clear(), "echo: case '1 KiB"),
        (lambda report: report["suites"][0]["cases"][0]["subjects"].pop(0), "'reactor-epoll'"),
        (lambda report: report["suites"].clear(), "suite 'echo' was not run"),
    ],
)
def test_an_interrupted_run_is_judged_as_far_as_it_came(change, why):
    report = copy.deepcopy(document.report())
    change(report)
    found = judged(report, "0.72 of bare-epoll")
    assert why in found["why"]
    assert found["holds"] is None


def test_a_figure_that_could_not_be_taken_is_named():
    report = document.report()
    ours = subject(report, "echo", "1 KiB, 100 connections", "reactor-epoll")
    ours["user_us"], ours["user_ratios"] = None, {}
    assert judged(report, "2.7 of bare-epoll")["why"] == "reactor-epoll has no user"
    none = subject(report, "idle", "0 idle", "reactor-epoll")
    none["user_us"] = none["system_us"] = 0.0
    assert "too little" in judged(report, "20,000 idle")["why"]
