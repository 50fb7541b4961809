"""The published schema describes what the benchmarks write, and the laboratory reads it."""

from __future__ import annotations

import copy
import json

import jsonschema
import pytest

from harness import schema
from harness.cli import main
from harness.collection import Collection
from harness.model import RunFileError
from tests.bench import document

SCHEMA = json.loads(schema.path("bench-2").read_text(encoding="utf-8"))


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.Draft202012Validator(SCHEMA).validate(document.report())


@pytest.mark.parametrize(
    "change",
    [
        lambda report: report.pop("bars"),
        lambda report: report.update(load="rust"),
        lambda report: report["environment"].pop("python"),
        lambda report: report["suites"][0].pop("axis"),
        lambda report: report["suites"][0]["cases"][0].update(parameters={"size": None}),
        lambda report: report["suites"][0]["cases"][0]["subjects"][0].pop("ratios"),
        lambda report: report["suites"][0]["cases"][0]["subjects"][0].update(rates=["fast"]),
        lambda report: report["suites"][0]["cases"][0]["subjects"][0].update(kind="friend"),
        lambda report: report["bars"][0].update(holds="yes"),
        lambda report: report["leaks"].pop("count"),
    ],
)
def test_what_is_not_as_it_says_is_refused(change):
    """By the published library and by our own check alike."""
    report = copy.deepcopy(document.report())
    change(report)
    assert list(jsonschema.Draft202012Validator(SCHEMA).iter_errors(report))
    with pytest.raises(RunFileError, match=r"x\.json: "):
        Collection.from_json(report, "x.json")


def test_a_report_is_validated_and_merged(tmp_path, capsys):
    path = tmp_path / "bench.json"
    path.write_text(json.dumps(document.report()), encoding="utf-8")
    assert main(["validate", str(path)]) == 0
    assert "follows reactorlab.bench/2" in capsys.readouterr().out
    found = Collection.from_json(document.report(), "x")
    assert found.found("bench") == [document.report()]


def test_one_of_an_older_kind_is_told(tmp_path, capsys):
    path = tmp_path / "bench.json"
    path.write_text('{"schema": "reactorlab.bench/1", "load": "c"}', encoding="utf-8")
    assert main(["validate", str(path)]) == 2
    assert "this reads" in capsys.readouterr().err
