"""What most of these tests are given; a file with other needs has fixtures of the same names."""

from __future__ import annotations

import pytest

from harness.clock import FakeClock
from tests.reactor.scheduling import SPECS, live


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def path(tmp_path, monkeypatch):
    """A path for a Unix socket, short enough on every system."""
    monkeypatch.chdir(tmp_path)
    return "s"


@pytest.fixture(params=SPECS)
def spec(request):
    return request.param


@pytest.fixture
def context(spec):
    with live(spec) as made:
        yield made
