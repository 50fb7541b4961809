"""Trips are counted whichever thread makes them, and who has no interpreter is told so."""

from __future__ import annotations

import contextlib
import sys
import threading

import pytest

from bench.inprocess.meter import Meter
from bench.inprocess.threads import Trips
from bench.suite import Missing
from bench.suites import threads


@pytest.mark.parametrize("count", [1, 2])
def test_every_echo_that_came_back_is_counted(count, monkeypatch):
    """In so many threads; twice, as in rounds."""
    trips = Trips(count, 3, 5)
    ran = set()
    run = trips._run

    def noted(context):
        ran.add(threading.get_ident())
        run(context)

    monkeypatch.setattr(trips, "_run", noted)
    for _ in range(2):
        ran.clear()
        meter = Meter(0.01)
        trips(meter)
        assert meter.operations == sum(trips._made)
        assert min(trips._made) > 0
        assert len(ran) == count


def test_a_task_that_fails_is_told(monkeypatch):
    trips = Trips(2, 1, 5)

    async def nobody(sock):
        sock.close()

    monkeypatch.setattr(trips, "_echo", nobody)
    with pytest.raises(OSError):
        trips(Meter(0.01))


def test_an_interpreter_is_found_or_missed_with_a_reason(tmp_path, monkeypatch):
    """What the environment names is taken or refused, and nothing else then."""
    seen = []

    def found(path):
        seen.append(path)
        return True

    monkeypatch.setattr(threads, "_runs_without", found)
    named = tmp_path / "python"
    named.symlink_to(sys.executable)
    monkeypatch.setenv(threads.VARIABLE, str(named))
    assert threads.without_gil() == [str(named), "-X", "gil=0"]
    assert seen == [str(named)]
    monkeypatch.setattr(threads, "_runs_without", lambda path: False)
    with pytest.raises(Missing, match=threads.VARIABLE + "=.* runs no Python without the GIL"):
        threads.without_gil()
    monkeypatch.delenv(threads.VARIABLE)
    with pytest.raises(Missing, match="no Python without the GIL"):
        threads.without_gil()


def test_both_subjects_measure_or_are_missing():
    """In processes of their own; the running interpreter always measures with the GIL."""
    case = threads.SUITE.cases(full=False)[1]
    assert case.name == "2 threads"
    for subject in threads.SUITE.subjects(case):
        with contextlib.ExitStack() as stack:
            try:
                running = threads.SUITE.start(case, subject, None, stack)  # type: ignore[arg-type]
            except Missing:
                assert subject.name == "reactor (no GIL)"
                continue
            assert running.measure(0.02).operations > 0
