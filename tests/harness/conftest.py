"""What the tests of the engine share: the toy subject and its scenarios."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from harness import capabilities, engine
from harness.capabilities import Capability
from tests.harness.distant import SCENARIOS

TOY = Path(__file__).parent / "toy"


class Toy:
    """Runs toy scenarios."""

    def __init__(self, lock: Path) -> None:
        self.lock = lock

    def options(self, *names: str, **more: Any) -> engine.RunOptions:
        defaults: dict[str, Any] = {
            "spec": "toy",
            "ids": tuple(f"toy.{name}" for name in names),
            "scenarios_dir": TOY / "scenarios",
            "subject": "toy_subject",
            "seed": 100,
        }
        return engine.RunOptions(**(defaults | more))

    def __call__(self, *names, on_result=None, **more):
        """Run them; the results by name."""
        made = engine.run(self.options(*names, **more), on_result)
        return {result.id.removeprefix("toy."): result for result in made.results}


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
    yield Toy(lock)
    patch.undo()


@pytest.fixture
def demo_folder(tmp_path):
    """A small catalogue, in which a place can be told to end itself."""
    made = tmp_path / "scenarios"
    made.mkdir()
    (made / "demo.py").write_text(SCENARIOS, encoding="utf-8")
    return made


@pytest.fixture
def demo(demo_folder):
    return engine.RunOptions(spec="poll", scenarios_dir=demo_folder, jobs=1, seed=7)


@pytest.fixture
def _interruptible():
    """A job in the background of a shell ignores Ctrl-C, and hands that down."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
