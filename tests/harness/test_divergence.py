"""Comparing runs: the first event at which their traces part, and whether a permit declares it."""

from __future__ import annotations

import pytest

from harness.divergence import compare, find_runs
from harness.errors import HarnessError
from harness.model import Result, Run, RunInfo, Status


def result(
    events, *, scenario="cancel.one", status=Status.PASS, variant=None, permits=("loud", "quiet")
):
    return Result(
        id=scenario,
        family="cancel",
        law=4,
        strictness="MUST",
        title="one",
        provenance="the tests",
        status=status,
        variant=variant,
        permits={name: f"kernels may be {name}" for name in permits},
        trace=[
            {"seq": index, "who": "op", "event": event, "detail": ""}
            for index, event in enumerate(events.split())
        ],
    )


def run_of(*results):
    info = RunInfo(id="x", started="", spec="poll", backend="poll", variant="", seed=1)
    return Run(info, list(results))


def compared(**results):
    return compare({name: run_of(item) for name, item in results.items()})


def test_equal_traces_do_not_diverge():
    found = compared(a=result("start end"), b=result("start end"))
    assert found.compared == ("cancel.one",)
    assert found.divergences == ()


def test_the_first_event_that_differs_is_shown_with_the_one_before():
    found = compared(a=result("start x end"), b=result("start y end"), c=result("start x end"))
    (item,) = found.undeclared
    assert item.index == 1
    assert item.before == ("op", "start", "")
    assert [(side.runs, side.event) for side in item.sides] == [
        (("a", "c"), ("op", "x", "")),
        (("b",), ("op", "y", "")),
    ]


def test_a_trace_that_ends_early_diverges_there():
    (item,) = compared(a=result("start end"), b=result("start")).undeclared
    assert item.index == 1
    assert [side.event for side in item.sides] == [("op", "end", ""), None]


def test_a_first_event_that_differs_has_none_before():
    (item,) = compared(a=result("x"), b=result("y")).undeclared
    assert item.before is None


def test_equal_traces_with_another_status_diverge():
    """An oracle that fails leaves no event, and is a divergence all the same."""
    (item,) = compared(a=result("start"), b=result("start", status=Status.FAIL)).undeclared
    assert item.index == 1
    assert {side.statuses for side in item.sides} == {(Status.PASS,), (Status.FAIL,)}


def test_declared_variants_may_differ():
    found = compared(a=result("x", variant="loud"), b=result("y", variant="quiet"))
    (item,) = found.divergences
    assert item.permitted
    assert found.undeclared == ()
    assert item.reason == "loud: kernels may be loud; quiet: kernels may be quiet"


def test_a_declared_variant_may_differ_from_none():
    assert not compared(a=result("x", variant="loud"), b=result("y")).undeclared


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ({"variant": "loud"}, {"variant": "loud"}),
        ({"variant": "loud"}, {"variant": "unheard-of"}),
        ({"variant": "loud"}, {"variant": "quiet", "status": Status.FAIL}),
        ({}, {}),
    ],
)
def test_a_permit_does_not_cover_the_rest(left, right):
    """Not the same variant twice, not an undeclared one, not a failure."""
    assert compared(a=result("x", **left), b=result("y", **right)).undeclared


def test_runs_that_part_again_later_are_told_apart():
    """Behind a permitted divergence, two runs of one variant still have to agree."""
    found = compared(
        a=result("start x", variant="loud"),
        b=result("start y end", variant="quiet"),
        c=result("start y other", variant="quiet"),
    )
    first, second = found.divergences
    assert first.index == 1
    assert second.index == 2
    assert {side.runs for side in second.sides} == {("b",), ("c",)}
    assert not second.permitted
    assert first.permitted


@pytest.mark.parametrize("status", [Status.UNSUPPORTED, Status.SKIP, Status.NOTRUN])
def test_what_did_not_run_is_not_compared(status):
    found = compared(a=result("start"), b=result("", status=status))
    assert found.compared == ()
    assert found.divergences == ()


def test_what_a_run_does_not_have_is_told():
    found = compare({"a": run_of(result("x"), result("x", scenario="cancel.two")), "b": run_of()})
    assert found.missing == {"cancel.one": ("b",), "cancel.two": ("b",)}


def test_runs_are_found_in_folders_of_folders(tmp_path):
    for name in ("linux-poll", "linux-epoll"):
        run_of(result("x")).save(tmp_path / name / "run.json")
    assert list(find_runs([tmp_path])) == ["linux-epoll", "linux-poll"]
    assert list(find_runs([tmp_path / "linux-poll"])) == ["linux-poll"]
    assert list(find_runs([tmp_path / "linux-poll/run.json"])) == ["linux-poll"]


def test_two_runs_of_one_name_are_both_kept(tmp_path):
    for name in ("one/linux-poll", "two/linux-poll"):
        run_of(result("x")).save(tmp_path / name / "run.json")
    assert len(find_runs([tmp_path / "one", tmp_path / "two"])) == 2


@pytest.mark.parametrize("make", [lambda _: None, lambda place: place.mkdir()])
def test_a_place_without_a_run_is_one_clear_error(tmp_path, make):
    place = tmp_path / "reports"
    make(place)
    with pytest.raises(HarnessError, match="reports: no"):
        find_runs([place])


def test_a_broken_run_names_its_file(tmp_path):
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(HarnessError, match=r"run\.json: not JSON"):
        find_runs([tmp_path])
