"""`reactorlab merge`, `diff`, `expect update`, `validate`, and `trace` of an earlier run."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import pytest

from harness import collection, jsonfile
from harness.model import Status
from tests.board import sample
from tests.harness.test_cli import command, one_line  # noqa: F401 - a fixture

ID = "accept.what-happens-0"


@pytest.fixture
def runs(tmp_path):
    """Three columns of one day, each in a folder of its own, all as expected."""
    folder = tmp_path / "runs"
    for backend in (0, 2, 3):
        made = sample.run(0, backend, 20)
        for item in made.results:
            item.status, item.unexpected, item.reason = Status.PASS, False, ""
        made.save(folder / f"linux-{backend}" / "run.json")
    return folder


def change(path, age=0, **fields):
    """Change the first result of a run."""
    data = json.loads(path.read_text())
    data["results"][0] |= fields
    data["run"]["id"] += f"-{age}"
    jsonfile.write(path, data)


def copy(runs, folder):
    for path in runs.glob("*/run.json"):
        jsonfile.write(folder / path.parent.name / "run.json", json.loads(path.read_text()))
    return folder


FAILED = {"status": "FAIL", "unexpected": True, "reason": "it did not"}


def test_a_merge_leaves_every_form(command, runs, tmp_path):  # noqa: F811
    out = tmp_path / "board"
    code, said, error = command("merge", runs, "-o", out)
    assert code == 0
    assert "✓ 20 scenarios in 3 columns: 60 of 60 as expected" in said
    assert f"board: {out / 'index.html'}" in error
    names = {path.name for path in out.iterdir()}
    assert names == {"merged.json", "index.html", "data", "junit.xml", "summary.md", "badge.json"}
    assert len(list((out / "data").iterdir())) == 21
    assert len(ET.parse(out / "junit.xml").getroot()) == 3
    badge = json.loads((out / "badge.json").read_text())
    assert badge == {
        "schemaVersion": 1,
        "label": "scenarios",
        "message": "3 columns as expected",
        "color": "brightgreen",
    }
    # Merging what was merged, in any company, changes nothing.
    again = tmp_path / "again"
    assert command("merge", out, runs / "linux-2" / "run.json", "-o", again)[0] == 0
    assert (again / "merged.json").read_bytes() == (out / "merged.json").read_bytes()
    for path in (out / "data").iterdir():
        assert (again / "data" / path.name).read_bytes() == path.read_bytes()


def test_a_board_that_shrinks_leaves_no_old_data(command, runs, tmp_path):  # noqa: F811
    out = tmp_path / "board"
    assert command("merge", runs, "-o", out)[0] == 0
    for path in runs.glob("*/run.json"):
        data = json.loads(path.read_text())
        data["results"] = data["results"][:3]
        jsonfile.write(path, data)
    assert command("merge", runs, "-o", out)[0] == 0
    assert sorted(path.name for path in (out / "data").iterdir()) == [
        "index.js",
        "s0.js",
        "s1.js",
        "s2.js",
    ]
    assert command("merge", runs, "-o", out, "--single-file")[0] == 0
    assert list((out / "data").iterdir()) == []


def test_an_unexpected_result_and_a_regression_are_told_by_the_exit_code(
    command,  # noqa: F811
    runs,
    tmp_path,
):
    old = copy(runs, tmp_path / "old")
    change(runs / "linux-2" / "run.json", **FAILED)
    out = tmp_path / "board"
    code, said, _ = command("merge", runs, "--against", old, "-o", out, "--single-file")
    assert code == 1
    assert "59 of 60 as expected; 1 unexpected (1 FAIL)" in said
    assert "60 results compared: 1 regressed; unexpected results went 0 → 1" in " ".join(
        said.split()
    )
    assert sorted(path.name for path in out.iterdir()) == [
        "badge.json",
        "index.html",
        "junit.xml",
        "merged.json",
        "summary.md",
    ]
    summary = (out / "summary.md").read_text()
    order = [summary.index(f"### {title}") for title in ("Regressed", "Unexpected", "Columns")]
    assert order == sorted(order)
    assert "red" in (out / "badge.json").read_text()


def test_diff_tells_what_became_of_each(command, runs, tmp_path):  # noqa: F811
    old = copy(runs, tmp_path / "old")
    assert command("diff", old, runs)[0] == 0
    change(runs / "linux-2" / "run.json", **FAILED)
    code, said, _ = command("diff", old, runs)
    assert code == 1
    assert "regressed (1)" in said
    assert "✓ PASS → ✗ FAIL" in said
    code, said, _ = command("diff", runs, old, "--json")
    assert code == 0
    (found,) = json.loads(said)["changes"]
    assert (found["kind"], found["id"], found["old"], found["new"]) == ("fixed", ID, "FAIL", "PASS")
    code, _, error = command("diff", old / "linux-2", tmp_path / "nowhere")
    assert code == 2
    assert one_line(error)


def test_diff_of_strangers_says_that_nothing_was_compared(command, runs):  # noqa: F811
    other = runs / "linux-3" / "run.json"
    data = json.loads(other.read_text())
    data["results"] = []
    jsonfile.write(other, data)
    code, _, error = command("diff", runs / "linux-2", other)
    assert code == 3
    assert "no scenario ran in a column of both" in error


def test_expect_update_writes_the_file_and_then_has_nothing_to_do(
    command,  # noqa: F811
    runs,
    tmp_path,
):
    file = tmp_path / "expectations.toml"
    change(runs / "linux-2" / "run.json", **FAILED)
    options = ("expect", "update", runs, "--expectations", file)
    code, said, _ = command(*options, "--dry-run")
    assert code == 0
    assert not file.exists()
    code, said, _ = command(*options, "--reason", "it rounds", "--bug", "issue 7")
    assert code == 0
    assert file.read_text() == (
        f'[["{ID}"]]\nbackend = "poll"\nstatus = "FAIL"\nreason = "it rounds"\nbug = "issue 7"\n'
    )
    before = file.read_text()
    command(*options)
    assert file.read_text() == before
    change(runs / "linux-2" / "run.json", status="PASS", unexpected=True)
    code, said, _ = command(*options)
    assert code == 1
    assert f"stale: {file}:1: {ID} is expected FAIL, and was PASS wherever that applied" in said
    file.write_text("[[")
    code, _, error = command(*options)
    assert code == 2
    assert one_line(error)


def test_validate_names_the_file_and_the_place(command, runs, tmp_path):  # noqa: F811
    code, said, _ = command("validate", runs)
    assert code == 0
    assert said.count("follows reactorlab.run/1") == 3
    out = collection.load([runs]).save(tmp_path / "merged.json")
    assert command("validate", out)[0] == 0
    path = runs / "linux-2" / "run.json"
    change(path, law=0)
    code, said, error = command("validate", runs)
    assert code == 2
    assert said.count("follows") == 2
    assert error == f"reactorlab: {path}: results[0] ({ID}).law: must be at least 1, not 0\n"
    data = json.loads(out.read_text())
    del data["runs"][1]["run"]["seed"]
    jsonfile.write(out, data)
    code, _, error = command("validate", out)
    assert (code, error) == (2, f"reactorlab: {out}: runs[1]: run: missing seed\n")


BAD = {
    "cut short": b'{"schema": "reactorlab.run/1", "run": {"id": "a',
    "foreign": b'{"schema": "reactorlab.run/7", "run": {}, "results": []}',
    "no report": b'{"name": "package"}',
    "no JSON": b"\x00\x01\x02 \x1b[2J\x1b]0;own\x07",
    "deep": b"[" * 100_000,
    "of another kind": b'{"schema": "reactorlab.run/1", "run": [], "results": 3}',
}


@pytest.mark.parametrize("verb", ["merge", "diff", "expect", "validate", "trace"])
@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_one_line_for_every_verb(command, runs, tmp_path, verb, name):  # noqa: F811
    bad = tmp_path / "bad\x1b[31m.json"
    bad.write_bytes(BAD[name])
    code, said, error = command(
        *{
            "merge": ("merge", runs, bad, "-o", tmp_path / "out"),
            "diff": ("diff", runs, bad),
            "expect": ("expect", "update", bad, "--expectations", tmp_path / "e.toml"),
            "validate": ("validate", bad),
            "trace": ("trace", ID, "--run", bad),
        }[verb]
    )
    assert code == 2
    assert said == ""
    assert one_line(error)
    assert "bad\\x1b[31m.json: " in error
    assert error.strip().isprintable()
    assert not (tmp_path / "out").exists()


def test_an_output_that_cannot_be_written_is_one_line(command, runs, tmp_path):  # noqa: F811
    file = tmp_path / "file"
    file.touch()
    for args in (
        ("merge", runs, "-o", file),
        ("merge", runs, "-o", file / "deeper"),
        ("trace", ID, "--run", runs / "linux-2", "--perfetto", file / "deeper"),
    ):
        code, _, error = command(*args)
        assert code == 2
        assert one_line(error), error


def test_a_board_needs_runs(command, tmp_path):  # noqa: F811
    jsonfile.write(tmp_path / "explored.json", {"schema": "reactorlab.explored/1", "programs": []})
    code, _, error = command("merge", tmp_path, "-o", tmp_path / "out")
    assert code == 2
    assert "a board is made of runs" in error


def test_a_trace_of_an_earlier_run_opens_in_perfetto(command, runs, tmp_path):  # noqa: F811
    out = tmp_path / "trace.json"
    code, said, error = command("trace", ID, "--run", runs / "linux-2", "--perfetto", out)
    assert code == 0
    assert ID in said
    assert f"trace: {out}" in error
    events = json.loads(out.read_text())["traceEvents"]
    assert {event["ph"] for event in events} == {"M", "X", "i"}
    code, _, error = command("trace", "no.such", "--run", runs / "linux-2")
    assert code == 2
    assert one_line(error)


def test_what_a_run_says_does_not_act_on_the_terminal(command, runs):  # noqa: F811
    path = runs / "linux-2" / "run.json"
    event = {"t": 0.1, "thread": "\x1b[2J", "task": "a\u202eb", "event": "\x07", "detail": "\x9b1m"}
    change(path, timeline=[event], output="\x1b]0;own\x07", reason="\x1b[31m")
    for verb in (("trace", ID, "--run", path), ("diff", path, runs / "linux-3")):
        code, said, error = command(*verb)
        assert code in {0, 1}
        assert not set(said + error) & set("\x1b\x07\x9b\u202e")
