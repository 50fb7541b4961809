"""The published schema describes exactly what a run gives."""

from __future__ import annotations

import copy
import dataclasses
import json

import jsonschema
import pytest

from harness import engine
from harness.model import Attempt, Result, Run, RunInfo, Status
from harness.report import schema_path
from tests.harness.test_report_sample import run

SCHEMA = json.loads(schema_path().read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


@pytest.fixture(scope="module")
def real():
    """A few scenarios on real sockets."""
    return engine.run(engine.RunOptions("select", keyword="accept.a", jobs=2))


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_a_real_run_follows_the_schema(real):
    assert len(real.results) >= 3
    VALIDATOR.validate(json.loads(json.dumps(real.to_json())))


def test_a_simulated_run_follows_the_schema():
    options = engine.RunOptions(
        "kqueue", keyword="accept.a", jobs=2, ground="sim", dialect="freebsd"
    )
    made = engine.run(options)
    assert all(result.digest for result in made.results)
    VALIDATOR.validate(json.loads(json.dumps(made.to_json())))


def test_a_run_with_everything_follows_the_schema():
    VALIDATOR.validate(json.loads(json.dumps(run().to_json())))


#: What files that were written before it came do not have.
ADDED = {"dialect", "digest"}


@pytest.mark.parametrize(
    ("name", "record"), [("run", RunInfo), ("result", Result), ("attempt", Attempt)]
)
def test_the_schema_knows_every_field_and_no_other(name, record):
    part = SCHEMA["$defs"][name]
    fields = {item.name for item in dataclasses.fields(record)}
    assert set(part["properties"]) == fields
    assert set(part["required"]) == fields - ADDED
    assert part["additionalProperties"] is True  # later versions may add


def test_the_schema_knows_every_status():
    assert SCHEMA["$defs"]["status"]["enum"] == list(Status)


def parts(node, path="schema"):
    """Every property of the schema, with its place."""
    for name, item in node.get("properties", {}).items():
        yield f"{path}.{name}", item
        yield from parts(item, f"{path}.{name}")
    for name, item in node.get("$defs", {}).items():
        yield from parts(item, name)


def test_every_property_is_described():
    for place, item in parts(SCHEMA):
        target = SCHEMA["$defs"][item["$ref"].rpartition("/")[2]] if "$ref" in item else {}
        assert item.get("description") or target.get("description"), place


def test_what_later_versions_add_is_allowed():
    data = run().to_json()
    first = data["results"][0]
    for part in (data, data["run"], first, first["attempts"][0]):
        part["added_later"] = {"any": "thing"}
    VALIDATOR.validate(data)
    assert Run.from_json(data).to_json() == run().to_json()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["schema"], "reactorlab.run/2"),
        (["run"], None),
        (["results"], {}),
        (["run", "started"], "yesterday"),
        (["run", "duration_s"], -1),
        (["run", "seed"], "7"),
        (["run", "threads"], 0),
        (["run", "argv"], "reactorlab run"),
        (["run", "platform", "os"], 1),
        (["run", "python", "gil"], "yes"),
        (["run", "git", "dirty"], None),
        (["run", "counters"], {"waits": 1.5}),
        (["run", "capabilities", 0, "available"], "yes"),
        (["results", 0, "status"], "PASSED"),
        (["results", 0, "status"], "pass"),
        (["results", 0, "expected"], []),
        (["results", 0, "expected"], ["GOOD"]),
        (["results", 0, "unexpected"], None),
        (["results", 0, "law"], "4"),
        (["results", 0, "strictness"], "MAY"),
        (["results", 0, "variant"], 1),
        (["results", 0, "permits"], []),
        (["results", 0, "attempts", 0, "status"], "ODD"),
        (["results", 0, "attempts", 0, "seed"], -1),
        (["results", 0, "trace", 0, "seq"], "0"),
        (["results", 0, "timeline", 0, "t"], None),
        (["results", 0, "oracles", 0, "ok"], "true"),
        (["results", 0, "dump"], []),
    ],
    ids=lambda value: ".".join(map(str, value)) if isinstance(value, list) and value else None,
)
def test_a_broken_run_is_refused(path, value):
    data = copy.deepcopy(run().to_json())
    place = data
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError) as caught:
        VALIDATOR.validate(data)
    assert list(caught.value.absolute_path)[: len(path)] == path


@pytest.mark.parametrize("name", ["run", "result", "attempt", "capability", "traceEvent", "oracle"])
def test_a_record_that_lacks_a_field_is_refused(name):
    part = SCHEMA["$defs"][name]
    made = run().to_json()
    first = made["results"][0]
    record = {
        "run": made["run"],
        "result": first,
        "attempt": first["attempts"][0],
        "capability": made["run"]["capabilities"][0],
        "traceEvent": first["trace"][0],
        "oracle": first["oracles"][0],
    }[name]
    check = jsonschema.Draft202012Validator({"$defs": SCHEMA["$defs"], "$ref": f"#/$defs/{name}"})
    check.validate(record)
    for field in part["required"]:
        assert not check.is_valid({key: record[key] for key in record if key != field}), field
