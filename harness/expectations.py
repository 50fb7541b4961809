"""The expectation file: where another status than PASS is expected, when, and why.

    [["timer.far-deadline"]]          # the scenario; its entries are tried in the order of the file
    backend = ["poll", "select"]      # every condition must hold; a list: one of them; `*` matches
    platform = "openbsd"
    status = "FAIL"                   # or a list: the usual one first, the others tolerated
    reason = "the kernel rounds up to 10 ms"
    bug = "https://…"                 # optional
    until = 2027-06-01                # optional; from that day on the entry counts no more

The first entry whose conditions hold decides. ``SKIP`` keeps the scenario from being run at all.
"""

from __future__ import annotations

import datetime as dt
import re
import tomllib
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from reactor.backends import BACKENDS
from reactor.system import SYSTEMS

from .errors import HarnessError
from .kernel import DIALECTS
from .model import Status
from .world import GROUNDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from .model import RunInfo

#: What a condition may be about. `capability` holds if it is available, with ``!`` if it is not.
CONDITIONS: Final = (
    "backend",
    "platform",
    "os_version",
    "python",
    "gil",
    "subject",
    "capability",
    "spec",
    "system",
    "ground",
    "dialect",
)

#: Conditions whose values are known, so that a misspelt one is noticed.
_VALUES: Final[dict[str, tuple[str, ...]]] = {
    "backend": tuple(BACKENDS),
    "platform": ("linux", "darwin", "freebsd", "netbsd", "openbsd", "dragonfly", "sunos"),
    "system": tuple(SYSTEMS),
    "ground": (*GROUNDS, "explorer"),
    "dialect": tuple(DIALECTS),
}

#: A status that cannot be expected: the harness's own, or a summary of others.
_NOT_EXPECTED: Final = (Status.ERROR, Status.NOTRUN)


class ExpectationError(HarnessError):
    """The expectation file is malformed; names the file and the place."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What the conditions are compared with.

    Attributes:
        facts: each of `CONDITIONS` but `capability`, as text.
        capabilities: the names of those that are available.
    """

    facts: Mapping[str, str]
    capabilities: frozenset[str]

    @classmethod
    def of(cls, info: RunInfo) -> Circumstances:
        """Return those of a run."""
        # What the machine is says nothing about a simulated kernel.
        here = info.platform if info.ground == "live" else {}
        return cls(
            facts={
                "backend": info.backend,
                "platform": here.get("os", ""),
                "os_version": here.get("release", ""),
                "python": str(info.python.get("version", "")),
                "gil": str(info.python.get("gil", True)).lower(),
                "subject": info.subject,
                "spec": info.spec,
                "system": info.system,
                "ground": info.ground,
                "dialect": info.dialect,
            },
            capabilities=frozenset(
                str(item.get("name")) for item in info.capabilities if item.get("available")
            ),
        )


@dataclass(frozen=True, slots=True)
class Expectation:
    """One entry."""

    scenario: str
    place: str
    statuses: tuple[Status, ...]
    reason: str
    conditions: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    bug: str = ""
    until: dt.date | None = None

    def holds(self, here: Circumstances, today: dt.date) -> bool:
        """Tell whether all of its conditions hold, and its day has not come."""
        if self.until is not None and today >= self.until:
            return False
        return all(
            any(_matches(name, value, here) for value in values)
            for name, values in self.conditions.items()
        )

    @property
    def text(self) -> str:
        """The reason, with the bug if there is one."""
        return f"{self.reason} ({self.bug})" if self.bug else self.reason


def _matches(name: str, value: str, here: Circumstances) -> bool:
    if name == "capability":
        return (value.removeprefix("!") in here.capabilities) is not value.startswith("!")
    return fnmatchcase(here.facts.get(name, ""), value)


class Expectations:
    """All entries of a file, by scenario."""

    def __init__(self, entries: Iterable[Expectation] = ()) -> None:
        self._entries: dict[str, list[Expectation]] = {}
        for entry in entries:
            self._entries.setdefault(entry.scenario, []).append(entry)

    def __iter__(self) -> Iterator[Expectation]:
        for entries in self._entries.values():
            yield from entries

    def find(
        self, scenario: str, here: Circumstances, today: dt.date | None = None
    ) -> Expectation | None:
        """Return that scenario's first entry whose conditions hold, None if PASS is expected."""
        day = today or dt.datetime.now(dt.UTC).date()
        for entry in self._entries.get(scenario, ()):
            if entry.holds(here, day):
                return entry
        return None

    def stale(self, known: Iterable[str], today: dt.date | None = None) -> list[str]:
        """Say which entries are out of date: their scenario is gone, or their day has come."""
        day = today or dt.datetime.now(dt.UTC).date()
        ids = set(known)
        found = []
        for entry in self:
            if entry.scenario not in ids:
                found.append(f"{entry.place}: there is no scenario {entry.scenario!r}")
            elif entry.until is not None and day >= entry.until:
                found.append(f"{entry.place}: {entry.scenario} was expected until {entry.until}")
        return found


def load(path: Path | str) -> Expectations:
    """Read an expectation file; one that does not exist expects PASS everywhere.

    Raises:
        ExpectationError: it cannot be read or is malformed.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Expectations()
    except (OSError, UnicodeDecodeError) as exc:
        raise ExpectationError(f"{path}: {exc}") from exc
    return parse(text, str(path))


def parse(text: str, name: str = "expectations.toml") -> Expectations:
    """Read the text of an expectation file; `name` is for error messages.

    Raises:
        ExpectationError: it is malformed; names the line.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise ExpectationError(f"{name}: {exc}") from exc
    entries = []
    for scenario, tables in data.items():
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            raise ExpectationError(
                f'{name}: {scenario}: write an entry as [["scenario-id"]], quoted, in two brackets'
            )
        lines = _lines_of(text, scenario)
        for index, table in enumerate(tables):
            line = f":{lines[index]}" if index < len(lines) else ""
            entries.append(_entry(scenario, table, f"{name}{line}", f"{scenario}[{index}]"))
    return Expectations(entries)


def _lines_of(text: str, scenario: str) -> list[int]:
    """The line numbers of a scenario's headers; the parser does not tell them."""
    header = re.compile(rf"""\s*\[\[\s*["']?{re.escape(scenario)}["']?\s*\]\]""")
    return [number for number, line in enumerate(text.splitlines(), 1) if header.match(line)]


def known(condition: str, value: str) -> bool:
    """Tell whether a condition may have that value, which can be a pattern."""
    values = _VALUES.get(condition)
    return values is None or any(fnmatchcase(item, value) for item in values)


def _entry(scenario: str, table: dict[str, Any], place: str, name: str) -> Expectation:
    def bad(message: str) -> ExpectationError:
        return ExpectationError(f"{place}: {name}: {message}")

    unknown = set(table) - {*CONDITIONS, "status", "reason", "bug", "until"}
    if unknown:
        allowed = ", ".join((*CONDITIONS, "status", "reason", "bug", "until"))
        raise bad(f"unknown key {min(unknown)!r}; allowed: {allowed}")
    reason, bug, until = table.get("reason"), table.get("bug", ""), table.get("until")
    if not isinstance(reason, str) or not reason.strip():
        raise bad("a reason is required")
    if not isinstance(bug, str):
        raise bad("bug must be text")
    if until is not None and type(until) is not dt.date:
        raise bad("until must be a day, such as 2027-06-01, without quotes")
    words = _texts(table.get("status"))
    if not words:
        raise bad("status is required: one, or a list")
    allowed_words = [status for status in Status if status not in _NOT_EXPECTED]
    for word in words:
        if word not in allowed_words:
            raise bad(f"status {word!r} cannot be expected; allowed: {', '.join(allowed_words)}")
    if words == ["PASS"] and not any(key in table for key in CONDITIONS):
        raise bad("PASS without a condition is what is expected anyway")
    conditions: dict[str, tuple[str, ...]] = {}
    for key in CONDITIONS:
        if key in table:
            values = _texts(table[key])
            if not values:
                raise bad(f"{key} must be text, true, false, or a list of these")
            for value in values:
                if not known(key, value):
                    raise bad(f"{key} {value!r} is unknown; there are: {', '.join(_VALUES[key])}")
            conditions[key] = tuple(values)
    return Expectation(
        scenario=scenario,
        place=place,
        statuses=tuple(Status(word) for word in words),
        reason=reason.strip(),
        conditions=conditions,
        bug=bug,
        until=until,
    )


def _texts(value: Any) -> list[str]:
    """One value or a list of them as a list of texts; empty if it is something else."""
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(item, str | bool) for item in values):
        return []
    return [str(item).lower() if isinstance(item, bool) else item for item in values]
