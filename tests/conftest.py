"""The Hypothesis profiles: `normal`, the same examples in every run, and `long`, drawn from a printed seed.

``pytest --hypothesis-profile long tests/reactor/test_machine_scheduler.py`` runs the state machines
for as long as it takes; ``--hypothesis-seed`` with the number in the header of a run repeats it, and
the line of a failure that begins with ``@reproduce_failure`` repeats its shortest example alone.
"""

from __future__ import annotations

import random

import pytest
from hypothesis import settings
from hypothesis.internal.conjecture import providers

settings.register_profile("normal", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("long", deadline=None, print_blob=True, max_examples=10_000)
settings.load_profile("normal")

if hasattr(providers, "_get_local_constants"):
    # Hypothesis mixes in numbers that it finds in the modules of the project, those that happen to be
    # imported when a test runs: the examples would depend on which tests ran before in the process.
    # There is no public way to leave that out.
    providers._get_local_constants = lambda: providers._local_constants

LONG = "long"


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    """Choose the seed of a long run here, where it can be printed; xdist hands it to its workers."""
    if config.getoption("hypothesis_profile") == LONG and config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = str(random.randrange(2**32))


def pytest_report_header(config):
    if config.getoption("hypothesis_profile") == LONG:
        return f"hypothesis seed: --hypothesis-seed={config.option.hypothesis_seed}"
    return None
