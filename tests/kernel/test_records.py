"""The FreeBSD and NetBSD dialects answer the kqueue probe as the real kernels did."""

from __future__ import annotations

import json
import tomllib

import pytest

from . import probe

#: The dialect, its record, and what was peculiar to that recording.
RECORDINGS = {
    "freebsd": ("freebsd-9.1", {"tcp_for_unix": True, "with_pipes": False}),
    "netbsd": ("netbsd-7.99", {"tcp_for_unix": False, "with_pipes": True}),
}


def record_of(dialect):
    name, _ = RECORDINGS[dialect]
    return json.loads((probe.RECORDS / f"{name}.json").read_text(encoding="utf-8"))


def exceptions_of(dialect):
    text = (probe.RECORDS / "exceptions.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)[dialect]


def differing(dialect, case):
    """The steps of a case that the model answers otherwise, or does not have, or has besides."""
    recorded = record_of(dialect)[case]
    answered = probe.answers(dialect, case, **RECORDINGS[dialect][1])
    return [
        f"{case}/{step}"
        for step in {**recorded, **answered}
        if recorded.get(step, "not there") != answered.get(step, "not there")
    ]


@pytest.mark.parametrize(
    ("dialect", "case"), [(dialect, case) for dialect in RECORDINGS for case in record_of(dialect)]
)
def test_a_case_is_answered_as_recorded(dialect, case):
    """Steps in the list of exceptions differ, and no others: the list may not grow stale."""
    listed = exceptions_of(dialect)
    expected = [
        step for part in listed.values() for step in part if step.rpartition("/")[0] == case
    ]
    assert sorted(differing(dialect, case)) == sorted(expected)


@pytest.mark.parametrize("dialect", RECORDINGS)
def test_the_exceptions_are_few(dialect):
    """At least 95 % of the steps that are not about elapsed time."""
    listed = exceptions_of(dialect)
    steps = sum(map(len, record_of(dialect).values())) - len(listed["elapsed"])
    assert len(listed["other"]) <= 0.05 * steps
