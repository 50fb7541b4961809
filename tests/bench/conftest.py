"""What these tests are given."""

from __future__ import annotations

import pytest

from bench.process import Load
from bench.suite import Tools


@pytest.fixture(scope="module")
def tools(tmp_path_factory):
    return Tools(Load(tmp_path_factory.mktemp("programs")), 1)


@pytest.fixture(params=["cc", "no compiler"])
def load(request, tmp_path):
    return Load(tmp_path, request.param)
