"""Our checker of schemas agrees with the library `jsonschema`, and says where what is wrong."""

from __future__ import annotations

import copy
import json

import jsonschema
import pytest
from hypothesis import example, given, settings, strategies as st

from harness import schema
from tests.harness.test_report_sample import run

NAMES = sorted(
    path.name.removesuffix(".schema.json") for path in schema.path().parent.glob("*.schema.json")
)
RUN = json.loads(schema.path().read_text(encoding="utf-8"))
COMPLETE = schema.checker(RUN)
REFERENCE = jsonschema.Draft202012Validator(RUN)
SAMPLE = json.loads(json.dumps(run().to_json()))

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats(-2, 2)
    | st.sampled_from(["", "PASS", "MUST", "2027-01-02T03:04:05", "reactorlab.run/1", "x"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner),
    max_leaves=4,
)


def places(node, path=()):
    """Every place in a document that can be changed."""
    items = node.items() if isinstance(node, dict) else enumerate(node)
    for key, item in items:
        yield (*path, key)
        if isinstance(item, dict | list):
            yield from places(item, (*path, key))


PLACES = sorted(places(SAMPLE), key=str)


def accepts(check, data):
    try:
        check(data)
    except schema.Mismatch:
        return False
    return True


def test_every_published_schema_has_only_keywords_that_are_checked():
    assert NAMES
    for name in NAMES:
        schema.published(name, complete=True)


@settings(max_examples=400, derandomize=True, deadline=None)
@given(st.sampled_from(PLACES), st.one_of(JSON, st.just("delete")))
@example(("run", "threads"), True)  # a boolean is no number
@example(("run", "threads"), 2.0)  # and 2.0 is a whole one
@example(("results", 0, "law"), 1.5)
def test_a_changed_document_is_judged_as_the_library_judges_it(place, value):
    data = copy.deepcopy(SAMPLE)
    node = data
    for step in place[:-1]:
        node = node[step]
    if value == "delete":
        del node[place[-1]]
    else:
        node[place[-1]] = value
    assert accepts(COMPLETE, data) == REFERENCE.is_valid(data)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(JSON)
def test_any_document_is_judged_as_the_library_judges_it(data):
    assert accepts(COMPLETE, data) == REFERENCE.is_valid(data)


def test_the_shape_alone_asks_for_kinds_and_for_nothing_that_is_missing():
    shape = schema.checker(RUN, complete=False)
    assert accepts(shape, {"schema": "reactorlab.run/1"})
    data = copy.deepcopy(SAMPLE)
    data["run"]["started"] = "yesterday"
    assert accepts(shape, data)
    assert not accepts(COMPLETE, data)
    data["run"]["seed"] = "7"
    assert not accepts(shape, data)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("run", "seed"), "7", "run.seed: must be a whole number, not '7'"),
        (("run", "threads"), 0, "run.threads: must be at least 1, not 0"),
        (("run", "timeout_s"), 0, "run.timeout_s: must be more than 0, not 0"),
        (("run", "spec"), "", "run.spec: must have at least 1 character(s)"),
        (("run", "python", "gil"), [], "run.python.gil: must be true or false, not a list"),
        (("results", 0, "expected"), [], ".expected: must have at least 1 item(s)"),
        (("results", 0, "dump"), 1, "dump: must be text or null, not 1"),
        (("results", 0, "trace", 0, "seq"), None, "trace[0].seq: must be a whole number, not null"),
        (("results", 0, "status"), "x\x1b" * 999, "status: 'x\\x1bx"),
    ],
    ids=lambda value: ".".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_a_mismatch_names_the_place_in_one_short_line(path, value, said):
    data = copy.deepcopy(SAMPLE)
    node = data
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = value
    with pytest.raises(schema.Mismatch) as caught:
        COMPLETE(data)
    text = str(caught.value)
    assert said in text
    if path[0] == "results":
        assert text.startswith(f"results[0] ({SAMPLE['results'][0]['id']}).")
    assert len(text) < 400
    assert text.isprintable()


@pytest.mark.parametrize(
    "odd",
    [
        {"oneOf": []},
        {"type": "decimal"},
        {"$ref": "#/$defs/nowhere"},
        {"properties": {"a": {"maxLength": 3}}},
    ],
)
def test_a_schema_that_would_go_unchecked_is_an_error(odd):
    with pytest.raises(ValueError, match="a schema's"):
        schema.checker(odd)


def test_true_is_not_one():
    for one in ({"enum": [1, 0]}, {"const": 1}):
        check = schema.checker(one)
        check(1)
        check(1.0)
        assert not accepts(check, True)


def test_a_schema_may_refer_to_itself_and_close_an_object():
    check = schema.checker(
        {
            "$defs": {
                "tree": {
                    "type": "object",
                    "properties": {"inner": {"$ref": "#/$defs/tree"}},
                    "additionalProperties": False,
                }
            },
            "$ref": "#/$defs/tree",
        }
    )
    check({"inner": {"inner": {}}})
    with pytest.raises(schema.Mismatch, match=r"^inner.inner: 'odd' is not a property of it"):
        check({"inner": {"inner": {"odd": 1}}})
