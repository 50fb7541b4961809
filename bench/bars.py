"""The bars of speed: read from ``bars.toml``, and judged from a report.

A bar is a ratio of two figures of one run, since only those can be compared. Of two subjects in one
case it is the median of the ratios of each round, which the runner has worked out; of two cases it is
the ratio of their medians.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

Metric = Literal["rate", "user", "cpu", "bytes"]

_FILE: Final = Path(__file__).with_name("bars.toml")

#: What the runner has a ratio for, round by round.
_RATIOS: Final = {"rate": "ratios", "user": "user_ratios"}


@dataclass(frozen=True, slots=True)
class Bar:
    """One ratio that must hold.

    Attributes:
        number: of the demand that it is a part of, from 1.
        about: what is measured, for people.
        suite: in which suite.
        case: in which case of it.
        subject: whose figure it is.
        metric: ``rate`` in operations per second, ``user`` and ``cpu`` in microseconds for an
            operation, ``bytes`` for an item.
        at: whether the ratio must be at ``least`` or at ``most`` what is wanted.
        reference: the subject that it is compared with.
        reference_case: the case in which that one's figure stands.
        wanted: the ratio, a plain number.
    """

    number: int
    about: str
    suite: str
    case: str
    subject: str
    metric: Metric
    at: Literal["least", "most"]
    reference: str
    reference_case: str
    wanted: float

    @property
    def text(self) -> str:
        """The bar as a sentence."""
        what = self.reference
        if self.case != self.reference_case:
            what = f"what it is with {self.reference_case}"
        return f"{self.about}: at {self.at} {self.wanted:g} of {what}"


def load(path: Path = _FILE) -> list[Bar]:
    """Read the bars, in the order in which they stand.

    Args:
        path: of the file; by default the project's own.
    """
    found = []
    for group in tomllib.loads(path.read_text(encoding="utf-8"))["bar"]:
        wanted = group.pop("wanted")
        of_cases = group.pop("against", "subject") == "case"
        for name, number in wanted.items():
            reference, case = (group["subject"], name) if of_cases else (name, group["case"])
            found.append(
                Bar(**group, reference=reference, reference_case=case, wanted=float(number))
            )
    return found


def judge(report: dict[str, Any], bars: Iterable[Bar] | None = None) -> list[dict[str, Any]]:
    """Hold the suites of a report against the bars.

    Args:
        report: with its ``suites``.
        bars: by default the project's own.

    Returns:
        What stands under ``bars`` in a report: for each bar its text, its place, what is wanted,
        the `ratio` and whether it `holds`; both are None where it was not measured, and `why` says
        what was missing.
    """
    made = []
    for bar in load() if bars is None else bars:
        try:
            ratio, why = _ratio(report, bar), None
        except _NotMeasuredError as exc:
            ratio, why = None, str(exc)
        holds = None
        if ratio is not None:
            holds = ratio >= bar.wanted if bar.at == "least" else ratio <= bar.wanted
        made.append(
            {
                "number": bar.number,
                "text": bar.text,
                "suite": bar.suite,
                "case": bar.case,
                "subject": bar.subject,
                "metric": bar.metric,
                "reference": bar.reference,
                "reference_case": bar.reference_case,
                "at": bar.at,
                "wanted": bar.wanted,
                "ratio": ratio,
                "holds": holds,
                "why": why,
            }
        )
    return made


class _NotMeasuredError(Exception):
    """A figure is not in the report; says which one."""


def _ratio(report: dict[str, Any], bar: Bar) -> float:
    mine = _figures(report, bar.suite, bar.case, bar.subject)
    theirs = _figures(report, bar.suite, bar.reference_case, bar.reference)
    if bar.case == bar.reference_case and bar.metric in _RATIOS:
        known = mine[_RATIOS[bar.metric]].get(bar.reference)
        if known is not None:
            return float(known)
    above, below = _value(mine, bar.metric), _value(theirs, bar.metric)
    if not below:
        raise _NotMeasuredError(f"{bar.reference} has no {bar.metric}: too little was measured")
    return above / below


def _figures(report: dict[str, Any], suite: str, case: str, subject: str) -> dict[str, Any]:
    """Find what was measured of a subject in a case."""
    found: dict[str, Any] = _named(report["suites"], suite, "suite")
    found = _named(found["cases"], case, f"{suite}: case")
    found = _named(found["subjects"], subject, f"{suite}, {case}: subject")
    if found["missing"] is not None:
        raise _NotMeasuredError(found["missing"])
    return found


def _named(items: Iterable[dict[str, Any]], name: str, what: str) -> dict[str, Any]:
    """Find what has a name; a case may say more about itself behind it, in brackets."""
    for item in items:
        if item["name"] == name or item["name"].startswith(f"{name} ("):
            return item
    raise _NotMeasuredError(f"{what} {name!r} was not run")


def _value(figures: dict[str, Any], metric: Metric) -> float:
    match metric:
        case "rate":
            values = [figures["rate"]]
        case "user":
            values = [figures["user_us"]]
        case "cpu":
            values = [figures["user_us"], figures["system_us"]]
        case "bytes":
            values = [figures["bytes_per_item"]]
    if None in values:
        raise _NotMeasuredError(f"{figures['name']} has no {metric}")
    return float(sum(values))
