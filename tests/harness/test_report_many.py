"""The forms of the report of many runs: Markdown, JUnit, terminal, badge, and the Chrome trace."""

from __future__ import annotations

import io
import json
import re
import xml.etree.ElementTree as ET

import pytest
from rich.console import Console

from harness import compare
from harness.column import Column
from harness.model import Status
from harness.report import badge, chrometrace, junit, lanes, overview, terminal, words
from tests.board import sample
from tests.harness.test_collection import merged
from tests.harness.test_report_sample import HOSTILE, hostile_run, run


def many(*made):
    return merged(made).current()


def sampled(scenarios=40, seed=0):
    return many(*(sample.run(p, b, scenarios, seed) for p in (0, 3, 5) for b in (1, 2)))


def test_the_summary_has_failures_first_and_says_each_once_with_its_columns():
    runs = sampled()
    for one in list(runs.values())[:2]:
        one.results[5].status, one.results[5].unexpected = Status.FAIL, True
    page = overview.render(runs)
    unexpected = {result.id for one in runs.values() for result in one.unexpected}
    assert unexpected
    for name in unexpected:
        assert page.count(f": {name}\n") == 1
        assert page.index(name) < page.index("### Columns")
    for column, one in runs.items():
        if one.unexpected:
            assert f"- {column.name}" in page
    assert page.startswith(f"## ✗ {words.together(runs.values())}")


def test_the_summary_stays_below_the_limit_whatever_it_is_of():
    runs = many(*(sample.run(p, b, 250) for p in range(10) for b in range(4)))
    for one in runs.values():
        for result in one.results[:200]:
            result.status, result.unexpected = Status.FAIL, True
            result.stacks = "x\n" * 20_000
    page = overview.render(runs)
    assert len(page.encode()) < 1024 * 1024
    assert "**Cut here" in page
    assert "Unexpected: " in page
    small = overview.render(runs, limit=30_000)
    assert len(small.encode()) < 30_000
    assert small.index("### Unexpected") < small.index("**Cut here")


def test_the_summary_tells_regressions_before_anything_else():
    old = {column: run_of(one) for column, one in sampled().items()}
    now = sampled()
    first = next(iter(now.values())).results[3]
    first.status, first.unexpected, first.reason = Status.CRASH, True, "signal 11"
    found = compare.compare_runs(old, now)
    page = overview.render(now, found)
    assert page.index("### Regressed") < page.index("### Unexpected")
    assert f"| {first.id} | " in page
    assert "✓ PASS → † CRASH" in page


def run_of(one):
    return type(one)(one.info, [type(item)(**fields(item)) for item in one.results])


def fields(item):
    return {name: getattr(item, name) for name in item.__slots__}


def test_junit_has_one_suite_for_each_column():
    runs = sampled()
    root = ET.fromstring(junit.render(*runs.values()))
    suites = root.findall("testsuite")
    assert [suite.get("name") for suite in suites] == [column.name for column in runs]
    for key in ("tests", "failures", "skipped"):
        total = sum(int(suite.get(key, "")) for suite in suites)
        assert int(root.get(key, "")) == total
    assert int(root.get("failures", "")) == sum(len(one.unexpected) for one in runs.values())


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_the_terminal_shows_every_column_and_what_failed(encoding):
    runs = sampled()
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    changed = compare.compare_runs(runs, runs)
    Console(file=stream, width=120).print(terminal.overview(runs, changed))
    stream.flush()
    text = stream.buffer.getvalue().decode(encoding)
    for column in runs:
        assert column.platform in text
    for one in runs.values():
        for result in one.unexpected:
            assert result.replay.split(" --seed")[0] in " ".join(text.split())
    assert "unexpected" in text.splitlines()[-1]


@pytest.mark.parametrize(
    ("make", "message", "colour"),
    [
        (list, "nothing ran", "lightgrey"),
        (lambda: [run()], "7 unexpected in 1 column", "red"),
        (lambda: [passing()], "1 column as expected", "brightgreen"),
    ],
)
def test_the_badge_says_what_the_runs_amount_to(make, message, colour):
    made = json.loads(badge.render(make()))
    assert (made["schemaVersion"], made["message"], made["color"]) == (1, message, colour)


def passing():
    made = sample.run(0, 0, 3)
    for item in made.results:
        item.status, item.unexpected = Status.PASS, False
    return made


def test_no_form_lets_a_text_act():
    runs = many(hostile_run())
    # Outside of blocks of code, which nothing inside can close, no markup is left.
    outside = re.sub(
        r"^(`{3,})\w+\n.*?^\1$", "", overview.render(runs), flags=re.DOTALL | re.MULTILINE
    )
    assert "<script" not in outside
    assert "&lt;script" in outside
    ET.fromstring(junit.render(*runs.values()))
    for one in runs.values():
        for result in one.results:
            text = json.dumps(chrometrace.render(result, one.info))
            assert "\\u001b" not in text
    for column in runs:
        assert HOSTILE[:20] in column.name


EVENTS = [
    ("main", "recv", "start", "100"),
    ("main", "recv", "runs", ""),
    ("main", "lab", "permit", "late"),
    ("helper", "recv", "ends", "b'x'"),
    ("helper", "recv", "outcome", "b'x'"),
    ("main", "send", "start", "7 bytes"),
]
TIMELINE = [
    {"t": number / 1000, "thread": thread, "task": task, "event": event, "detail": detail}
    for number, (thread, task, event, detail) in enumerate(EVENTS)
]


def test_a_timeline_has_a_row_for_each_task_and_for_each_of_several_threads():
    rows = {row.name: row for row in lanes.rows(TIMELINE)}
    assert list(rows) == ["recv", "lab", "send", "main", "helper"]
    assert rows["recv"].spans == [(0, 3)]
    assert rows["send"].spans == [(5, None)]
    assert rows["lab"].points == [2]
    assert rows["main"].thread
    assert rows["main"].points == [0, 1, 2, 5]
    assert not any(row.thread for row in lanes.rows(TIMELINE[:3]))


def test_the_chrome_trace_is_in_microseconds_with_a_track_for_each_row():
    item = run().results[0]
    item.timeline = TIMELINE
    made = chrometrace.render(item, run().info)
    events = made["traceEvents"]
    spans = {event["name"]: event for event in events if event["ph"] == "X"}
    assert (spans["recv"]["ts"], spans["recv"]["dur"]) == (0, 3000)
    assert spans["recv"]["args"]["ended"] is True
    assert spans["send"]["args"]["ended"] is False
    tracks = [e["args"]["name"] for e in events if e["name"] == "thread_name"]
    assert tracks == ["recv", "lab", "send", "thread main", "thread helper"]
    assert len({event["tid"] for event in events if event["ph"] != "M"}) == 5
    assert made["otherData"]["scenario"] == item.id
    json.dumps(made, allow_nan=False)


def test_a_column_of_the_sample_is_one_of_the_names():
    assert (
        len({Column.of(sample.run(p, b, 0).info).name for p in range(10) for b in range(4)}) == 40
    )
