"""The pytest plugin: collects scenarios for one subject and runs each through the engine.

    pytest -p harness.plugin scenarios --reactor-backend epoll -n auto

A Python file in a folder called ``scenarios`` holds scenarios, unless its name begins with ``_``;
each is an item named by its id. What the expectation file allows is an xfail, a missing capability
a skip; everything else than PASS fails.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import pytest

from reactor import backends
from reactor.system import System

from .engine import TIMEOUT_S, RunOptions, Session
from .errors import HarnessError
from .model import Status
from .world import GROUNDS, dialect_for, make_world

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .model import Result
    from .scenario import Scenario

FOLDERS = ("scenarios", "_scenarios")

_SEED = "reactor_seed"
_seed_key = pytest.StashKey[int]()
_sessions_key = pytest.StashKey[dict["Path", Session]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that choose the subject."""
    group = parser.getgroup("reactor", "scenarios of the reactor")
    group.addoption(
        "--reactor-backend",
        metavar="SPEC",
        help=f"backend such as epoll+pipe (${backends.ENVIRONMENT}, else the platform's best)",
    )
    group.addoption("--reactor-system", default="live", metavar="NAME", help="live or posix")
    group.addoption("--reactor-ground", choices=GROUNDS, default="live")
    group.addoption("--reactor-dialect", metavar="NAME", help="of the simulated kernel; linux")
    group.addoption("--reactor-subject", default="harness.subject", metavar="MODULE")
    group.addoption("--reactor-threads", type=int, default=1, metavar="N")
    group.addoption("--reactor-repeat", type=int, default=1, metavar="N", help="attempts at each")
    group.addoption("--reactor-seed", type=int, metavar="N", help="of the first attempt")
    group.addoption(
        "--reactor-timeout",
        type=float,
        default=TIMEOUT_S,
        metavar="SECONDS",
        help="for one attempt",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Settle on one seed for all workers of pytest-xdist."""
    given = config.getoption("--reactor-seed")
    inherited = getattr(config, "workerinput", {}).get(_SEED)
    fallback = secrets.randbits(32) if inherited is None else inherited
    config.stash[_seed_key] = fallback if given is None else given
    config.stash[_sessions_key] = {}


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Give the seed to a worker of pytest-xdist."""
    node.workerinput[_SEED] = node.config.stash[_seed_key]


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the fork servers."""
    for session in config.stash.get(_sessions_key, {}).values():
        session.close()


def pytest_report_header(config: pytest.Config) -> str:
    """Say what is tested, and with which seed."""
    options = _options(config)
    live = options.ground == "live"
    where = f"system {options.system}" if live else f"simulated {options.dialect}"
    return f"reactor: backend {options.spec}, {where}, seed {options.seed}"


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> ScenarioFile | None:
    """Collect a scenario module."""
    if (
        file_path.suffix == ".py"
        and file_path.parent.name in FOLDERS
        and not file_path.name.startswith("_")
    ):
        found: ScenarioFile = ScenarioFile.from_parent(parent, path=file_path)
        return found
    return None


def _options(config: pytest.Config, folder: Path | None = None) -> RunOptions:
    """Return what the options ask for; whether they make sense is for `Session` to say."""
    ground, system = config.getoption("--reactor-ground"), config.getoption("--reactor-system")
    dialect = dialect_for(ground, config.getoption("--reactor-dialect"))
    try:
        plain = make_world(ground, system=system, dialect=dialect).plain
    except HarnessError:
        plain = System()
    return RunOptions(
        spec=backends.choose(config.getoption("--reactor-backend"), plain),
        jobs=1,  # pytest-xdist has the others
        repeat=config.getoption("--reactor-repeat"),
        seed=config.stash[_seed_key],
        timeout_s=config.getoption("--reactor-timeout"),
        system=system,
        ground=ground,
        dialect=dialect,
        threads=config.getoption("--reactor-threads"),
        scenarios_dir=folder,
        subject=config.getoption("--reactor-subject"),
    )


def _session(config: pytest.Config, folder: Path) -> Session:
    """Return the engine's session for a folder of scenarios, one for each worker."""
    sessions = config.stash[_sessions_key]
    if folder not in sessions:
        sessions[folder] = Session(_options(config, folder))
    return sessions[folder]


class ScenarioFile(pytest.File):
    """One module of the catalogue."""

    def collect(self) -> Iterator[ScenarioItem]:
        """Collect its scenarios."""
        try:
            session = _session(self.config, self.path.parent)
        except HarnessError as exc:
            raise self.CollectError(str(exc)) from exc
        for item in session.catalogue:
            if item.source.partition(":")[0] == self.path.name:
                yield ScenarioItem.from_parent(self, name=item.id, scenario=item, session_=session)


class ScenarioItem(pytest.Item):
    """One scenario."""

    def __init__(self, *, scenario: Scenario, session_: Session, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._scenario = scenario
        self._session = session_

    def runtest(self) -> None:
        """Run it in a process of its own."""
        (result,) = self._session.run([self._scenario])
        if self._session.interrupted:
            raise KeyboardInterrupt
        self.user_properties += [
            ("status", str(result.status)),
            ("variant", result.variant or ""),
            ("replay", result.replay),
        ]
        for title, text in (
            ("output", result.output),
            ("dump", result.dump),
            ("stacks", result.stacks),
        ):
            if text:
                self.add_report_section("call", title, text)
        if result.unexpected:
            raise UnexpectedResult(result)
        if result.status in {Status.UNSUPPORTED, Status.SKIP}:
            pytest.skip(f"{result.status}: {result.reason}")
        if result.status is not Status.PASS:
            why = result.expected_reason or f"strictness {result.strictness}"
            pytest.xfail(f"{result.status}: {result.reason} ({why})")

    def repr_failure(
        self, excinfo: pytest.ExceptionInfo[BaseException], *args: Any, **kwargs: Any
    ) -> Any:
        """Say what went wrong, and how to see it again; the engine's own frames say nothing."""
        if isinstance(excinfo.value, UnexpectedResult | HarnessError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, *args, **kwargs)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where it stands."""
        line = int(self._scenario.source.rpartition(":")[2])
        # Were it the id alone, `pytest -v` would show the node's id with other dots.
        return self.path, line - 1, f"scenario {self._scenario.id}"


class UnexpectedResult(Exception):
    """A scenario ended in a way that nobody expects."""

    def __init__(self, result: Result) -> None:
        super().__init__(
            f"{result.status}: {result.reason}\n"
            f"law {result.law}: {result.law_text}\n"
            f"replay: {result.replay}"
        )
