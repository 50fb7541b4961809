"""The engine with the project's own reactor, probes and catalogue."""

from __future__ import annotations

import pytest

from harness import engine
from harness.errors import HarnessError


@pytest.mark.parametrize("spec", ["epol", "epoll+pipes", "select+timerfd"])
def test_an_unknown_backend_is_one_clear_error(spec):
    with pytest.raises(HarnessError) as caught:
        engine.run(engine.RunOptions(spec))
    assert repr(spec.partition("+")[2] or spec) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_backend_that_the_system_refuses_is_one_clear_error():
    with pytest.raises(HarnessError, match="epoll is not available"):
        engine.run(engine.RunOptions("epoll", system="posix"))


@pytest.mark.parametrize(("spec", "system"), [("select", "live"), ("select", "posix")])
def test_the_catalogue_runs(spec, system):
    made = engine.run(engine.RunOptions(spec, keyword="cancel.pending-recv", system=system, seed=7))
    (result,) = made.results
    assert result.status == "PASS", result.reason
    assert result.trace
    assert result.timeline
    assert result.counters["waits"] > 0
    assert made.info.backend == spec
    assert made.info.variant.endswith("pipe+timeout" if system == "posix" else "+timeout")
