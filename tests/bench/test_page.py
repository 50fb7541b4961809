"""The figures of the page on speed are those of the last report."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest

from tests.bench import document

ROOT = Path(__file__).resolve().parents[2]
PAGE = "# Fast\n\nBefore.\n\n<!-- speed -->\nearlier\n<!-- /speed -->\n\nAfter.\n"


@pytest.fixture
def docs(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/speed.md").write_text(PAGE, encoding="utf-8")
    return tmp_path / "docs"


@pytest.fixture
def speed(docs):
    function = runpy.run_path(str(ROOT / "docs/generate.py"))["speed"]
    function.__globals__["ROOT"] = docs.parent
    return function


def test_without_a_report_the_page_stays_as_it_is(speed):
    assert speed() == PAGE


def test_the_figures_are_those_of_the_report(docs, speed):
    report = document.report()
    report["suites"][1]["cases"][0]["name"] = "a|b"
    (docs / "bench.json").write_text(json.dumps(report), encoding="utf-8")
    page = speed()
    assert page.startswith(PAGE.partition("earlier")[0])
    assert page.endswith(PAGE.partition("earlier\n")[2])
    assert "earlier" not in page
    for text in (
        "CPython 3.14.1, linux 6.18.1",
        "| 1 | 1 KiB echo, 100 connections: at least 0.72 of bare-epoll |",
        "| not measured: gevent is not installed |",
        "### The post\n\na\\|b:",
        "The idle: round trips in a second.",
        "Left out of some or of all: gevent (gevent is not installed).",
        "- poll: 1,000 connections in 2 s: fds: 4 before, 5 after",
    ):
        assert text in page
    for table in page.split("\n\n"):
        rows = [row.replace("\\|", "") for row in table.splitlines() if row.startswith("|")]
        assert len({row.count("|") for row in rows}) <= 1
    (docs / "speed.md").write_text(page, encoding="utf-8")
    assert speed() == page


def test_the_page_has_its_marks():
    """The figures have a place, and everything else stands outside of it."""
    page = (ROOT / "docs/speed.md").read_text(encoding="utf-8")
    before, _, rest = page.partition("<!-- speed -->\n")
    _, _, after = rest.partition("<!-- /speed -->\n")
    assert "## What it comes to" in before
    assert "## What it does not win" in after


def test_a_page_without_its_marks_is_told(docs, speed):
    (docs / "bench.json").write_text(json.dumps(document.report()), encoding="utf-8")
    (docs / "speed.md").write_text("# Fast\n", encoding="utf-8")
    with pytest.raises(SystemExit, match="are not there"):
        speed()
