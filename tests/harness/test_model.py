"""Runs and results: their files, and what a run amounts to."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from harness import model
from harness.errors import HarnessError
from harness.model import Attempt, Result, Run, RunFileError, RunInfo, Status


def result(name="toy.one", status=Status.PASS, **more):
    return Result(
        id=name,
        family="toy",
        law=1,
        strictness="MUST",
        title="one",
        provenance="a bug",
        status=status,
        **more,
    )


def info(**more):
    return RunInfo(
        id="20260101T000000Z-poll-abcdef",
        started="2026-01-01T00:00:00.000+00:00",
        spec="poll+pipe",
        backend="poll",
        variant="pipe+timeout",
        seed=7,
        **more,
    )


def full():
    """A run with something in every field."""
    return Run(
        info(
            finished="2026-01-01T00:00:01.000+00:00",
            duration_s=1.5,
            platform={"os": "linux"},
            python={"version": "3.11.1", "gil": True},
            threads=2,
            system="posix",
            git={"sha": "abc", "dirty": True},
            argv=["reactorlab", "run"],
            capabilities=[{"name": "unix", "available": True, "evidence": "bound a path"}],
            counters={"waits": 4},
            stale_expectations=["expectations.toml:3: there is no scenario 'x'"],
        ),
        [
            result(),
            result(
                "toy.two",
                Status.FLAKY,
                expected=[Status.FAIL, Status.TIMEOUT],
                unexpected=True,
                reason="1 PASS, 1 FAIL",
                expected_reason="a kernel bug",
                variant="early",
                permits={"early": "some kernels are"},
                duration_s=0.25,
                attempts=[Attempt(Status.PASS, 0.125, "", 7), Attempt(Status.FAIL, 0.125, "no", 8)],
                counters={"waits": 4},
                info={"median": 1.5, "text": "é\n"},
                replay="reactorlab run",
                trace=[{"seq": 0, "who": "lab", "event": "note", "detail": ""}],
                timeline=[{"t": 0.1, "thread": "MainThread"}],
                dump="a dump",
                stacks="stacks",
                output="\ufffd",
                oracles=[{"name": "no-leaked-fd", "ok": True, "detail": ""}],
            ),
        ],
    )


def test_a_run_is_read_back_as_it_was_written(tmp_path):
    made = full()
    made.save(tmp_path / "deep" / "er" / "run.json")
    for path in (tmp_path / "deep" / "er" / "run.json", str(tmp_path / "deep" / "er")):
        again = Run.load(path)
        assert again == made
        assert type(again.results[1].status) is Status
        assert [type(status) for status in again.results[1].expected] == [Status, Status]
        assert type(again.results[1].attempts[0]) is Attempt


def test_the_file_is_plain_json_with_status_words():
    data = json.loads(json.dumps(full().to_json()))
    assert data["schema"] == "reactorlab.run/1"
    assert data["results"][1]["status"] == "FLAKY"
    assert data["results"][1]["expected"] == ["FAIL", "TIMEOUT"]
    assert data["results"][1]["attempts"][1] == {
        "status": "FAIL",
        "duration_s": 0.125,
        "reason": "no",
        "seed": 8,
    }
    assert Run.from_json(data) == full()


def test_saving_replaces_the_whole_file_or_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "run.json"
    Run(info()).save(path)
    before = path.read_bytes()
    whole = Path.write_bytes

    def full_disk(self, data):
        whole(self, data[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full_disk)
        with pytest.raises(OSError, match="No space left"):
            full().save(path)
    assert path.read_bytes() == before
    full().save(path)
    assert [file.name for file in tmp_path.iterdir()] == ["run.json"]


def test_keys_of_later_versions_are_passed_over():
    data = full().to_json()
    data["run"]["phase_of_the_moon"] = "full"
    data["results"][0]["mood"] = "good"
    data["results"][1]["attempts"][0]["mood"] = "better"
    assert Run.from_json(data) == full()


def test_what_has_a_default_may_be_left_out():
    data = Run(info(), [result()]).to_json()
    for key in ("finished", "stale_expectations"):
        del data["run"][key]
    for key in ("trace", "dump", "unexpected"):
        del data["results"][0][key]
    assert Run.from_json(data) == Run(info(), [result()])


def damage(change):
    data = json.loads(json.dumps(full().to_json()))
    change(data)
    return data


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("schema"), "x.json: not a run report: it has no `schema`"),
        (lambda d: d.update(schema="other/2"), "x.json: schema is 'other/2'; this reads 'react"),
        (lambda d: d.pop("run"), "x.json: `run` is missing"),
        (lambda d: d.update(run=[]), "x.json: `run` is missing"),
        (lambda d: d["run"].pop("spec"), "x.json: run: missing spec"),
        (lambda d: [d["run"].pop(key) for key in ("id", "seed")], "x.json: run: missing id, seed"),
        (lambda d: d.pop("results"), "x.json: `results` must be a list"),
        (lambda d: d.update(results={}), "x.json: `results` must be a list"),
        (lambda d: d["results"].append("text"), "x.json: results[2]: must be an object"),
        (lambda d: d["results"][1].pop("law"), "x.json: results[1] (toy.two): missing law"),
        (lambda d: d["results"][1].pop("id"), "x.json: results[1]: missing id"),
        (
            lambda d: d["results"][1].update(status="GOOD"),
            "(toy.two): status 'GOOD' is none of PASS, FAIL, TIMEOUT, CRASH, ERROR, UNSUPPORTED, SKIP",
        ),
        (lambda d: d["results"][1].pop("status"), "(toy.two): status None is none of PASS"),
        (lambda d: d["results"][1].update(status=["PASS"]), "status ['PASS'] is none of PASS"),
        (lambda d: d["results"][1].update(expected="PASS"), "`expected` must be a list"),
        (lambda d: d["results"][1].update(expected=["GOOD"]), "(toy.two): expected 'GOOD' is none"),
        (lambda d: d["results"][1].update(attempts=None), "`attempts` must be a list"),
        (
            lambda d: d["results"][1]["attempts"].append(3),
            "x.json: results[1] (toy.two).attempts[2]: must be an object",
        ),
        (
            lambda d: d["results"][1]["attempts"][1].pop("duration_s"),
            "x.json: results[1] (toy.two).attempts[1]: missing duration_s",
        ),
    ],
)
def test_a_damaged_report_is_one_line_that_names_the_place(change, message):
    with pytest.raises(RunFileError) as caught:
        Run.from_json(damage(change), "x.json")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, HarnessError)


@pytest.mark.parametrize("data", [None, [], "text", 3])
def test_what_is_not_an_object_is_no_report(data):
    with pytest.raises(RunFileError, match=r"^run\.json: not a run report"):
        Run.from_json(data)


def test_records_check_that_they_are_given_an_object():
    with pytest.raises(RunFileError, match=r"^result: must be an object"):
        Result.from_dict([])  # type: ignore[arg-type]


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    cases = {
        "missing": (None, "No such file or directory"),
        "cut": (b'{"schema": ', "not JSON: "),
        "latin": (b'{"schema": "\xe9"}', "not JSON: "),
        "other": (b"[]", "not a run report"),
    }
    for name, (content, message) in cases.items():
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(RunFileError) as caught:
            Run.load(path)
        assert str(caught.value).startswith(f"{path}: {message}")
    with pytest.raises(RunFileError, match=r"run\.json: No such file"):
        Run.load(tmp_path)


def test_counts_leave_out_what_there_is_none_of_and_have_the_order_of_the_words():
    statuses = [Status.FLAKY, Status.FAIL, Status.PASS, Status.FAIL]
    made = Run(info(), [result(str(n), status) for n, status in enumerate(statuses)])
    assert list(made.counts.items()) == [
        (Status.PASS, 1),
        (Status.FAIL, 2),
        (Status.FLAKY, 1),
    ]


def test_the_exit_code_says_what_a_run_amounts_to():
    fine, failed = result(), result(status=Status.FAIL, unexpected=True)
    expected = result(status=Status.FAIL)
    broken = result(status=Status.ERROR, unexpected=True)
    assert Run(info(), []).exit_code == model.NOTHING_MATCHED == 3
    assert Run(info(), [fine, expected]).exit_code == model.AS_EXPECTED == 0
    assert Run(info(), [fine, failed]).exit_code == model.UNEXPECTED == 1
    assert Run(info(), [failed, broken]).exit_code == model.BROKEN == 2
    for status, code in (("complete", 0), ("lost", 1)):
        place = {"name": "box", "spec": "ssh=box", "status": status, "reason": "it went away"}
        assert Run(info(place=place), [fine]).exit_code == code
    assert Run(info(), [fine, failed, broken]).unexpected == [failed, broken]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["run"].update(seed="7"), "x.json: run.seed: must be a whole number, not '7'"),
        (lambda d: d["run"].update(platform=3), "x.json: run.platform: must be an object, not 3"),
        (lambda d: d["run"].update(argv=[1]), "x.json: run.argv[0]: must be text, not 1"),
        (
            lambda d: d["results"][1]["trace"][0].update(detail=[]),
            "x.json: results[1] (toy.two).trace[0].detail: must be text, not a list",
        ),
        (
            lambda d: d["results"][1]["attempts"][1].update(duration_s=True),
            "x.json: results[1] (toy.two).attempts[1].duration_s: must be a number, not true",
        ),
    ],
)
def test_a_value_of_another_kind_is_one_line_that_names_the_place(change, message):
    with pytest.raises(RunFileError) as caught:
        Run.from_json(damage(change), "x.json")
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"schema": "reactorlab.run/1", "run": {"seed": NaN}}', "not JSON: NaN is not a number"),
        (b"[" * 200_000, "it is nested too deeply"),
        (b'{"seed": ' + b"9" * 5000 + b"}", "not JSON: Exceeds the limit"),
        (b"\xff\xfe{", "not JSON: 'utf-8' codec"),
        (b"", "not JSON: Expecting value: line 1 column 1"),
    ],
)
def test_a_hostile_file_is_one_line_that_names_it(tmp_path, content, message):
    path = tmp_path / "run.json"
    path.write_bytes(content)
    with pytest.raises(RunFileError) as caught:
        Run.load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
