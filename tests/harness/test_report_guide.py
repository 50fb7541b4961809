"""The page that teaches reading reports says what the reports say."""

from __future__ import annotations

import re
from pathlib import Path

from harness.model import Status
from harness.report import words
from harness.scenario import load

GUIDE = Path(__file__).resolve().parents[2] / "reports" / "README.md"
TEXT = GUIDE.read_text(encoding="utf-8")


def test_every_status_word_is_explained_with_its_glyph():
    rows = re.findall(r"^\| (\S) \| ([A-Z]+) \|", TEXT, re.MULTILINE)
    assert {Status(word): glyph for glyph, word in rows} == words.GLYPHS


def test_every_link_and_every_file_that_is_named_is_there():
    root = GUIDE.parents[1]
    for target in re.findall(r"\]\(([^)#\s]+)\)", TEXT):
        assert (GUIDE.parent / target).exists(), target
    for name in re.findall(r"`((?:reactor|harness|scenarios|tests|docs)/[\w/.]+)`", TEXT):
        assert (root / name).exists(), name


def test_the_scenario_of_the_example_is_as_it_says():
    item = load().get("partial.eof-behind-data")
    assert f"{words.law(item.law)}: {item.law_text}" in TEXT
