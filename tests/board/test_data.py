"""The data of the board: what each page is made of, and how much of it there is."""

from __future__ import annotations

import base64
import gzip
import itertools
import json
import re

import pytest

from harness import board
from harness.board import data
from harness.collection import Collection
from harness.model import Status
from tests.board import sample
from tests.harness.test_report_sample import hostile_run, run


def collected(*runs):
    found = Collection()
    for one in runs:
        found.add(one)
    return found


def chunks(found, **more):
    return dict(data.chunks(found, **({"changed": None, "title": ""} | more)))


def test_the_index_has_a_cell_for_each_scenario_and_column():
    found = collected(sample.run(0, 2, 20), sample.run(3, 1, 15))
    made = chunks(found)
    index = made["index"]
    assert len(index["columns"]) == 2
    assert len(index["scenarios"]) == len(index["cells"]) == 20
    assert set(made) == {"index", *(f"s{number}" for number in range(20))}
    assert sum(1 for row in index["cells"] for cell in row if cell == 0) == 5
    assert sum(index["counts"]) == 35
    ids = [row["id"] for row in index["scenarios"]]
    assert sorted(ids) == sorted(result.id for result in sample.run(0, 2, 20).results)
    families = [row["family"] for row in index["scenarios"]]
    assert len(set(families)) == 1 + sum(a != b for a, b in itertools.pairwise(families))


def test_equal_texts_and_traces_stand_once():
    found = collected(*(sample.run(p, b, 1) for p in range(5) for b in range(4)))
    chunk = chunks(found)["s0"]
    assert len(chunk["cells"]) == 20
    ran = [cell for cell in chunk["cells"] if cell["attempts"]]
    assert len({cell["trace"] for cell in ran}) == 1
    assert len(chunk["texts"]) == len(set(chunk["texts"]))


def test_traces_part_only_where_events_do():
    one, two = sample.run(0, 2, 3), sample.run(0, 3, 3)
    for item in (*one.results, *two.results):
        item.status, item.trace = Status.PASS, [{"seq": 0, "who": "a", "event": "b", "detail": ""}]
    two.results[1].status = Status.FAIL
    two.results[2].trace = [{"seq": 0, "who": "a", "event": "c", "detail": ""}]
    rows = chunks(collected(one, two))["index"]["scenarios"]
    assert {row["id"] for row in rows if row["parted"]} == {one.results[2].id}


def test_runs_of_one_column_fold_into_its_history():
    runs = [sample.run(0, 2, 1, age=age) for age in range(5)]
    for age, one in enumerate(runs):
        one.results[0].status = Status.FAIL if age == 2 else Status.PASS
    made = chunks(collected(*runs))
    (cell,) = made["s0"]["cells"]
    words = [(made["index"]["statuses"][status][0], count) for status, count, *_ in cell["history"]]
    assert words == [("PASS", 2), ("FAIL", 1), ("PASS", 2)]
    assert cell["history"][0][2][0] == "2027-01-24"
    assert cell["history"][0][3][0] == "2027-01-25"


def test_what_changed_since_the_run_before_is_found_by_itself():
    before, now = sample.run(0, 2, 3, age=1), sample.run(0, 2, 3)
    for item in (*before.results, *now.results):
        item.status, item.unexpected = Status.PASS, False
    now.results[1].status, now.results[1].unexpected = Status.CRASH, True
    changes = chunks(collected(before, now))["index"]["changes"]
    assert [(kind, [row[0] for row in rows]) for kind, rows in changes["groups"]] == [
        ("regressed", [now.results[1].id])
    ]
    assert chunks(collected(now))["index"]["changes"] is None


def test_counters_are_per_operation_over_what_passed_everywhere():
    one, two = sample.run(0, 2, 2), sample.run(0, 3, 2)
    for item in (*one.results, *two.results):
        item.status = Status.PASS
    two.results[1].status = Status.FAIL
    one.results[0].counters = {"waits": 6, "inline_completions": 1, "claims_ready": 2}
    two.results[0].counters = {"waits": 10, "inline_completions": 5}
    found = chunks(collected(one, two))["index"]["counters"]
    assert found == {"scenarios": 1, "table": [["waits", [2.0, 2.0], 2.0]]}


def test_long_texts_and_records_are_cut_and_say_so():
    made = run()
    item = made.results[0]
    item.output = "x" * 10_000_000
    item.trace = [{"seq": n, "who": "a", "event": "b", "detail": str(n)} for n in range(5_000)]
    found = chunks(collected(made))
    number = [row["id"] for row in found["index"]["scenarios"]].index(item.id)
    chunk = found[f"s{number}"]
    (cell,) = chunk["cells"]
    assert cell["cut"][0] == 4_800
    assert len(chunk["traces"][cell["trace"]]) == 200
    assert len(chunk["texts"][cell["output"]]) < 3_000
    assert "run.json has them" in chunk["texts"][cell["output"]]


def texts(value):
    match value:
        case str():
            yield value
        case dict():
            for key, item in value.items():
                yield from texts(key)
                yield from texts(item)
        case list() | tuple():
            for item in value:
                yield from texts(item)


def test_no_control_character_reaches_the_page():
    for chunk in chunks(collected(hostile_run()), title="\x1b\u202e").values():
        for text in texts(chunk):
            assert not re.search(
                "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\ud800-\udfff]", text
            )


@pytest.mark.parametrize("single", [False, True])
def test_a_hostile_run_leaves_the_markup_of_the_page_alone(tmp_path, single):
    plain, evil = tmp_path / "plain", tmp_path / "evil"
    board.write(collected(run()), plain, single=single)
    board.write(
        collected(hostile_run()), evil, single=single, title="</title><script>own()</script>"
    )
    counts = [
        {tag: text.count(tag) for tag in ("<script", "</script", "<style", "<title", "<!--")}
        for text in ((folder / "index.html").read_text() for folder in (plain, evil))
    ]
    assert counts[0] == counts[1]
    for path in (evil / "data").glob("*.js"):
        assert "<" not in path.read_text()


def test_the_single_file_has_the_same_data_as_the_folder(tmp_path):
    found = collected(sample.run(0, 2, 4))
    board.write(found, tmp_path / "folder")
    page = board.write(found, tmp_path / "single", single=True).read_text()
    for path in (tmp_path / "folder" / "data").glob("*.js"):
        beside = re.fullmatch(r"board\.receive\(\"\w+\", (.*)\);\n", path.read_text())
        inside = re.search(rf'id="chunk-{path.stem}">([^<]*)<', page)
        assert beside
        assert inside
        unpacked = gzip.decompress(base64.b64decode(inside[1]))
        assert json.loads(unpacked) == json.loads(beside[1])


def test_the_largest_board_stays_below_ten_megabytes(tmp_path):
    """10 platforms, 4 backends, 250 scenarios; `python -m tests.board.bars` also takes the time."""
    runs = [sample.run(p, b, 250) for p in range(10) for b in range(4)]
    page = board.write(collected(*runs), tmp_path, single=True)
    assert page.stat().st_size < 10_000_000
