"""What the tests of the engine share: the toy subject and its scenarios."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import capabilities, engine
from harness.capabilities import Capability

TOY = Path(__file__).parent / "toy"


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """Run toy scenarios: takes ids and options, returns results by id."""
    patch = pytest.MonkeyPatch()
    lock = tmp_path_factory.mktemp("toy") / "lock"
    lock.touch()
    patch.setenv("TOY_LOCK", str(lock))
    patch.syspath_prepend(TOY)
    patch.setattr(
        capabilities,
        "probe",
        lambda spec, system: [
            Capability("backend", available=True, evidence=f"runs as {spec}+toy"),
            Capability("present", available=True, evidence="seen"),
            Capability("missing", available=False, evidence="looked everywhere"),
        ],
    )

    def options(*names, **more):
        ids = tuple(f"toy.{name}" for name in names)
        defaults = {
            "spec": "toy",
            "ids": ids,
            "scenarios_dir": TOY / "scenarios",
            "subject": "toy_subject",
            "seed": 100,
        }
        return engine.RunOptions(**(defaults | more))

    def run(*names, on_result=None, **more):
        made = engine.run(options(*names, **more), on_result)
        return {result.id.removeprefix("toy."): result for result in made.results}

    run.options = options
    run.lock = lock
    yield run
    patch.undo()
