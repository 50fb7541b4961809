"""Differences that are permitted: each needs its reason, and none permits more than it says."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from harness.kernel import dialects
from harness.kernel.verify import permits
from harness.kernel.verify.__main__ import main
from harness.kernel.verify.compare import Comparison
from harness.kernel.verify.grounds import Model
from harness.kernel.verify.permits import Permit
from harness.kernel.verify.programs import Disagreement, verify

PERMIT = Permit("one", ("linux",), "why", "where from")


def test_each_is_about_a_dialect_that_there_is():
    for permit in permits.load():
        assert set(permit.dialects) <= set(dialects.DIALECTS)
        assert len(permit.reason) > 20
        assert len(permit.source) > 20


@pytest.mark.parametrize(
    "text",
    [
        '[a]\ndialects = ["linux"]\nreason = "r"\nsteps = ["poll"]',
        '[a]\ndialects = ["linux"]\nsource = "s"\nsteps = ["poll"]',
        '[a]\ndialects = ["linux"]\nreason = "r"\nsource = "s"',
        '[a]\ndialects = ["linux"]\nreason = "r"\nsource = "s"\nbefore = "6.1"',
        '[a]\ndialects = ["linux"]\nreason = "r"\nsource = "s"\nstep = ["poll"]',
    ],
    ids=["no source", "no reason", "no condition", "only an age", "a key that is not known"],
)
def test_one_that_says_too_little_is_refused(text, tmp_path):
    file = tmp_path / "permits.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="permit a: needs"):
        permits.load(file)


@pytest.mark.parametrize(
    ("before", "release", "concerns"),
    [
        ("", "6.18.0", True),
        ("6.13", "6.12.9-generic", True),
        ("6.13", "6.13.0-rc1", False),
        ("6.13", "6.6", True),
        ("6.13", "10.1", False),
    ],
)
def test_it_is_about_kernels_before_a_release(before, release, concerns):
    permit = replace(PERMIT, before=before)
    assert permit.concerns("linux", release) is concerns
    assert not permit.concerns("macos", release)


IN_OUT = [None, [[1, "IN|OUT"]]]
IN_ONLY = [None, [[1, "IN"]]]
FILLED = [[["tcp 1/8", "enough"], []]]


@pytest.mark.parametrize(
    ("change", "live", "model", "history", "allowed"),
    [
        ({"bits": ("OUT",)}, IN_OUT, IN_ONLY, [], True),
        ({"bits": ("OUT",)}, [None, [[1, "OUT"]]], [None, []], [], True),
        ({"bits": ("OUT",)}, IN_OUT, [None, [[1, "IN|HUP"]]], [], False),
        ({"bits": ("OUT",)}, IN_OUT, [1, [[1, "IN"]]], [], False),
        ({"bits": ("OUT",), "after": ("tcp ?/8",)}, IN_OUT, IN_ONLY, FILLED, True),
        ({"bits": ("OUT",), "after": ("tcp ?/8",)}, IN_OUT, IN_ONLY, [], False),
        ({"steps": ("poll", "ep_*")}, IN_OUT, IN_ONLY, [], True),
        ({"steps": ("poll",)}, IN_OUT, IN_ONLY, [], False),
        ({"live": ("null",), "model": ("1",)}, [None, []], [1, []], [], True),
        ({"live": ("null",), "model": ("1",)}, [None, []], [2, []], [], False),
        ({"live": ('"*EAGAIN"',)}, ["BlockingIOError EAGAIN", []], [2, []], [], True),
    ],
)
def test_every_condition_must_hold(change, live, model, history, allowed):
    permit = replace(PERMIT, **change)
    assert permit.allows("ep_wait", live, model, history) is allowed


def test_a_permitted_difference_ends_the_comparison_and_is_counted():
    """FreeBSD's handshake may end inside connect(2); the seed decides in the model."""
    with Comparison("freebsd", Model("freebsd", seed=77)) as comparison:
        verify(comparison, 100, 1, themes=["connect"])
        assert comparison.permitted["connect-inside"] > 0
        comparison._permits.clear()
        with pytest.raises(Disagreement):
            verify(comparison, 100, 1, themes=["connect"], shrink=False)


def test_macos_may_say_either_of_a_send_that_comes_too_late(monkeypatch):
    late = replace(dialects.DIALECTS["macos"], send_on_reset=0)
    monkeypatch.setitem(dialects.DIALECTS, "late", late)
    program = [("tcp_pair", 0, 0, 0), ("abort", 0, 0, 0), ("send", 0, 0, 0)]
    with Comparison("macos", Model("late")) as comparison:
        assert comparison.difference(program) is None
        assert comparison.permitted == {"send-torn-down": 1}
    with Comparison("macos", Model("macos"), Model("late")) as comparison:
        assert comparison.difference(program) is not None


def test_permits_that_nobody_needed_are_told(capsys):
    words = ["--dialect", "freebsd", "--itself", "--programs", "1"]
    assert main(words) == 0
    assert "permits that no program needed: connect-inside" in capsys.readouterr().out
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["permitted"] == {"connect-inside": 0}
