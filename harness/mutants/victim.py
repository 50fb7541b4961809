"""The child process: it imports a broken copy of the library and lets killers at it, one by one.

It says what it does in lines of JSON on its standard output, so that its parent knows where it was
when it falls silent.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import reactor

from .. import engine
from ..model import Status
from .model import BYSTANDER, PROGRAM, SCENARIO, SIMULATED, TEST, Killer, MutantError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..model import Result

#: What counts as noticing; an ERROR is the harness's own fault.
NOTICED = {Status.FAIL, Status.TIMEOUT, Status.CRASH, Status.FLAKY}

#: The seed of every scenario's first attempt: a mutant is judged the same each time.
SEED = 1

Say = Callable[[dict[str, Any]], None]


class _Noticed(Exception):
    """A killer has noticed; nothing more is to be run."""


def scenarios(killers: list[Killer], seconds: float, say: Say) -> None:
    """Run scenarios, one group of one backend."""
    spec, _, threads = killers[0].spec.partition("*")
    options = engine.RunOptions(
        spec,
        ids=tuple(killer.name for killer in killers),
        jobs=1,
        seed=SEED,
        timeout_s=seconds,
        threads=int(threads or 1),
    )

    def on_result(result: Result) -> None:
        killer = next(one for one in killers if one.name == result.id)
        reason = f"{result.status}: {(result.reason.strip().splitlines() or [''])[-1]}"
        if result.unexpected and result.status in NOTICED:
            _noticed(say, killer, reason, seed=SEED)
        if killer == BYSTANDER and result.status is Status.ERROR:
            raise MutantError(f"not even {BYSTANDER} can be run: {reason}")
        say({"done": result.id})

    with engine.Session(options) as session:
        order = {killer.name: place for place, killer in enumerate(killers)}
        session.run(sorted(session.choose(), key=lambda item: order[item.id]), on_result)


def programs(killers: list[Killer], limit: int, say: Say) -> None:
    """Run programs of the explorer."""
    from ..explore import explorer, programs as known

    for killer in killers:
        say({"begin": _name(killer)})
        report = explorer.explore(
            known.get(killer.name),
            limit=limit,
            on_progress=lambda _, killer=killer: say({"begin": _name(killer)}),  # type: ignore[misc]
        )
        for finding in report.violations:
            _noticed(
                say,
                killer,
                f"{finding.kind}: {finding.detail}",
                replay=finding.replay,
                switches=finding.switches,
                timeline=finding.timeline,
            )


def simulated(killers: list[Killer], limit: int, say: Say) -> None:
    """Play generated programs on the simulated kernel."""
    from ..simulate.player import play
    from ..simulate.search import nth

    logging.getLogger("reactor").disabled = True  # accept warns, and many programs make it
    for killer in killers:
        for number in range(limit):
            if not number % 100:
                say({"begin": _name(killer)})
            program = nth(SEED, killer.spec, killer.name, number)
            found = play(program).first
            if found is not None:
                detail = f"program {number}: {found.law}: {found.detail}"
                timeline = play(program, timeline=True).timeline
                _noticed(say, killer, detail, timeline=timeline[-100:])


class _Watch:
    """A plugin of pytest that says what runs, and keeps the first failure."""

    def __init__(self, killers: list[Killer], say: Say) -> None:
        self._killers = killers
        self._say = say
        self.found: tuple[Killer, str] | None = None

    def _killer(self, nodeid: str) -> Killer:
        name = nodeid.removeprefix("tests/")
        return next((k for k in self._killers if k.name == name), Killer(TEST, name))

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._say({"begin": _name(self._killer(nodeid))})

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed and self.found is None:
            lines = [line for line in str(report.longrepr).splitlines() if line.startswith("E ")]
            self.found = self._killer(report.nodeid), (lines or [f" {report.when}"])[0][1:].strip()


def tests(killers: list[Killer], root: Path, say: Say) -> None:
    """Run tests of the checkout."""
    import pytest

    os.chdir(root)
    arguments = [f"tests/{killer.name}" for killer in killers]
    watch = _Watch(killers, say)
    code = pytest.main(
        [
            *("-x", "-q", "--no-header", "-p", "no:cacheprovider", "--tb=short"),
            *(
                "-o",
                f"pythonpath={root}",
                "--rootdir",
                str(root),
                "-c",
                str(root / "pyproject.toml"),
            ),
            "--hypothesis-seed=1",
            *arguments,
        ],
        plugins=[watch],
    )
    if watch.found is not None:
        _noticed(say, *watch.found)
    if code is not pytest.ExitCode.OK:
        raise MutantError(f"pytest ended with {code!r}")


def _noticed(say: Say, killer: Killer, detail: str, **more: Any) -> None:
    say({"killed": _name(killer), "detail": detail, **more})
    raise _Noticed


def _name(killer: Killer) -> list[str]:
    return [killer.kind, killer.name, killer.spec]


def _groups(killers: list[Killer]) -> Iterator[list[Killer]]:
    for _, group in groupby(killers, lambda one: (one.kind, one.spec)):
        yield list(group)


def main(order: dict[str, Any], out: IO[str]) -> int:
    """Let the killers of an order loose.

    Args:
        order: ``folder`` of the copy, ``killers``, ``seconds`` for a scenario, ``limit`` of
            schedules for a program, ``simulated`` generated programs, and ``root`` of the checkout
            for tests.
        out: where to say what happens.
    """

    def say(message: dict[str, Any]) -> None:
        out.write(json.dumps(message) + "\n")
        out.flush()

    if not Path(reactor.__file__).resolve().is_relative_to(Path(order["folder"]).resolve()):
        say({"broken": "the library that was imported is not the copy"})
        return 1
    if "replay" in order:
        from ..explore import explorer

        report, timeline = explorer.replay(order["replay"])
        say({"replayed": report.to_json(), "timeline": timeline})
        return 0
    try:
        for group in _groups([Killer(*item) for item in order["killers"]]):
            say({"begin": _name(group[0])})
            if group[0].kind == SCENARIO:
                scenarios(group, order["seconds"], say)
            elif group[0].kind == PROGRAM:
                programs(group, order["limit"], say)
            elif group[0].kind == SIMULATED:
                simulated(group, order["simulated"], say)
            else:
                tests(group, Path(order["root"]), say)
    except _Noticed:
        return 0
    except Exception as exc:  # noqa: BLE001 - the parent tells it apart from a kill
        say({"broken": f"{type(exc).__name__}: {exc}"})
        return 1
    say({"end": True})
    return 0


if __name__ == "__main__":
    # What runs below may print; the parent hears only what is meant for it.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as channel:
        os.dup2(2, 1)
        code = main(json.load(sys.stdin), channel)
        channel.flush()
        os._exit(code)  # a thread that a mutant left hanging must not keep us
