"""The explorer is real: what holds the signalling together is reversed in a copy, and it finds each.

The breakages are those of the catalogue of mutants; here the command itself must find them, whole:
program, shortest schedule and a replay that reproduces it on the broken copy, and on it alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.explore import explorer, programs
from harness.mutants.catalogue import signalling

MUTANTS = {mutant.name: mutant for mutant in signalling.MUTANTS}

#: What is turned around, the mutant that does it, and the kinds of violation that it may come to.
REVERSALS = [
    ("the signal is cleared after the queue was looked at", "the-leader-looks-at-the-queue-too-early"),
    ("the signal is not cleared before the next look", "the-interrupt-outlives-its-wait"),
    ("the leader is interrupted only if no follower was signalled",
     "the-leader-is-left-asleep-when-others-are-woken"),
    ("a post looks whether somebody sleeps before it has queued its call",
     "a-pending-wake-up-is-wiped-out"),
    ("a new earliest timer is missed while the leader works out its timeout",
     "the-leader-computes-its-timeout-too-early"),
    ("readiness is taken for used up after the call, not before",
     "an-edge-during-the-call-is-wiped-out"),
]  # fmt: skip

#: Executions in which each must be found.
EXECUTIONS = 700


def command(folder: Path, *args: str) -> tuple[int, dict[str, Any]]:
    """Run ``reactorlab explore`` on the copy of the library in `folder`."""
    root = Path(__file__).parents[2]
    path = os.pathsep.join([str(folder), str(root)])
    done = subprocess.run(
        [sys.executable, "-m", "harness", "explore", "--json", "--jobs", "1", *args],
        env={**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)["programs"][0]


@pytest.mark.parametrize(
    ("what", "name"), REVERSALS, ids=[what.replace(" ", "-") for what, _ in REVERSALS]
)
def test_a_reversal_is_found(what, name, tmp_path):
    mutant = MUTANTS[name]
    mutant.copy(tmp_path)
    code, report = command(tmp_path, mutant.dies[0].name)
    assert code == 1
    (finding,) = report["violations"]
    assert report["sampled"] + report["executions"] <= EXECUTIONS
    assert finding["switches"] <= 3
    code, again = command(tmp_path, "--replay", finding["replay"])
    assert code == 1
    (repeated,) = again["violations"]
    assert {**repeated, "switches": 0} == {**finding, "switches": 0}


@pytest.mark.parametrize("name", sorted({MUTANTS[name].dies[0].name for _, name in REVERSALS}))
def test_nothing_is_found_unless_something_is_reversed(name):
    """The same programs, in as many executions, on the code as it is."""
    report = explorer.explore(programs.get(name), limit=EXECUTIONS)
    assert report.violations == []
