"""What a run is: the status words, and the records that `run.json` is made of.

Each record turns itself into the plain dictionary that the published schema describes, and is made
from one again, so that reports, merges and diffs all read the one form.
"""

from __future__ import annotations

import enum
from collections import Counter
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from . import jsonfile, schema
from .errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA: Final = "reactorlab.run/1"


class RunFileError(HarnessError):
    """A `run.json` cannot be read, or is not one; names the file and the place."""


class Status(enum.StrEnum):
    """How a scenario ended."""

    PASS = "PASS"  # noqa: S105 - no password
    FAIL = "FAIL"
    TIMEOUT = "TIMEOUT"
    CRASH = "CRASH"
    #: The harness itself broke; never the subject's fault.
    ERROR = "ERROR"
    #: A probed capability is missing, and named.
    UNSUPPORTED = "UNSUPPORTED"
    #: The expectation file says not to run it.
    SKIP = "SKIP"
    #: The run ended before it.
    NOTRUN = "NOTRUN"
    #: Its attempts disagree.
    FLAKY = "FLAKY"


#: Exit codes of a run.
AS_EXPECTED: Final = 0
UNEXPECTED: Final = 1
BROKEN: Final = 2
NOTHING_MATCHED: Final = 3

_T = TypeVar("_T")


@dataclass(slots=True)
class Attempt:
    """One execution of a scenario, in a process of its own."""

    status: Status
    duration_s: float
    reason: str = ""
    seed: int = 0

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], place: str) -> Attempt:
        """Make it from its part of `run.json`; `place` names that part in an error."""
        if not isinstance(data, dict):
            raise RunFileError(f"{place}: must be an object")
        return _make(cls, data, place, status=_status(data, "status", place))


@dataclass(slots=True)
class Result:
    """What is known about one scenario after all of its attempts.

    What is not a sum over the attempts (trace, timeline, dump, stacks, output, oracles, variant)
    comes from the first attempt that did not pass, else from the first.

    Attributes:
        expected: the statuses that the expectation file allows, the usual one first.
        unexpected: whether `status` is none of them, so that the run fails.
        variant: the declared permit that was seen.
        replay: the command line that runs it again in the same way.
        dump: the reactor's own description of itself, if the scenario hung.
        stacks: every thread's stack, if it hung or crashed.
        output: what it wrote to standard output and error.
        digest: a hash of every call to a simulated kernel: the same for the same seed.
    """

    id: str
    family: str
    law: int
    strictness: str
    title: str
    provenance: str
    status: Status
    law_text: str = ""
    expected: list[Status] = field(default_factory=lambda: [Status.PASS])
    unexpected: bool = False
    reason: str = ""
    expected_reason: str = ""
    variant: str | None = None
    permits: dict[str, str] = field(default_factory=dict)
    duration_s: float = 0.0
    attempts: list[Attempt] = field(default_factory=list)
    counters: dict[str, int] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)
    replay: str = ""
    trace: list[dict[str, Any]] = field(default_factory=list)
    timeline: list[dict[str, Any]] = field(default_factory=list)
    dump: str | None = None
    stacks: str | None = None
    output: str = ""
    oracles: list[dict[str, Any]] = field(default_factory=list)
    digest: str = ""

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], place: str = "result") -> Result:
        """Make it from its part of `run.json`.

        Raises:
            RunFileError: something is missing or not of its kind.
        """
        if not isinstance(data, dict):
            raise RunFileError(f"{place}: must be an object")
        place = f"{place} ({data['id']})" if isinstance(data.get("id"), str) else place
        return _make(
            cls,
            data,
            place,
            status=_status(data, "status", place),
            expected=[
                _status({"expected": word}, "expected", place)
                for word in _listed(data, "expected", place)
            ],
            attempts=[
                Attempt.from_dict(item, f"{place}.attempts[{index}]")
                for index, item in enumerate(_listed(data, "attempts", place))
            ],
        )


@dataclass(slots=True)
class RunInfo:
    """Where, when and with what a run was made; times in UTC, ISO 8601."""

    id: str
    started: str
    spec: str
    backend: str
    variant: str
    seed: int
    finished: str = ""
    duration_s: float = 0.0
    platform: dict[str, str] = field(default_factory=dict)
    python: dict[str, Any] = field(default_factory=dict)
    subject: str = "reactor"
    subject_version: str = ""
    threads: int = 1
    ground: str = "live"
    #: Of the simulated kernel, empty on the live one.
    dialect: str = ""
    system: str = "live"
    repeat: int = 1
    timeout_s: float = 20.0
    jobs: int = 1
    git: dict[str, Any] = field(default_factory=dict)
    argv: list[str] = field(default_factory=list)
    env_name: str = ""
    harness_version: str = ""
    capabilities: list[dict[str, Any]] = field(default_factory=list)
    counters: dict[str, int] = field(default_factory=dict)
    #: Where ``--on`` had it run: its name, what was asked for, and how that ended, with the reason.
    place: dict[str, str] = field(default_factory=dict)
    #: Entries of the expectation file that this run shows to be out of date, in words.
    stale_expectations: list[str] = field(default_factory=list)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], place: str = "run") -> RunInfo:
        """Make it from its part of `run.json`.

        Raises:
            RunFileError: something is missing.
        """
        return _make(cls, data, place)


@dataclass(slots=True)
class Run:
    """One run: its circumstances and its results."""

    info: RunInfo
    results: list[Result] = field(default_factory=list)

    @property
    def counts(self) -> dict[Status, int]:
        """How many results have each status; statuses that none has are left out."""
        found = Counter(result.status for result in self.results)
        return {status: found[status] for status in Status if found[status]}

    @property
    def unexpected(self) -> list[Result]:
        """The results for which the run fails."""
        return [result for result in self.results if result.unexpected]

    @property
    def exit_code(self) -> int:
        """0 as expected, 1 something unexpected, 2 the harness broke, 3 nothing matched."""
        if not self.results:
            return NOTHING_MATCHED
        if any(result.status is Status.ERROR for result in self.unexpected):
            return BROKEN
        lost = self.info.place.get("status", "complete") != "complete"
        return UNEXPECTED if self.unexpected or lost else AS_EXPECTED

    def to_json(self) -> dict[str, Any]:
        """Return the dictionary that `run.json` holds."""
        return {
            "schema": SCHEMA,
            "run": asdict(self.info),
            "results": [
                {item.name: getattr(result, item.name) for item in fields(result)}
                | {"attempts": [asdict(attempt) for attempt in result.attempts]}
                for result in self.results
            ],
        }

    @classmethod
    def from_json(cls, data: Any, place: str = "run.json") -> Run:
        """Make it from what `to_json` returned.

        Raises:
            RunFileError: it is not a run of this schema.
        """
        if not isinstance(data, dict) or "schema" not in data:
            raise RunFileError(f"{place}: not a run report: it has no `schema`")
        if data["schema"] != SCHEMA:
            raise RunFileError(f"{place}: schema is {data['schema']!r}; this reads {SCHEMA!r}")
        if not isinstance(data.get("run"), dict):
            raise RunFileError(f"{place}: `run` is missing")
        made = cls(
            info=RunInfo.from_dict(data["run"], f"{place}: run"),
            results=[
                Result.from_dict(item, f"{place}: results[{index}]")
                for index, item in enumerate(_listed(data, "results", place))
            ],
        )
        try:
            # What is missing was told above, or has a default.
            schema.published("run-1", complete=False)(data)
        except schema.Mismatch as exc:
            raise RunFileError(f"{place}: {exc}") from None
        return made

    def save(self, path: Path | str) -> None:
        """Write `run.json`, whole or not at all."""
        jsonfile.write(Path(path), self.to_json(), indent=1)

    @classmethod
    def load(cls, path: Path | str) -> Run:
        """Read a `run.json`, or the one in a folder.

        Raises:
            RunFileError: it cannot be read, or is not a run of this schema.
        """
        path = Path(path)
        if path.is_dir():
            path /= "run.json"
        return cls.from_json(jsonfile.read(path, RunFileError), str(path))


def _make(cls: type[_T], data: Mapping[str, Any], place: str, **made: Any) -> _T:
    """Make a record of the keys that it knows; later versions may add others."""
    names = {item.name for item in fields(cls)}  # type: ignore[arg-type]
    try:
        return cls(**{key: value for key, value in data.items() if key in names} | made)
    except TypeError as exc:
        missing = [
            item.name
            for item in fields(cls)  # type: ignore[arg-type]
            if item.name not in data and item.name in str(exc)
        ]
        raise RunFileError(f"{place}: missing {', '.join(missing) or exc}") from exc


def _listed(data: Mapping[str, Any], key: str, place: str) -> list[Any]:
    found = data.get(key)
    if not isinstance(found, list):
        raise RunFileError(f"{place}: `{key}` must be a list")
    return found


def _status(data: Mapping[str, Any], key: str, place: str) -> Status:
    word = data.get(key)
    try:
        return Status(word)  # type: ignore[arg-type]
    except ValueError:
        raise RunFileError(f"{place}: {key} {word!r} is none of {', '.join(Status)}") from None
