"""`reactorlab diff`: what is planted between two collections is found, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from harness import compare
from harness.compare import Kind
from harness.model import Attempt, Status
from tests.harness.test_collection import merged, run
from tests.harness.test_model import result

P, F, T = Status.PASS, Status.FAIL, Status.TIMEOUT


def item(name, status=P, *, unexpected=None, seconds=(0.1,), trace="same", **more):
    bad = status not in (P, Status.UNSUPPORTED, Status.SKIP, Status.NOTRUN)
    return result(
        name,
        status,
        unexpected=bad if unexpected is None else unexpected,
        duration_s=sum(seconds),
        attempts=[Attempt(status, one) for one in seconds],
        trace=[{"seq": 0, "who": "recv", "event": trace, "detail": ""}],
        **more,
    )


def diff(old, new):
    return compare.compare(merged([run("a", results=old)]), merged([run("b", results=new)]))


def kinds(found):
    return {change.id: str(change.kind) for change in found.changes}


@pytest.mark.parametrize(
    ("old", "new", "kind", "code"),
    [
        ((P,), (P,), None, 0),
        ((P,), (F,), "regressed", 1),
        ((P,), (Status.CRASH,), "regressed", 1),
        ((Status.FLAKY,), (F,), "regressed", 1),
        ((F,), (P,), "fixed", 0),
        ((T,), (P,), "fixed", 0),
        ((Status.FLAKY,), (P,), "fixed", 0),
        ((P,), (Status.FLAKY,), "flaky", 0),
        ((F,), (Status.FLAKY,), "flaky", 0),
        ((Status.FLAKY,), (Status.FLAKY,), None, 0),
        ((F,), (F,), None, 0),
        ((F,), (T,), "trace changed", 0),
        ((P,), None, "removed", 0),
        ((P,), (Status.UNSUPPORTED,), "removed", 0),
        ((P,), (Status.NOTRUN,), "removed", 0),
        ((P,), (Status.SKIP,), "removed", 0),
        (None, (P,), "new", 0),
        (None, (Status.UNSUPPORTED,), "new", 0),
        ((Status.UNSUPPORTED,), (P,), "new", 0),
        ((Status.UNSUPPORTED,), (F,), "regressed", 1),
        ((Status.UNSUPPORTED,), (Status.UNSUPPORTED,), None, 0),
        ((Status.UNSUPPORTED,), None, "removed", 0),
    ],
)
def test_what_became_of_one(old, new, kind, code):
    found = diff(
        [item("x.other"), *([item("x.one", *old)] if old else [])],
        [item("x.other"), *([item("x.one", *new)] if new else [])],
    )
    assert kinds(found) == ({"x.one": kind} if kind else {})
    assert found.exit_code == code


def test_a_regression_that_is_expected_or_only_informs_is_told_and_does_not_count():
    inform = item("x.info", F, unexpected=False)
    inform.strictness = "INFO"
    found = diff(
        [item("x.known"), item("x.info")],
        [
            item("x.known", F, unexpected=False, expected=[F]),
            inform,
        ],
    )
    assert kinds(found) == {"x.known": "regressed", "x.info": "regressed"}
    assert not any(change.alarming for change in found.changes)
    assert found.exit_code == 0


def test_a_known_failure_that_becomes_an_unexpected_one_is_a_regression():
    old = [item("x.one", F, unexpected=False, expected=[F])]
    found = diff(old, [item("x.one", Status.CRASH, expected=[F])])
    assert kinds(found) == {"x.one": "regressed"}
    assert found.exit_code == 1


@pytest.mark.parametrize(
    ("was", "now", "slower"),
    [
        ((0.1,), (0.25,), True),
        ((0.1,), (0.19,), False),  # not twice as long
        ((0.001,), (0.02,), False),  # twenty times as long, but nobody would notice
        ((0.1, 0.1, 0.1), (0.1, 0.1, 9.0), False),  # one outlier of three is noise
        ((0.1, 0.1, 0.1), (0.1, 9.0, 9.0), True),
        ((0.25,), (0.1,), False),
    ],
)
def test_slower_takes_both_a_ratio_and_a_floor(was, now, slower):
    found = diff([item("x.one", seconds=was)], [item("x.one", seconds=now)])
    assert kinds(found) == ({"x.one": "slower"} if slower else {})
    assert found.exit_code == 0


def test_a_slower_machine_is_not_held_against_the_scenarios():
    old = [item(f"x.{n}") for n in range(30)]
    new = [item(f"x.{n}", seconds=(0.3,)) for n in range(30)]
    assert kinds(diff(old, new)) == {}
    new[7] = item("x.7", seconds=(0.9,))
    found = diff(old, new)
    assert kinds(found) == {"x.7": "slower"}
    assert "3.0 times slower" in found.changes[0].note
    # Nor is a faster machine a reason to call slow what only stayed as it was.
    faster = [item(f"x.{n}", seconds=(0.05,)) for n in range(30)]
    faster[3] = item("x.3", seconds=(0.3,))
    assert kinds(diff(new, faster)) == {}


def test_another_trace_is_told_with_the_place_unless_a_permit_declares_it():
    found = diff([item("x.one")], [item("x.one", trace="other")])
    assert kinds(found) == {"x.one": "trace changed"}
    assert found.changes[0].note == "event 0: recv same → recv other"
    permits = {"early": "some kernels are", "late": "others are"}
    old = item("x.one", variant="early", permits=permits)
    assert kinds(diff([old], [item("x.one", trace="o", variant="late", permits=permits)])) == {}


def test_the_order_is_that_of_gravity_and_columns_are_kept_apart():
    old = merged(
        [
            run(
                "a",
                "poll",
                results=[item("x.bad"), item("x.gone"), item("x.slow"), item("x.mend", F)],
            ),
            run("b", "select", results=[item("x.bad"), item("x.shaky"), item("x.trace")]),
            run("c", "epoll", results=[item("x.bad")]),
        ]
    )
    new = merged(
        [
            run(
                "d",
                "poll",
                results=[
                    item("x.bad"),
                    item("x.slow", seconds=(3,)),
                    item("x.mend"),
                    item("x.add"),
                ],
            ),
            run(
                "e",
                "select",
                results=[
                    item("x.bad", F),
                    item("x.shaky", Status.FLAKY),
                    item("x.trace", trace="o"),
                ],
            ),
            run("f", "kqueue", results=[item("x.bad")]),
        ]
    )
    found = compare.compare(old, new)
    rows = [(str(c.kind), c.column.backend, c.id) for c in found.changes]
    assert rows == [
        ("regressed", "select", "x.bad"),
        ("fixed", "poll", "x.mend"),
        ("new", "kqueue", "x.bad"),
        ("new", "poll", "x.add"),
        ("removed", "epoll", "x.bad"),
        ("removed", "poll", "x.gone"),
        ("flaky", "select", "x.shaky"),
        ("slower", "poll", "x.slow"),
        ("trace changed", "select", "x.trace"),
    ]
    assert [column.backend for column in found.gone] == ["epoll"]
    assert [column.backend for column in found.added] == ["kqueue"]
    assert found.failing == (1, 2)
    assert found.exit_code == 1


def test_two_single_columns_are_compared_whatever_they_are():
    found = compare.compare(
        merged([run("a", "epoll", results=[item("x.one")])]),
        merged([run("b", "poll", results=[item("x.one", F)])]),
    )
    assert kinds(found) == {"x.one": "regressed"}
    assert (found.gone, found.added) == ((), ())


SIDE = st.dictionaries(st.sampled_from(["x.a", "x.b", "x.c"]), st.sampled_from(Status))


@settings(max_examples=300, derandomize=True, deadline=None)
@given(SIDE, SIDE)
def test_nothing_is_told_twice_and_what_got_worse_is_always_told(old, new):
    found = diff(*([item(name, status) for name, status in s.items()] for s in (old, new)))
    names = [change.id for change in found.changes]
    assert len(names) == len(set(names))
    order = list(Kind)
    assert sorted(found.changes, key=lambda c: order.index(c.kind)) == list(found.changes)
    for name in old.keys() & new.keys():
        if old[name] is P and new[name] is not P:
            assert name in names
        if old[name] is new[name]:
            assert name not in names
    for name in old.keys() ^ new.keys():
        assert name in names
    assert not compare.compare(*[merged([run("a", results=[item("x.a", F)])])] * 2).changes
