"""The Markdown summary: failures first, nothing that breaks a table, and never too long."""

from __future__ import annotations

import dataclasses
import re

import pytest

from harness.model import Run, Status
from harness.report import summary, words
from tests.harness.test_report_sample import HUNG, hostile_run, result, run


def outside_fences(text):
    """The lines that Markdown reads as Markdown; fails if a code block is not closed."""
    fence, found = "", []
    for line in text.splitlines():
        if fence:
            fence = "" if line == fence else fence
        elif match := re.match(r"(`{3,})\w*$", line):
            fence = match[1]
        else:
            found.append(line)
    assert not fence
    return found


def cells(line):
    """The cells of a table row, as GitHub splits it."""
    return re.split(r"(?<!\\)\|", line.strip())[1:-1]


def test_headline_counts_and_order():
    text = summary.render(run())
    lines = text.splitlines()
    assert lines[0] == f"## ✗ {words.headline(run())}"
    assert "| bad | 4 | 1 | 2 |  |  |  |  |  |  | 1 |" in lines
    assert "| all | 14 | 3 | 3 | 1 | 1 | 1 | 2 | 1 | 1 | 1 |" in lines
    order = ["### Unexpected (7)", "### Entries of the", "### Unsupported (2)", "### Permits seen"]
    places = [text.index(title) for title in order]
    assert places == sorted(places)


def test_each_unexpected_result_has_reason_replay_and_evidence():
    text = summary.render(run())
    for one in run().results:
        assert (f"#### {words.labelled(one.status)}: {one.id}\n" in text) is one.unexpected
        assert (f"```sh\n{one.replay}\n```" in text) is one.unexpected
    hung = text[text.index(HUNG) :]
    for part in ("no result within 20.0 s", "Thread 0x7f", "recv PARKED", "2 recv start 2"):
        assert part in hung
    assert "Expected is FAIL: the kernel rounds up" in text


def test_what_is_unsupported_is_named_with_evidence():
    text = summary.render(run())
    assert "- no **kqueue**: Python lacks it here; costs gap.needs-kqueue" in text
    assert "- gap.finds-out: no such thing here" in text
    assert "queue**: Python lacks it here; costs \n" not in text


def test_permits_and_stale_expectations_are_there():
    text = summary.render(run())
    assert "| good.shows-a-permit | late | the event came late |" in text
    assert "- expectations.toml:9: there is no scenario 'gone.long-ago'" in text


def test_a_run_as_expected_is_short():
    lines = summary.render(run(result("a.b"), stale_expectations=[])).splitlines()
    assert lines[0].startswith("## ✓ ")
    assert not [line for line in lines if line.startswith("###")]
    assert "nothing matched" in summary.render(Run(run().info))


def test_no_text_of_the_run_is_read_as_markdown():
    text = summary.render(hostile_run())
    lines = outside_fences(text)
    tables = [line for line in lines if line.startswith("|")]
    assert {len(cells(line)) for line in tables} == {3, 11}
    headings = [line for line in lines if line.startswith("#")]
    assert len(headings) == 1 + 4 + 7  # the headline, the sections, the unexpected results
    for line in lines:
        bare = re.sub(r"</?(details|summary)>", "", line)
        assert "<" not in bare, line
        assert not re.search(r"(?<!\\)`", bare), line
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u202e\ud800-\udfff\uffff]", text)
    assert len(text.encode()) < 100_000


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a|b", r"a\|b"),
        ("a\\|b", r"a\\\|b"),
        ("two\n\nlines", "two lines"),
        ("<b>&", "&lt;b&gt;&amp;"),
        ("`x` *y* [z](u)", r"\`x\` \*y\* \[z\](u)"),
        ("big_memory _x_", r"big_memory \_x\_"),
    ],
)
def test_text_stands_for_itself(text, escaped):
    assert summary._text(text) == escaped


def test_a_code_block_cannot_be_closed_from_inside():
    assert summary._fenced("a\n```\nb", "text") == "````text\na\n```\nb\n````\n"


def many(number, **more):
    return [
        result(f"bad.number-{at}", Status.TIMEOUT, unexpected=True, stacks="s" * 20_000, **more)
        for at in range(number)
    ]


def test_a_long_summary_is_cut_and_says_what_is_missing():
    made = run(*many(50), *run().results)
    text = summary.render(made, limit=100_000)
    assert len(text.encode()) < 100_000
    shown = text.count("#### ")
    assert 5 < shown < 50
    assert text.endswith(
        f"Left out: Unexpected: {57 - shown} of 57. `index.html` and `run.json` have everything.\n"
    )
    assert "### Permits seen (1)" in text  # the small sections still have room
    outside_fences(text)


def test_the_counts_and_what_was_cut_are_there_whatever_the_limit():
    made = run(*many(3, reason="r" * 5000), *run().results)
    text = summary.render(made, limit=3_000)
    assert len(text.encode()) < 3_000
    assert "| all | 17 |" in text
    assert "Unexpected: all 10" in text


def test_the_largest_run_stays_below_the_limit_of_github():
    made = run(*many(900, reason="é" * 5000))
    text = summary.render(made)
    assert 800 * 1024 < len(text.encode()) < summary.LIMIT == 900 * 1024
    assert "Left out: Unexpected: " in text


def test_a_hostile_headline_cannot_fill_the_page():
    made = dataclasses.replace(run().info, variant="v" * 2_000_000)
    text = summary.render(Run(made, run().results))
    assert len(text.encode()) < 100_000
    assert text.startswith("## ✗ epoll+vvv")
