"""Fixtures of the tests that run the kqueue backend on the model."""

from __future__ import annotations

import pytest

from .watched import DIALECTS, Ground


@pytest.fixture(params=DIALECTS)
def dialect(request):
    return request.param


@pytest.fixture
def spec():
    return "kqueue"


@pytest.fixture
def ground(dialect, spec):
    made = Ground(dialect, spec)
    yield made
    made.context.close()
    assert made.kernel.open_numbers() == []
