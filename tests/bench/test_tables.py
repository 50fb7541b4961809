"""The tables say what the report says."""

from __future__ import annotations

import pytest

from bench import tables
from tests.bench import document


@pytest.fixture
def report():
    return document.report()


def test_a_case_is_a_row_for_each_that_was_measured_the_fastest_first(report):
    heads, *rows = tables.case(report["suites"][0]["cases"][0], "round trips")
    assert heads[:5] == ["", "round trips/s", "spread", "ours is", "of bare-epoll"]
    assert [row[0] for row in rows[:3]] == ["c-epoll", "bare-epoll", "uvloop-protocol"]
    assert "gevent" not in [row[0] for row in rows]
    assert all(len(row) == len(heads) for row in rows)
    ours = next(row for row in rows if row[0] == "reactor-epoll")
    assert ours[3] == "-"
    bare = next(row for row in rows if row[0] == "bare-epoll")
    assert bare[4] == "-"
    assert float(bare[3].split()[0]) * 1.3 == pytest.approx(1, abs=0.06)


def test_a_column_without_numbers_is_left_out(report):
    heads = tables.case(report["suites"][1]["cases"][0], "calls")[0]
    assert "p50 us" not in heads
    assert "calls" not in heads
    assert "B each" in heads


def test_curves_are_made_of_cases_that_differ_in_the_axis_alone(report):
    found = {suite["name"]: dict(tables.curves(suite)) for suite in report["suites"]}
    assert list(found["echo"]) == ["The echo, size 1048576"]
    assert found["post"] == {}
    (idle,) = found["idle"].values()
    assert idle[0] == ["idle", "0", "1,000", "5,000", "20,000"]
    assert [row[0] for row in idle[1:]] == ["reactor-epoll", "asyncio-streams"]
    report["suites"][2]["cases"][-1]["subjects"].pop(0)
    (idle,) = dict(tables.curves(report["suites"][2])).values()
    assert idle[1][-1] == "-"


def test_the_bars_are_told_in_words(report):
    said = {row[1]: row[3] for row in tables.bars(report)[1:]}
    assert set(said.values()) >= {"yes", "NO", "not measured: gevent is not installed"}


def test_leaks_are_told_by_backend(report):
    assert list(tables.leaks(report)) == [
        "epoll: 1,000 connections in 2 s: no leak",
        "poll: 1,000 connections in 2 s: fds: 4 before, 5 after",
    ]
    assert tables.leaked(report)
    report["leaks"]["backends"].pop("poll")
    assert not tables.leaked(report)
    report["leaks"] = None
    assert list(tables.leaks(report)) == []
    assert not tables.leaked(report)


def test_where_it_was_measured_is_one_line(report):
    assert tables.circumstances(report) == (
        "CPython 3.14.1, linux 6.18.1 x86_64, 2 x A processor, 5 rounds of 0.6 s, load in c, seed 1"
    )
    report["environment"]["python"]["gil"] = False
    assert "without the GIL" in tables.circumstances(report)
    assert tables.missing(report) == {"gevent": "gevent is not installed"}
