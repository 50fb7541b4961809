"""A report as rows of text: for the terminal, and for the page of the documentation."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Subject = dict[str, Any]

MEBIBYTE: Final = 1 << 20


def ours(subjects: list[Subject]) -> Subject | None:
    """Return the subject of ours that the others are compared with: the first that was measured."""
    return next(
        (one for one in subjects if one["kind"] == "reactor" and one["missing"] is None), None
    )


def limit(subjects: list[Subject]) -> Subject | None:
    """Return the limit that the others are held against: the one in Python, if it was measured."""
    there = [one for one in subjects if one["kind"] == "limit" and one["missing"] is None]
    bare = [one for one in there if one["name"].startswith("bare")]
    return next(iter([*bare, *there]), None)


def case(shown: dict[str, Any], what: str) -> list[list[str]]:
    """Return the table of a case, the heads first; a column that nobody has a number for is left out.

    Args:
        shown: the case, as in a report.
        what: is counted, such as ``round trips``.
    """
    there = [one for one in shown["subjects"] if one["missing"] is None]
    mine, least = ours(there), limit(there)

    def to_ours(one: Subject) -> float | None:
        return None if mine is None else mine["ratios"].get(one["name"])

    def to_limit(one: Subject) -> float | None:
        return None if least is None else one["ratios"].get(least["name"])

    columns: list[tuple[str, str, Callable[[Subject], float | None]]] = [
        (f"{what}/s", "{:,.0f}", lambda one: one["rate"]),
        ("spread", "{:.0%}", lambda one: one["spread"]),
        ("ours is", "{:.2f} x", to_ours),
        (f"of {least['name']}" if least else "", "{:.2f}", to_limit),
        ("user us", "{:.2f}", lambda one: one["user_us"]),
        ("system us", "{:.2f}", lambda one: one["system_us"]),
        ("p50 us", "{:,.0f}", lambda one: one["p50_us"]),
        ("p99 us", "{:,.0f}", lambda one: one["p99_us"]),
        ("calls", "{:.2f}", lambda one: sum(one["syscalls"].values()) if one["syscalls"] else None),
        ("peak MiB", "{:,.1f}", lambda one: one["peak_rss"] and one["peak_rss"] / MEBIBYTE),
        ("B each", "{:,.0f}", lambda one: one["bytes_per_item"]),
        ("lost", "{:,.0f}", lambda one: one.get("lost")),
    ]
    kept = [one for one in columns if any(one[2](item) is not None for item in there)]
    return [
        ["", *(head for head, _, _ in kept)],
        *(
            [item["name"], *(_cell(take(item), form) for _, form, take in kept)]
            for item in sorted(there, key=lambda item: -item["rate"])
        ),
    ]


def _cell(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def curves(suite: dict[str, Any]) -> Iterator[tuple[str, list[list[str]]]]:
    """Yield what a suite with an axis comes to: a title, and a row of rates for each subject.

    Cases that differ in nothing but the axis are one table; those that stand alone make none.
    """
    for others, along in by_axis(suite).items():
        names = dict.fromkeys(
            one["name"] for item in along.values() for one in item["subjects"] if not one["missing"]
        )
        rows = [[suite["axis"], *(f"{value:,}" for value in along)]]
        for name in names:
            found = [
                next((one for one in item["subjects"] if one["name"] == name), None)
                for item in along.values()
            ]
            rows.append([name, *(_cell(one["rate"] if one else None, "{:,.0f}") for one in found)])
        yield f"{suite['title']}, {others}" if others else suite["title"], rows


def by_axis(suite: dict[str, Any]) -> dict[str, dict[float, dict[str, Any]]]:
    """Return the cases that make curves, by what they have in common, and by their place on the axis."""
    axis = suite["axis"]
    found: dict[str, dict[float, dict[str, Any]]] = {}
    for item in suite["cases"]:
        rest = dict(item["parameters"])
        place = rest.pop(axis, None) if axis else None
        if isinstance(place, int | float):
            others = ", ".join(f"{key} {value}" for key, value in rest.items())
            found.setdefault(others, {})[place] = item
    return {
        others: dict(sorted(along.items())) for others, along in found.items() if len(along) > 1
    }


def missing(report: dict[str, Any]) -> dict[str, str]:
    """Return the subjects that were left out of any case, with the first reason of each."""
    found: dict[str, str] = {}
    for suite in report["suites"]:
        for item in suite["cases"]:
            for one in item["subjects"]:
                if one["missing"] is not None:
                    found.setdefault(one["name"], one["missing"])
    return found


def bars(report: dict[str, Any]) -> list[list[str]]:
    """Return the table of the bars, the heads first."""
    rows = [["", "must hold", "measured", "holds"]]
    for bar in report["bars"]:
        said = {True: "yes", False: "NO", None: f"not measured: {bar['why']}"}[bar["holds"]]
        rows.append([str(bar["number"]), bar["text"], _cell(bar["ratio"], "{:.2f}"), said])
    return rows


def leaks(report: dict[str, Any]) -> Iterator[str]:
    """Yield what the churn of each backend came to, in one line."""
    churned = report["leaks"] or {"backends": {}}
    for name, one in churned["backends"].items():
        said = "; ".join(one["leaks"]) or "no leak"
        yield f"{name}: {churned['count']:,} connections in {one['seconds']:.0f} s: {said}"


def leaked(report: dict[str, Any]) -> bool:
    """Return whether the churn leaked anything."""
    churned = report["leaks"] or {"backends": {}}
    return any(one["leaks"] for one in churned["backends"].values())


def circumstances(report: dict[str, Any]) -> str:
    """Say where and how the report was measured, in one line."""
    there = report["environment"]
    python, system = there["python"], there["platform"]
    gil = "" if python.get("gil", True) else " without the GIL"
    processor = there.get("cpu", {})
    words = [
        f"{python.get('implementation', '')} {python.get('version', '')}{gil}".strip(),
        " ".join(filter(None, (system.get(key) for key in ("os", "release", "machine")))),
        f"{processor['count']} x {processor.get('model') or 'CPU'}" if processor else "",
        f"{report['rounds']} rounds of {report['seconds']:g} s",
        f"load in {report['load']}",
        f"seed {report['seed']}",
    ]
    return ", ".join(filter(None, words))


def spread(report: dict[str, Any]) -> float | None:
    """Return the median of all spreads: how quiet the machine was; None if nothing was measured."""
    found = [
        one["spread"]
        for suite in report["suites"]
        for item in suite["cases"]
        for one in item["subjects"]
        if one["missing"] is None
    ]
    return statistics.median(found) if found else None
