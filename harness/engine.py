"""The engine: which scenarios, in which processes, how often, and what their attempts amount to.

The command line and the pytest plugin both come through here, so that a scenario is judged in the
same way wherever it is started from.
"""

from __future__ import annotations

import datetime as dt
import os
import secrets
import shlex
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from reactor import backends

from . import capabilities, environment, expectations
from .child import Order
from .errors import HarnessError
from .model import Attempt, Result, Run, RunInfo, Status
from .pool import Pool, PoolError, Setup
from .scenario import Catalogue, load, unknown
from .world import check_ground, make_world

if TYPE_CHECKING:
    from pathlib import Path

    from .capabilities import Capability
    from .expectations import Expectation
    from .forkserver import Outcome
    from .scenario import Scenario

#: Seconds that one attempt may take, unless told otherwise.
TIMEOUT_S = 20.0

#: Part of the deadline at which a child writes down where it hangs.
SOFT = 0.8

OnResult = Callable[[Result], None]


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What to run and how.

    Attributes:
        spec: backend specification, such as ``epoll+pipe``; where it is empty, `Session` takes
            $REACTOR_BACKEND, else the best of its world.
        families: only scenarios of these.
        keyword: only scenarios with this in their id or title; an exact id means that one alone.
        ids: only these.
        jobs: how many processes at once; 0 for one per processor.
        repeat: attempts at each scenario, each with a seed of its own.
        seed: of the first attempt; the n-th has ``seed + n``. None for a random one.
        timeout_s: seconds that one attempt may take.
        system: ``live``, or ``posix`` to refuse every Linux and BSD extension.
        ground: ``live``, or ``sim`` for a simulated kernel.
        dialect: of that kernel.
        threads: how many threads run the context under test.
        scenarios_dir: a folder of scenarios instead of the project's.
        expectations: an expectation file instead of the folder's.
        subject: name of the module that runs a scenario; see `harness.subject`.
        place: what ``--on`` calls the place of the run, where that is not this machine.
    """

    spec: str
    families: tuple[str, ...] = ()
    keyword: str | None = None
    ids: tuple[str, ...] = ()
    jobs: int = 0
    repeat: int = 1
    seed: int | None = None
    timeout_s: float = TIMEOUT_S
    system: str = "live"
    ground: str = "live"
    dialect: str = ""
    threads: int = 1
    scenarios_dir: Path | None = None
    expectations: Path | None = None
    subject: str = "harness.subject"
    place: str = ""

    def check(self) -> None:
        """Check what can be checked without loading anything.

        Raises:
            HarnessError: something makes no sense; says what.
        """
        for name in ("repeat", "threads"):
            if getattr(self, name) < 1:
                raise HarnessError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.jobs < 0:
            raise HarnessError(f"jobs must be at least 1, or 0 for all processors, not {self.jobs}")
        if not 0 < self.timeout_s < float("inf"):
            raise HarnessError(
                f"timeout must be a positive number of seconds, not {self.timeout_s}"
            )
        if self.seed is not None and self.seed < 0:
            raise HarnessError(f"seed must not be negative, not {self.seed}")
        check_ground(self.ground, self.system, self.dialect)


def select(options: RunOptions) -> list[Scenario]:
    """Return the scenarios that the options ask for, in the order of the catalogue.

    Raises:
        HarnessError: the catalogue cannot be loaded; no such id or family.
    """
    return _choose(load(options.scenarios_dir), options)


def _choose(catalogue: Catalogue, options: RunOptions) -> list[Scenario]:
    for family in options.families:
        if family not in catalogue.families:
            raise HarnessError(unknown("family", family, catalogue.families))
    wanted = {catalogue.get(scenario_id).id for scenario_id in options.ids}
    if options.keyword is not None and options.keyword in catalogue:
        wanted.add(options.keyword)  # and not the others that have it in their ids
    return [
        item
        for item in catalogue
        if (not options.families or item.family in options.families)
        and (not wanted or item.id in wanted)
        and (not options.keyword or options.keyword in item.id or options.keyword in item.title)
    ]


def run(options: RunOptions, on_result: OnResult | None = None) -> Run:
    """Run what the options ask for.

    Ctrl-C ends it early: what did not run is NOTRUN, and the report is made all the same.

    Args:
        options: what and how.
        on_result: is given each result as soon as all attempts at its scenario are there.

    Raises:
        HarnessError: the options, the catalogue, the expectation file or the backend are not in
            order.
    """
    with Session(options) as session:
        return session.finish(session.run(session.choose(), on_result))


class Session:
    """Everything that stays the same while scenarios run: a context manager around `run`.

    Attributes:
        options: what and how, with the backend settled.
        info: what the report says about the run.
        catalogue: all scenarios, of which some are run.
        interrupted: whether Ctrl-C ended `run` early.
    """

    def __init__(self, options: RunOptions) -> None:
        options.check()
        self.interrupted = False
        self.catalogue = load(options.scenarios_dir)
        file = options.expectations or self.catalogue.folder / "expectations.toml"
        if options.expectations is not None and not file.is_file():
            raise HarnessError(f"{file}: no such expectation file")
        self._expectations = expectations.load(file)
        world = make_world(options.ground, system=options.system, dialect=options.dialect)
        if not options.spec:
            options = replace(options, spec=backends.choose(None, world.plain))
        self.options = options
        self._capabilities = {item.name: item for item in capabilities.probe(options.spec, world)}
        world.close()
        backend = self._capabilities.get("backend")
        if backend is not None and not backend.available:
            where = f"{world.label}: " if world.virtual else ""
            raise HarnessError(f"{where}{backend.evidence}")
        self.info = self._describe()
        self._here = expectations.Circumstances.of(self.info)
        self._pool = Pool(Setup(self.catalogue.folder, options.subject), self.info.jobs)
        self._begin = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End the processes that it keeps."""
        self._pool.close()

    def choose(self) -> list[Scenario]:
        """Return the scenarios that the options ask for, in the order of the catalogue.

        Raises:
            HarnessError: no such id or family.
        """
        return _choose(self.catalogue, self.options)

    def run(self, chosen: Iterable[Scenario], on_result: OnResult | None = None) -> list[Result]:
        """Run these scenarios; their results in the same order.

        After Ctrl-C, or when the fork servers stop working, those without one are NOTRUN.

        Raises:
            PoolError: not even one scenario can be run.
        """
        chosen = list(chosen)
        results: dict[str, Result] = {}
        attempts: dict[str, dict[int, Outcome]] = {}

        def conclude(result: Result) -> None:
            results[result.id] = result
            if on_result is not None:
                on_result(result)

        def done(order: Order, outcome: Outcome) -> None:
            found = attempts.setdefault(order.id, {})
            found[order.seed] = outcome
            if len(found) == self.options.repeat:
                conclude(self._conclude(self.catalogue.get(order.id), found))

        to_run = []
        for item in chosen:
            if (beforehand := self._beforehand(item)) is not None:
                conclude(beforehand)
            else:
                to_run.append(item)
        why = ""
        try:
            self._pool.run((order for item in to_run for order in self._orders(item)), done)
        except KeyboardInterrupt:
            self.interrupted = True
            why = "interrupted"
        except PoolError as exc:
            outcomes = [outcome for found in attempts.values() for outcome in found.values()]
            if all(outcome.status == Status.ERROR for outcome in outcomes):
                raise
            why = str(exc)
        for item in chosen:
            if item.id not in results:
                conclude(self._result(item, Status.NOTRUN, why))
        return [results[item.id] for item in chosen]

    def finish(self, results: list[Result]) -> Run:
        """Make the run of its results."""
        self.info.finished = _now()
        self.info.duration_s = round(time.monotonic() - self._begin, 3)
        counters: Counter[str] = Counter()
        for result in results:
            counters.update(result.counters)
        self.info.counters = dict(counters)
        return Run(self.info, results)

    # -- Before the first attempt

    def _describe(self) -> RunInfo:
        options = self.options
        evidence = self._capabilities.get("backend")
        full = evidence.evidence.rpartition(" ")[2] if evidence else options.spec
        backend, _, variant = full.partition("+")
        seed = secrets.randbits(32) if options.seed is None else options.seed
        return of_options(
            options,
            id=f"{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%SZ}-{backend}-{secrets.token_hex(3)}",
            started=_now(),
            spec=options.spec,
            backend=backend,
            variant=variant,
            seed=seed,
            platform=environment.platform_info(),
            python=environment.python_info(),
            subject_version=environment.version(),
            jobs=options.jobs or os.cpu_count() or 1,
            env_name=environment.env_name(),
            capabilities=[asdict(item) for item in self._capabilities.values()],
            stale_expectations=self._expectations.stale(item.id for item in self.catalogue),
        )

    def _beforehand(self, item: Scenario) -> Result | None:
        """The result that is known without running it, if it is."""
        unheard = [name for name in item.needs if name not in self._capabilities]
        if unheard:
            names = ", ".join(self._capabilities)
            reason = f"{item.source}: it needs {', '.join(unheard)}, which nothing probes"
            return self._result(item, Status.ERROR, f"{reason}; there are: {names}")
        missing = [self._capabilities[name] for name in item.needs if not self._has(name)]
        if missing:
            return self._result(item, Status.UNSUPPORTED, "; ".join(map(_lack, missing)))
        entry = self._expectations.find(item.id, self._here)
        if entry is not None and entry.statuses[0] is Status.SKIP:
            return self._result(item, Status.SKIP, entry.text)
        return None

    def _has(self, name: str) -> bool:
        return self._capabilities[name].available

    def _orders(self, item: Scenario) -> Iterable[Order]:
        options = self.options
        timeout_s = options.timeout_s * item.patience
        for number in range(options.repeat):
            yield Order(
                id=item.id,
                spec=options.spec,
                system=options.system,
                seed=self.info.seed + number,
                threads=options.threads,
                timeout_s=timeout_s,
                soft_s=timeout_s * SOFT,
                token=secrets.token_hex(8),
                ground=options.ground,
                dialect=options.dialect,
            )

    # -- After the last attempt

    def _conclude(self, item: Scenario, outcomes: dict[int, Outcome]) -> Result:
        """Make one result of all attempts; `outcomes` by seed."""
        attempts = [
            Attempt(Status(found.status), round(found.duration_s, 6), found.reason, seed)
            for seed, found in sorted(outcomes.items())
        ]
        shown = next((one for one in attempts if one.status is not Status.PASS), attempts[0])
        status, reason = shown.status, shown.reason
        if len({one.status for one in attempts}) > 1:
            counts = Counter(one.status for one in attempts)
            said = ", ".join(f"{count} {word}" for word, count in counts.most_common())
            reason = f"{said}; seed {shown.seed}: {shown.status} {shown.reason}"
            status = Status.FLAKY
        found = outcomes[shown.seed]
        result = self._result(item, status, reason, attempts)
        result.variant = found.variant
        result.duration_s = round(sum(one.duration_s for one in attempts), 6)
        result.counters = found.counters
        result.info = found.info
        result.replay = replay(self.options, item, shown.seed)
        result.trace, result.timeline = found.trace, found.timeline
        result.dump, result.stacks, result.output = found.dump, found.stacks, found.output
        result.oracles = found.oracles
        result.digest = found.digest
        return result

    def _result(
        self, item: Scenario, status: Status, reason: str, attempts: list[Attempt] | None = None
    ) -> Result:
        """Make a result and compare it with what is expected."""
        entry = self._expectations.find(item.id, self._here)
        unexpected = _unexpected(item, status, attempts or [], entry)
        if unexpected and entry is not None and status is Status.PASS:
            words = " or ".join(entry.statuses)
            reason = f"it passed, but {entry.place} expects {words}: {entry.text}"
        return of_scenario(
            item,
            status,
            reason,
            expected=[Status.PASS] if entry is None else list(entry.statuses),
            expected_reason="" if entry is None else entry.text,
            unexpected=unexpected,
            attempts=attempts or [],
            replay=replay(self.options, item, self.info.seed),
        )


def of_options(options: RunOptions, **more: Any) -> RunInfo:
    """Make the circumstances of a run: what its options and this process say of it, and `more`."""
    return RunInfo(
        threads=options.threads,
        system=options.system,
        ground=options.ground,
        dialect=options.dialect,
        repeat=options.repeat,
        timeout_s=options.timeout_s,
        git=environment.git_info(),
        argv=list(sys.argv),
        harness_version=environment.version(),
        **more,
    )


def of_scenario(item: Scenario, status: Status, reason: str, **more: Any) -> Result:
    """Make a result of a scenario: what the report says of the scenario itself, and `more`."""
    return Result(
        id=item.id,
        family=item.family,
        law=item.law,
        law_text=item.law_text,
        strictness=item.strictness,
        title=item.title,
        provenance=item.provenance,
        permits=dict(item.permits),
        status=status,
        reason=reason,
        **more,
    )


def replay(options: RunOptions, item: Scenario, seed: int) -> str:
    """Return the command line that runs one scenario again in the same way."""
    words = ["reactorlab", "run"]
    if options.place:
        words += ["--on", options.place]
    if options.spec:
        words += ["--backend", options.spec]
    words += ["-k", item.id, "--seed", str(seed)]
    if options.ground != "live":
        words += ["--ground", options.ground, "--dialect", options.dialect]
    if options.system != "live":
        words += ["--system", options.system]
    if options.threads != 1:
        words += ["--threads", str(options.threads)]
    return shlex.join(words)


def _unexpected(
    item: Scenario, status: Status, attempts: list[Attempt], entry: Expectation | None
) -> bool:
    """Tell whether a status makes the run fail."""
    if status is Status.ERROR:
        return True
    if item.strictness == "INFO" or status is Status.UNSUPPORTED:
        return False
    allowed = {Status.PASS} if entry is None else set(entry.statuses)
    if status is Status.FLAKY and attempts and all(one.status in allowed for one in attempts):
        return False  # each of the tolerated ones was seen
    return status not in allowed


def _lack(missing: Capability) -> str:
    return f"no {missing.name}: {missing.evidence}"


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
