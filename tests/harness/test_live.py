"""The engine with the project's own reactor, probes and catalogue."""

from __future__ import annotations

import pytest

from harness import engine
from harness.divergence import compare
from harness.errors import HarnessError
from reactor import backends


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


def test_the_backends_of_this_machine_agree():
    """The whole catalogue passes on each, and no trace differs but where a permit declares it."""
    specs = backends.available()
    runs = {spec: engine.run(engine.RunOptions(spec, jobs=2)) for spec in specs}
    for spec, made in runs.items():
        assert made.unexpected == [], spec
    found = compare(runs)
    assert found.missing == {}
    assert len(found.compared) >= 80
    assert found.undeclared == ()
