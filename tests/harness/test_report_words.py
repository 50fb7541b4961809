"""The wording that all forms of a report share."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.model import Attempt, Run, Status
from harness.report import lanes, tally, words
from tests.harness.test_report_sample import HOSTILE, result, run, timeline

ROOT = Path(__file__).resolve().parents[2]


def test_every_status_has_a_glyph_of_its_own_and_a_meaning():
    assert set(words.GLYPHS) == set(words.MEANINGS) == set(Status)
    assert len(set(words.GLYPHS.values())) == len(Status)


def test_the_laws_are_those_of_the_contract():
    contract = (ROOT / "docs/contract.md").read_text(encoding="utf-8")
    written = re.findall(r"^(\d+)\. \*\*(.+?)\.?\*\*", contract, re.MULTILINE)
    assert {int(number): name for number, name in written} == words.LAWS


def test_the_headline():
    good = run(result("a.b"), result("a.c"), result("a.d", Status.UNSUPPORTED))
    assert words.headline(good) == (
        "epoll+eventfd+timeout on linux 6.1, Python 3.11.7: "
        "2 of 3 as expected; 0 unexpected; 1 unsupported"
    )
    assert words.headline(run(threads=4, system="posix", variant="")).startswith(
        "epoll, 4 threads, system posix on linux 6.1"
    )
    python = {"version": "3.14.0", "implementation": "PyPy", "gil": False}
    assert "Python 3.14.0 (PyPy) without GIL: " in words.headline(run(python=python))
    assert words.headline(Run(run().info)).endswith(": nothing matched, so nothing ran")
    empty = words.headline(run(platform={}, python={}))
    assert "on an unknown system, an unknown Python" in empty


def test_every_result_is_in_exactly_one_number_of_the_verdict():
    made = run()
    said = words.verdict(made)
    assert said == (
        "3 of 14 as expected (1 FAIL); "
        "7 unexpected (1 PASS, 1 FAIL, 1 TIMEOUT, 1 CRASH, 1 ERROR, 1 NOTRUN, 1 FLAKY); "
        "1 for information (1 FAIL); 2 unsupported; 1 skipped"
    )
    outer = re.sub(r"\([^)]*\)|of \d+", "", said)
    assert sum(map(int, re.findall(r"\d+", outer))) == len(made.results)


@pytest.mark.parametrize(
    ("argv", "command"),
    [
        ([], ""),
        (["/usr/bin/reactorlab", "run", "-k", "two words"], "reactorlab run -k 'two words'"),
        (["/lib/harness/__main__.py", "run"], "python -m harness run"),
    ],
)
def test_the_command_is_what_one_would_type(argv, command):
    assert words.command(run(argv=argv).info) == command


def test_a_simulated_run_is_not_mixed_up_with_a_live_one():
    live, simulated = run().info, run(ground="sim", dialect="freebsd").info
    assert words.where(live) == "epoll+eventfd+timeout on linux 6.1, Python 3.11.7"
    assert words.where(simulated) == (
        "epoll+eventfd+timeout on simulated freebsd (on linux 6.1), Python 3.11.7"
    )
    assert (words.place(live), words.place(simulated)) == ("linux", "sim-freebsd")


def test_a_tolerated_flake_is_as_expected():
    flake = result(
        "a.b",
        Status.FLAKY,
        expected=[Status.PASS, Status.FAIL],
        attempts=[Attempt(Status.PASS, 0.1), Attempt(Status.FAIL, 0.1)],
    )
    assert words.verdict(run(flake)) == "1 of 1 as expected (1 FLAKY); 0 unexpected"
    assert words.surprise(flake) == "expected"


def test_no_character_acts():
    shown = words.visible(HOSTILE)
    assert not re.search(r"[^\t\n\x20-\x7e]", shown)
    assert r"\x1b[31mred" in shown
    assert words.visible("Grüße, 世界 ✓\tx\n") == "Grüße, 世界 ✓\tx\n"


def test_a_long_text_keeps_both_ends():
    assert words.clipped("a" * 50 + "b" * 50, 10) == (
        "aaaaa\n[... 90 characters; run.json has them ...]\nbbbbb"
    )
    assert words.clipped("short", 5) == "short"


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.0093, "9.3 ms"), (0.1, "100 ms"), (0.41, "410 ms"), (1.184, "1.18 s"), (123.4, "123 s")],
)
def test_durations(value, said):
    assert words.seconds(value) == said


def test_a_missing_capability_names_what_it_costs():
    probes, others = tally.probes(run())
    assert [(probe.name, [one.id for one in probe.costs]) for probe in probes] == [
        ("kqueue", ["gap.needs-kqueue"]),
        ("queue", []),  # not the other one, although its name ends so
        ("unix", []),
    ]
    assert [one.id for one in others] == ["gap.finds-out"]


def test_a_scenario_that_lacks_two_things_costs_both():
    reason = "no kqueue: Python lacks it here; no queue: Python lacks it here"
    probes, others = tally.probes(run(result("a.b", Status.UNSUPPORTED, reason=reason)))
    assert {probe.name for probe in probes if probe.costs} == {"kqueue", "queue"}
    assert others == []


def test_lanes_have_a_bar_for_each_operation_and_a_dot_for_each_moment():
    drawing = lanes.draw(timeline())
    assert drawing is not None
    recv, lab, send = drawing.lanes
    (bar,) = recv.bars
    assert bar.ended
    assert bar.text == "4.000 ms: ends value b'x'"
    assert [dot.text for dot in lab.dots] == ["3.000 ms: permit late"]
    (open_end,) = send.bars
    assert not open_end.ended
    assert open_end.text == "5.000 ms: start 7 bytes; it never ended"
    for lane in drawing.lanes:
        for item in lane.bars:
            assert lanes.LABEL < item.x <= item.x + item.width <= lanes.WIDTH


def test_what_would_not_be_read_is_not_drawn():
    event = {"t": 1.0, "thread": "main", "task": "recv", "event": "start", "detail": ""}
    assert lanes.draw([]) is None
    assert lanes.draw([event]) is None
    assert lanes.draw([event] * 5000) is None
    many = lanes.draw([event | {"task": str(number)} for number in range(40)])
    assert many is not None
    assert (len(many.lanes), many.hidden) == (16, 24)
