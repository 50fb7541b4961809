"""The closing table of the terminal."""

from __future__ import annotations

import io
import re
import shlex
import subprocess

import pytest
from rich.console import Console

from harness.model import Run, Status
from harness.report import terminal, words
from tests.harness.test_report_sample import hostile_run, result, run


def shown(made, width=100, encoding="utf-8", **more):
    """What a console of that width shows."""
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict", newline="")
    console = Console(file=file, width=width, _environ=more.pop("environ", {}), **more)
    console.print(terminal.table(made))
    file.flush()
    return file.buffer.getvalue().decode(encoding)


def test_one_row_for_each_family_with_its_counts():
    rows = [line.split() for line in shown(run()).splitlines()]
    assert rows[1] == ["family", "scenarios", *Status]
    assert ["bad", "4", "1", "2", "1"] in rows
    assert ["all", "14", "3", "3", "1", "1", "1", "2", "1", "1", "1"] in rows


def test_all_words_fit_into_80_columns():
    assert shown(run(), width=80).splitlines()[1].split() == ["family", "scenarios", *Status]


def test_each_unexpected_result_has_its_reason_and_replay_line():
    text = shown(run())
    for one in run().results:
        heading = f"{words.labelled(one.status)} {one.id}\n" in text.replace(
            "  (expected FAIL)", ""
        )
        assert heading is one.unexpected
        assert (f"  {one.replay}\n" in text) is one.unexpected
        assert (one.reason in text) is (one.unexpected or one.status is Status.UNSUPPORTED) or (
            not one.reason
        ), one.id
    assert "✓ PASS bad.passes-after-all  (expected FAIL)" in text


def test_the_rest_is_named_and_the_headline_is_last():
    text = shown(run(), width=400)
    assert "no kqueue: Python lacks it here (1 scenario)" in text
    assert "gap.finds-out: no such thing here" in text
    assert "there is no scenario 'gone.long-ago'" in text
    assert text.splitlines()[-1] == f"✗ {words.headline(run())}"


def test_a_run_as_expected_is_a_table_and_a_line():
    text = shown(run(result("a.b"), stale_expectations=[]))
    assert len(text.strip().splitlines()) == 5
    nothing = shown(Run(run().info), width=200)
    assert nothing.rstrip().endswith("nothing matched, so nothing ran")


def test_a_replay_line_that_is_broken_can_still_be_pasted():
    one = result("family.with-a-long-name", Status.FAIL, unexpected=True)
    text = shown(run(one), width=40)
    lines = text[text.index("  reactorlab") :].splitlines()
    pasted = [lines.pop(0)]
    while pasted[-1].endswith("\\"):
        pasted.append(lines.pop(0))
    assert len(pasted) > 1
    assert max(map(len, pasted)) <= 40
    command = "\n".join(['reactorlab() { printf "%s\\n" reactorlab "$@"; }', *pasted])
    heard = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    assert heard.stdout.splitlines() == shlex.split(one.replay)


@pytest.mark.parametrize("environ", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colour_is_left_out_on_demand(environ):
    plain = shown(run(), force_terminal=True, environ=environ | {"COLUMNS": "100"})
    assert not re.search(r"\x1b\[[\d;]*3[1-7]", plain)
    assert "✗ FAIL" in re.sub(r"\x1b\[[\d;]*m", "", plain)


def test_colour_only_repeats_the_words():
    coloured = shown(run(), force_terminal=True, environ={"TERM": "xterm-256color"})
    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == shown(run())


def test_a_terminal_without_unicode_has_the_words():
    text = shown(run(result("a.b", Status.FAIL, unexpected=True, reason="é")), encoding="ascii")
    assert "FAIL a.b" in text
    assert r"\xe9" in text


def test_no_text_of_the_run_acts_on_the_terminal():
    text = shown(hostile_run(), width=4000)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\ud800-\udfff\uffff]", text)
    heads = ("good <", "bad <", "hang <", "gap <", "✗ FAIL bad.fails <")
    for head in heads:  # nothing is taken for markup
        (line,) = [line for line in text.splitlines() if line.strip().startswith(head)]
        assert "[rich] [/]" in line
    assert r"\x1b[31mred" in text
