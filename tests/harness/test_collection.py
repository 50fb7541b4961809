"""Merging runs: a set by id, so that neither order nor repetition matters."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from harness import collection, jsonfile
from harness.collection import Collection
from harness.column import Column
from harness.errors import HarnessError
from harness.model import Run, RunFileError, RunInfo, Status
from harness.report import words
from tests.harness.test_model import full, result

EXPLORED = {"schema": "reactorlab.explored/1", "programs": []}


def run(name, backend="poll", started="2027-01-01T00:00:00", results=(), **more):
    return Run(
        RunInfo(
            id=name,
            started=started,
            spec=backend,
            backend=backend,
            variant="pipe+timeout",
            seed=1,
            platform={"os": "linux", "release": "6.18.1", "machine": "x86_64", "libc": "glibc 2"},
            python={"version": "3.11.7", "implementation": "CPython", "gil": True},
            **more,
        ),
        list(results),
    )


def merged(runs, others=()):
    made = Collection()
    for one in runs:
        made.add(one)
    for one in others:
        made.add_other(one)
    return made


RUNS = st.lists(
    st.builds(
        run,
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from(["epoll", "poll"]),
        st.sampled_from(["2027-01-01T00:00:00", "2027-01-02T00:00:00"]),
        st.lists(
            st.builds(result, st.sampled_from(["x.one", "x.two"]), st.sampled_from(Status)),
            max_size=2,
            unique_by=lambda one: one.id,
        ),
        finished=st.sampled_from(["", "2027-01-03T00:00:00"]),
    ),
    max_size=6,
)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(RUNS, st.randoms(use_true_random=False), st.integers(0, 6))
def test_merging_depends_on_the_set_of_runs_alone(runs, random, cut):
    whole = merged(runs, [EXPLORED])
    shuffled = [*runs, *runs]
    random.shuffle(shuffled)
    assert merged(shuffled, [EXPLORED, dict(EXPLORED)]).to_json() == whole.to_json()
    parts = merged(runs[cut:])
    parts.update(merged(runs[:cut], [EXPLORED]))
    assert parts.to_json() == whole.to_json()
    again = Collection.from_json(json.loads(json.dumps(whole.to_json())), "merged.json")
    again.update(whole)
    assert again.to_json() == whole.to_json()
    for one in runs:  # nothing is lost but an earlier state of the same run
        assert one.info.finished <= whole.runs[one.info.id].info.finished


def test_a_merge_of_files_is_the_same_bytes_in_any_order(tmp_path):
    for name in ("a", "b"):
        run(name, name).save(tmp_path / name / "run.json")
    jsonfile.write(tmp_path / "b" / "explored.json", EXPLORED)
    one = collection.load([tmp_path / "a", tmp_path / "b"]).save(tmp_path / "one" / "merged.json")
    two = collection.load([tmp_path / "b", tmp_path]).save(tmp_path / "two" / "merged.json")
    three = collection.load([one.parent, two, tmp_path / "a" / "run.json"]).save(
        tmp_path / "3.json"
    )
    assert one.read_bytes() == two.read_bytes() == three.read_bytes()
    assert sorted(collection.load([one]).runs) == ["a", "b"]
    assert collection.load([one]).found("explored") == [EXPLORED]


def test_a_full_run_survives_a_merge(tmp_path):
    path = merged([full()]).save(tmp_path / "merged.json")
    assert collection.load([path]).runs == {full().info.id: full()}


def test_a_later_run_of_some_scenarios_does_not_hide_the_others():
    early = run("a", results=[result("x.one", Status.FAIL), result("x.two"), result("x.three")])
    late = run(
        "b",
        started="2027-01-02T00:00:00",
        results=[result("x.one"), result("x.three", Status.NOTRUN), result("x.new")],
    )
    ((_, now),) = merged([late, early]).current().items()
    assert [(one.id, one.status) for one in now.results] == [
        ("x.one", Status.PASS),
        ("x.two", Status.PASS),
        ("x.three", Status.PASS),
        ("x.new", Status.PASS),
    ]
    assert now.info.id == "b"
    (history,) = merged([late, early]).history().values()
    assert [(one.info.id, item.status) for one, item in history["x.one"]] == [
        ("a", Status.FAIL),
        ("b", Status.PASS),
    ]


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"release": "6.20.0"}, True),
        ({"release": "7.0.0"}, False),
        ({"machine": "aarch64"}, False),
        ({"libc": "musl 1.2"}, False),
        ({"libc": "glibc 3"}, True),
        ({"os": "freebsd"}, False),
    ],
)
def test_a_column_is_what_decides_results(change, same):
    one, other = run("a"), run("a")
    other.info.platform |= change
    assert (Column.of(one.info) == Column.of(other.info)) is same


@pytest.mark.parametrize(
    ("field", "value", "same"),
    [
        ("python", {"version": "3.11.9", "implementation": "CPython", "gil": True}, True),
        ("python", {"version": "3.12.0", "implementation": "CPython", "gil": True}, False),
        ("python", {"version": "3.11.7", "implementation": "CPython", "gil": False}, False),
        ("python", {"version": "3.11.7", "implementation": "PyPy", "gil": True}, False),
        ("threads", 2, False),
        ("system", "posix", False),
        ("subject", "asyncio", False),
        ("variant", "eventfd+timeout", False),
        ("seed", 9, True),
    ],
)
def test_so_is_what_ran(field, value, same):
    one, other = run("a"), run("a")
    setattr(other.info, field, value)
    first, second = Column.of(one.info), Column.of(other.info)
    assert (first == second) is same
    assert (first.name == second.name) is same


def test_a_simulated_kernel_is_a_column_on_every_machine():
    one, other = run("a", ground="sim"), run("b", ground="sim")
    other.info.platform = {"os": "darwin", "release": "25.0", "machine": "arm64", "libc": ""}
    assert Column.of(one.info) == Column.of(other.info)
    assert Column.of(one.info).platform == "sim"


class Placed(RunInfo):
    """A run of a later version, which says where it was sent."""

    place: dict[str, str]


def test_two_machines_that_are_alike_are_two_columns_and_a_lost_one_says_so():
    made = []
    for name, status in (("here", "complete"), ("there", "lost")):
        one = run(f"run-{name}", results=[result()])
        one.info = Placed(**{key: getattr(one.info, key) for key in RunInfo.__slots__})
        one.info.place = {"name": name, "status": status, "reason": "it went away"}
        made.append(one)
    here, there = merged(made).current()
    assert (here.platform, there.platform) == (
        "linux 6 x86_64, here",
        "linux 6 x86_64, there",
    )
    assert words.verdict(made[0]) == "1 of 1 as expected; 0 unexpected"
    said = words.verdict(*made)
    assert said == "there was lost: it went away; 2 of 2 as expected; 0 unexpected"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "x.json: not a run report: it has no `schema`"),
        ({"schema": "reactorlab.run/9"}, "x.json: schema is 'reactorlab.run/9'; this reads react"),
        ({"schema": 7}, "x.json: schema is no text; this reads"),
        ({"schema": "\x1b[2J" * 99}, "x.json: schema is '\\x1b[2J"),
        ({"schema": "reactorlab.merged/1", "runs": []}, "x.json: `others` must be a list"),
        (
            {"schema": "reactorlab.merged/1", "runs": [{"schema": "reactorlab.merged/1"}]},
            "x.json: runs[0]: a merge inside a merge",
        ),
        (
            {"schema": "reactorlab.merged/1", "runs": [{"schema": "reactorlab.run/1"}]},
            "x.json: runs[0]: `run` is missing",
        ),
        (
            {"schema": "reactorlab.explored/1", "programs": [{"name": "p"}]},
            "x.json: programs[0] (p): missing threads, schedules",
        ),
    ],
)
def test_what_cannot_be_merged_is_one_line_that_names_the_place(data, message):
    with pytest.raises(RunFileError) as caught:
        Collection.from_json(data, "x.json")
    assert str(caught.value).startswith(message)
    assert str(caught.value).isprintable()


def test_a_place_without_anything_is_named(tmp_path):
    with pytest.raises(
        HarnessError, match=r"no run\.json or merged\.json or .* in it or one folder"
    ):
        collection.load([tmp_path])
    with pytest.raises(HarnessError, match="nowhere: no such place"):
        collection.load([tmp_path / "nowhere"])


def test_a_file_of_an_older_version_of_this_schema_is_read():
    """What was added since has a default; what it says still counts."""
    old = copy.deepcopy(merged([full()]).to_json())
    for name in (
        "threads",
        "ground",
        "system",
        "repeat",
        "timeout_s",
        "jobs",
        "stale_expectations",
    ):
        del old["runs"][0]["run"][name]
    for name in ("law_text", "permits", "info", "timeline", "oracles"):
        del old["runs"][0]["results"][0][name]
    (read,) = Collection.from_json(old, "old.json").runs.values()
    assert [one.status for one in read.results] == [Status.PASS, Status.FLAKY]


def test_a_file_that_an_early_commit_wrote_is_read(tmp_path):
    """`data/run-1.json` stays as it is, whatever the schema gains."""
    found = collection.load([Path(__file__).parent / "data" / "run-1.json"])
    ((column, now),) = found.current().items()
    assert column.name == "poll+eventfd+timeout @ linux 6 x86_64 @ CPython 3.11"
    (item,) = now.results
    assert (item.id, item.status) == ("accept.aborted-connection", Status.PASS)
    assert item.trace
    again = collection.load([found.save(tmp_path / "merged.json")])
    assert again.to_json() == found.to_json()


def test_what_runs_amount_to_is_the_gravest():
    fine, bad = run("a", results=[result()]), run("b", results=[result(unexpected=True)])
    broken = run("c", results=[result(status=Status.ERROR, unexpected=True)])
    assert collection.exit_code([fine, run("d")]) == 0
    assert collection.exit_code([fine, bad]) == 1
    assert collection.exit_code([bad, broken, fine]) == 2
    assert collection.exit_code([run("d")]) == collection.exit_code([]) == 3
