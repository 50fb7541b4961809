"""What most of these tests are given; a file with other needs has fixtures of the same names."""

from __future__ import annotations

import pytest

from harness.clock import FakeClock
from tests.reactor.scheduling import SPECS, live


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture(params=SPECS)
def spec(request):
    return request.param


@pytest.fixture
def context(spec):
    with live(spec) as made:
        yield made
