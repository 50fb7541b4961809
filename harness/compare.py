"""Two collections of runs, an old one and a new one: what became worse, better, or just different.

Each result of the new one is held against the newest of the old one in the same column (see
`harness.column`). The first of `Kind` that applies is what is told of it.

A scenario is *slower* where both ended with PASS and the median of the new attempts is at least
`RATIO` times that of the old ones *and* at least `FLOOR_S` seconds more. A machine that is slower
today is not held against the subject: with `ENOUGH` scenarios in a column, the old times are first
multiplied by how much slower the median scenario has become, if it has.
"""

from __future__ import annotations

import enum
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from . import divergence
from .model import AS_EXPECTED, UNEXPECTED, Run, Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .collection import Collection
    from .column import Column
    from .model import Result

#: From how many times the old time on a scenario is slower.
RATIO: Final = 2.0
#: And from how many seconds more on: below, it is the machine's noise.
FLOOR_S: Final = 0.05
#: How many scenarios must have been timed twice before the pace of a machine can be told from them.
ENOUGH: Final = 20

_APART: Final = (Status.UNSUPPORTED, Status.SKIP, Status.NOTRUN)


class Kind(enum.StrEnum):
    """What became of a scenario in one column, the gravest first."""

    REGRESSED = "regressed"
    FIXED = "fixed"
    NEW = "new"
    REMOVED = "removed"
    FLAKY = "flaky"
    SLOWER = "slower"
    TRACE = "trace changed"


@dataclass(frozen=True, slots=True)
class Change:
    """One scenario in one column that is not as it was.

    Attributes:
        kind: what became of it.
        column: where.
        id: of the scenario.
        old: its result before; None if there was none.
        new: its result now; None if there is none.
        note: what else is to be said, in one line.
    """

    kind: Kind
    column: Column
    id: str
    old: Result | None
    new: Result | None
    note: str = ""

    @property
    def alarming(self) -> bool:
        """Whether the comparison fails for it: a regression that nobody expects."""
        return (
            self.kind is Kind.REGRESSED
            and self.new is not None
            and (
                self.new.unexpected
                or (self.new.strictness != "INFO" and self.new.status not in self.new.expected)
            )
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "kind": str(self.kind),
            "column": self.column.name,
            "id": self.id,
            "old": None if self.old is None else str(self.old.status),
            "new": None if self.new is None else str(self.new.status),
            "alarming": self.alarming,
            "note": self.note,
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """What came of comparing two collections.

    Attributes:
        changes: in the order of `Kind`, then of columns, then of the catalogue.
        compared: how many results were held against an old one.
        failing: how many unexpected results there were, and how many there are.
        gone: columns that only the old collection has.
        added: columns that only the new one has.
    """

    changes: tuple[Change, ...]
    compared: int
    failing: tuple[int, int]
    gone: tuple[Column, ...]
    added: tuple[Column, ...]

    def of(self, kind: Kind) -> list[Change]:
        """Return the changes of one kind."""
        return [change for change in self.changes if change.kind is kind]

    @property
    def exit_code(self) -> int:
        """1 if something regressed that is not expected to."""
        return UNEXPECTED if any(change.alarming for change in self.changes) else AS_EXPECTED


def compare(old: Collection, new: Collection) -> Comparison:
    """Hold what a collection says now against what another one said before.

    Where each has one column only, these two are compared, whatever they are: two backends, say.
    """
    before, now = old.current(), new.current()
    if len(before) == len(now) == 1:
        before = dict(zip(now, before.values(), strict=True))
    return compare_runs(before, now)


def compare_runs(before: dict[Column, Run], now: dict[Column, Run]) -> Comparison:
    """Hold runs against earlier ones of the same columns."""
    order = list(Kind)
    changes: list[Change] = []
    compared = 0
    for column in sorted({*before, *now}):
        was, run = before.get(column), now.get(column)
        old = {result.id: result for result in was.results} if was else {}
        new = {result.id: result for result in run.results} if run else {}
        compared += len(old.keys() & new.keys())
        changes += _changes(column, old, new)
    return Comparison(
        changes=tuple(sorted(changes, key=lambda change: order.index(change.kind))),
        compared=compared,
        failing=tuple(sum(len(run.unexpected) for run in side.values()) for side in (before, now)),  # type: ignore[arg-type]
        gone=tuple(sorted(before.keys() - now.keys())),
        added=tuple(sorted(now.keys() - before.keys())),
    )


def _changes(column: Column, old: dict[str, Result], new: dict[str, Result]) -> Iterator[Change]:
    pace = _pace(old, new)
    for name in dict.fromkeys((*new, *old)):
        found = _change(old.get(name), new.get(name), pace)
        if found is not None:
            kind, note = found
            yield Change(kind, column, name, old.get(name), new.get(name), note)


def _change(old: Result | None, new: Result | None, pace: float) -> tuple[Kind, str] | None:
    if new is None or new.status in _APART:
        if old is None or old.status in _APART:
            if old is None and new is not None:
                return Kind.NEW, new.reason
            return (Kind.REMOVED, "") if new is None else None
        # A skipped or unsupported scenario can be an unexpected result too.
        lost = new is not None and new.unexpected and not old.unexpected
        return (Kind.REGRESSED if lost else Kind.REMOVED), "" if new is None else new.reason
    if old is None or old.status in _APART:
        ran = old is not None and new.unexpected and not old.unexpected
        return (Kind.REGRESSED if ran else Kind.NEW), new.reason
    return _judged(old, new) or _slower(old, new, pace) or _trace(old, new)


def _judged(old: Result, new: Result) -> tuple[Kind, str] | None:
    """Compare two that ran by how they ended."""
    was, now = _grade(old), _grade(new)
    if new.status is Status.FLAKY and old.status is not Status.FLAKY:
        return Kind.FLAKY, new.reason
    if now > was or (now == was == 2 and new.unexpected and not old.unexpected):
        return Kind.REGRESSED, new.reason
    if now < was:
        return Kind.FIXED, old.reason
    return None


def _grade(result: Result) -> int:
    return {Status.PASS: 0, Status.FLAKY: 1}.get(result.status, 2)


def _seconds(result: Result) -> float:
    times = [attempt.duration_s for attempt in result.attempts]
    return statistics.median(times) if times else result.duration_s


def _pace(old: dict[str, Result], new: dict[str, Result]) -> float:
    """How many times slower the machine is, as far as its median scenario tells; at least 1."""
    ratios = [
        _seconds(new[name]) / _seconds(old[name])
        for name in old.keys() & new.keys()
        if _timed(old[name], new[name])
    ]
    return max(1.0, statistics.median(ratios)) if len(ratios) >= ENOUGH else 1.0


def _timed(old: Result, new: Result) -> bool:
    return old.status is new.status is Status.PASS and min(_seconds(old), _seconds(new)) > 0


def _slower(old: Result, new: Result, pace: float) -> tuple[Kind, str] | None:
    if not _timed(old, new):
        return None
    was, now = _seconds(old) * pace, _seconds(new)
    if now < was * RATIO or now - was < FLOOR_S:
        return None
    told = f", at a machine that is {pace:.1f} times slower" if pace > 1.05 else ""
    return Kind.SLOWER, f"{_seconds(old):.3f} s → {now:.3f} s{told}"


def _trace(old: Result, new: Result) -> tuple[Kind, str] | None:
    parted = divergence.between(old, new)
    if parted is None or parted.permitted:
        return None
    if old.status is not new.status:
        return Kind.TRACE, f"{old.status} → {new.status}"
    sides = {run: side.event for side in parted.sides for run in side.runs}
    was, now = (" ".join(filter(None, sides[run] or ("the end",))) for run in ("old", "new"))
    return Kind.TRACE, f"event {parted.index}: {was} → {now}"
