"""The oracle is proved: reactors with one thing broken are noticed within so many generated programs."""

from __future__ import annotations

import re

import pytest

from harness.mutants import catalogue, runner
from harness.mutants.model import simulated

#: Mutant, group, and the number of the program that noticed it when this was written. An edit of the
#: reactor or of what is drawn moves the numbers, so ten times as many are allowed.
NOTICED = [
    ("the-interrupt-outlives-its-wait", "epoll", "linux", 13),
    ("an-earlier-timer-does-not-shorten-the-wait", "poll", "posix", 56),
    ("the-last-work-wakes-nobody", "kqueue", "freebsd", 3),
    ("two-threads-lead", "select", "posix", 1),
    ("a-wait-in-progress-is-not-told-of-interest", "poll", "linux", 37),
    ("a-post-goes-to-the-head-of-the-queue", "select", "linux", 33),
    ("a-cancel-poisons-the-next-operation", "kqueue", "openbsd", 3),
    ("a-claimed-operation-is-claimed-again", "epoll", "linux", 8),
    ("a-cancel-ends-both-directions", "kqueue", "macos", 126),
    ("progress-is-lost-on-a-cancel", "poll", "posix", 51),
    ("progress-is-lost-on-an-error", "kqueue", "dragonfly", 16),
    ("what-a-cancelled-recv-exactly-had-is-lost", "epoll", "linux", 136),
    ("a-short-read-still-counts-at-the-end", "epoll", "linux", 89),
    ("false-readiness-is-the-end", "kqueue", "freebsd", 135),
    ("a-cancelled-scope-still-does-io", "select", "posix", 14),
    ("close-leaves-the-parked-ones", "kqueue", "netbsd", 24),
    ("a-sendall-forgets-the-rest", "poll", "linux", 14),
    ("a-connect-does-not-look-at-its-error", "kqueue", "openbsd", 8),
    ("equal-deadlines-fire-last-first", "epoll", "linux", 4),
    ("timers-fire-a-millisecond-early", "kqueue", "macos", 74),
    ("setting-a-timer-anew-leaves-its-waits", "poll", "posix", 243),
    ("interest-is-never-dropped", "select", "linux", 1),
    ("nobody-is-woken", "kqueue", "dragonfly", 2),
    ("the-waker-is-not-drained", "poll", "posix", 7),
    ("due-timers-drop-the-events", "kqueue", "macos", 6),
    ("behind-a-shield-the-budget-goes-on", "epoll", "linux", 362),
    ("an-own-shutdown-lets-a-send-sleep", "kqueue", "macos", 372),
]


@pytest.fixture
def bench():
    with runner.Runner(runner.Plan()) as made:
        yield made


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "backend", "dialect", "number"), NOTICED, ids=[item[0] for item in NOTICED]
)
def test_a_broken_reactor_is_noticed_soon(bench, tmp_path, name, backend, dialect, number):
    (mutant,) = catalogue.select(names=[name])
    mutant.copy(tmp_path)
    found = bench._attempt(tmp_path, [simulated(backend, dialect)], runner.AIMED_S, runner.AIMED)
    assert found is not None
    seen = re.match(r"program (\d+): ", found[1]["detail"])
    assert seen is not None
    assert int(seen[1]) < 100 + 10 * number
