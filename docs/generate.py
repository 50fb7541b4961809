"""Write the pages that the code itself holds: state machines, laws, scenarios, programs of the explorer.

Of docs/speed.md it writes the figures, if docs/bench.json is there: what `reactorlab bench` wrote last.

python docs/generate.py          # write docs/states.md, laws.md, catalogue.md, programs.md and speed.md
python docs/generate.py --check  # exit 1 when one is out of date
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import benchmarks
from harness.explore.laws import RACES, programs_of
from harness.scenario import LAWS, load
from reactor import operation, signals
from reactor.backends import BACKENDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.scenario import Scenario

ROOT = Path(__file__).resolve().parent.parent

#: Between what the figures stand in docs/speed.md.
_MARKS = ("<!-- speed -->", "<!-- /speed -->")

_STATES_HEAD = """\
# State machines

Drawn by `docs/generate.py` from the tables in the code; do not edit.
A move that is not in a table raises `IllegalTransition`,
which names the machine, the state and the event.
"""

_CATALOGUE_HEAD = """\
# The catalogue

The {count} scenarios, written by `docs/generate.py` from what they say of themselves; do not edit.
`reactorlab explain ID` says the same of one.
Where kernels may differ, the variants that are allowed stand behind the law in italics.
"""


_LAWS_HEAD = """\
# The laws, one by one

Written by `docs/generate.py` from [the contract](contract.md#the-laws), `docs/laws.toml` and the catalogue;
do not edit.
For each law: how it is met, by what stands once and by what each backend does of its own, and the scenarios
that hold every backend to it.
"""

_PROGRAMS_HEAD = """\
# The explorer's programs

Written by `docs/generate.py`; do not edit.
The counts are those of `docs/explored.json`, which is what `reactorlab explore --json` printed last.
Executions were run; schedules are how many different ones they account for (see [the explorer](explorer.md)).
"""


def _diagram(table: Mapping[tuple[Any, Any], Any], first: Any) -> str:
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {first.name}"]
    lines += [
        f"    {state.name} --> {after.name}: {event.name.lower()}"
        for (state, event), after in table.items()
    ]
    return "\n".join([*lines, "```"])


def _rows(table: Mapping[tuple[Any, Any], Any]) -> str:
    lines = ["| state | event | next state |", "|---|---|---|"]
    lines += [
        f"| {state.name} | {event.name.lower()} | {after.name} |"
        for (state, event), after in table.items()
    ]
    return "\n".join(lines)


def states() -> str:
    """Return the whole page."""
    parts = [_STATES_HEAD]
    for title, text, table, first in (
        (
            "An operation",
            """One pending thing with one waiting task.
Only the claim decides the result, and it happens once:
by readiness, by cancel, by close or by a deadline.""",
            operation.TRANSITIONS,
            operation.IDLE,
        ),
        (
            "The leader",
            "The one thread that may be inside the kernel wait, as the others see it.",
            signals.TRANSITIONS,
            signals.ABSENT,
        ),
    ):
        parts += [f"## {title}\n", f"{text}\n", f"{_diagram(table, first)}\n", f"{_rows(table)}\n"]
    return "\n".join(parts)


def catalogue() -> str:
    """Return the page of the scenarios."""
    found = load(ROOT / "scenarios")
    parts = [_CATALOGUE_HEAD.format(count=len(found))]
    for family in found.families:
        items = [item for item in found if item.family == family]
        parts.append(f"## {family} ({len(items)})\n")
        parts.append("| scenario | law | what must hold | from |\n|---|---|---|---|")
        parts += [
            f"| `{item.id}` | {item.law} | {_cell(item.law_text)}{_permits(item)} "
            f"| {_cell(item.provenance)} |"
            for item in items
        ]
        parts[-1] += "\n"
    return "\n".join(parts)


def laws() -> str:
    """Return the page of the laws."""
    found = load(ROOT / "scenarios")
    contract = (ROOT / "docs" / "contract.md").read_text(encoding="utf-8")
    texts = dict(re.findall(r"^(\d+)\. (\*\*.*)$", contract, re.MULTILINE))
    met = tomllib.loads((ROOT / "docs" / "laws.toml").read_text(encoding="utf-8"))
    numbers = [str(number) for number in range(1, LAWS + 1)]
    if not list(texts) == list(met) == numbers:
        raise SystemExit(
            "docs/contract.md and docs/laws.toml have not the same laws as the harness"
        )
    # A heading has its number, for `catalogue.md#cancel-23` is where that family's table begins.
    headings = {
        family: f"{family}-{sum(item.family == family for item in found)}"
        for family in found.families
    }
    parts = [_LAWS_HEAD]
    for number in numbers:
        title, _, text = texts[number].removeprefix("**").partition("**")
        ways = met[number]
        if unknown := set(ways) - {"once", *BACKENDS}:
            raise SystemExit(f"docs/laws.toml: [{number}] has {', '.join(unknown)}")
        items = [item for item in found if str(item.law) == number]
        # In some the law's name is the first word of its sentence.
        says = text.strip() if title.endswith(".") else f"{title}{text}"
        parts.append(f"## {number}. {title.rstrip('.')}\n\n{says}\n")
        parts.append(f"{ways['once']}\n")
        if own := [name for name in BACKENDS if name in ways]:
            rows = [f"| [{name}](reference.md#backends) | {ways[name]} |" for name in own]
            parts.append("\n".join(["| backend | of its own |", "|---|---|", *rows]) + "\n")
        parts.append(f"Scenarios ({len(items)}):\n")
        for family, heading in headings.items():
            if ids := [f"`{item.id}`" for item in items if item.family == family]:
                parts.append(f"- [{family}](catalogue.md#{heading}): {', '.join(ids)}")
        parts[-1] += "\n"
    return "\n".join(parts)


def _permits(item: Scenario) -> str:
    said = "".join(f" *May be {name}: {_cell(reason)}.*" for name, reason in item.permits.items())
    grade = "" if item.strictness == "MUST" else f" *{item.strictness}.*"
    return said + grade


def _cell(text: str) -> str:
    """Return text for a cell of a table: no line ends, and nothing that Markdown would take up."""
    return re.sub(r"([|<>*_`\[\]])", r"\\\1", " ".join(text.split()))


def programs() -> str:
    """Return the page of the explorer's programs, with what `reactorlab explore` counted last."""
    counted = json.loads((ROOT / "docs" / "explored.json").read_text(encoding="utf-8"))
    reports = {report["name"]: report for report in counted["programs"]}
    parts = [_PROGRAMS_HEAD]
    parts.append(
        "| race | law | program | threads | schedules | executions |\n|---|---|---|---|---|---|"
    )
    for race in RACES:
        for name in programs_of(race):
            report = reports.pop(name, None)
            if report is None:
                raise SystemExit(f"docs/explored.json: {name} has not been counted")
            if not report["complete"] or report["violations"]:
                raise SystemExit(f"docs/explored.json: {name} is not complete, or has a violation")
            parts.append(
                f"| {race.about} | {race.law} | `{name}` | {report['threads']} "
                f"| {report['schedules']:,} | {report['executions']:,} |"
            )
    if reports:
        raise SystemExit(f"docs/explored.json: there is no program {', '.join(reports)}")
    return "\n".join(parts) + "\n"


def speed() -> str:
    """Return the page of speed, with the figures that were measured last between its marks."""
    page = (ROOT / "docs" / "speed.md").read_text(encoding="utf-8")
    counted = ROOT / "docs" / "bench.json"
    if not counted.exists():
        return page
    before, mark, rest = page.partition(_MARKS[0])
    _, end, after = rest.partition(_MARKS[1])
    if not mark or not end:
        raise SystemExit(f"docs/speed.md: the marks {' and '.join(_MARKS)} are not there")
    figures = "\n".join(_figures(json.loads(counted.read_text(encoding="utf-8"))))
    return f"{before}{mark}\n{figures}\n{end}{after}"


def _figures(report: dict[str, Any]) -> Iterator[str]:
    """Yield what was measured, in paragraphs: the bars, then the suites."""
    tables = benchmarks.load("tables")
    yield f"Written by `docs/generate.py`: {_cell(tables.circumstances(report))}.\n"
    yield f"{_table(tables.bars(report), {2})}\n"
    for suite in report["suites"]:
        yield f"### {suite['title']}\n"
        for title, rows in tables.curves(suite):
            yield f"{_cell(title)}: {suite['what']} in a second.\n"
            yield f"{_table(rows)}\n"
        for case in suite["cases"]:
            yield f"{_cell(case['name'])}:\n"
            yield f"{_table(tables.case(case, suite['what']))}\n"
    if missing := tables.missing(report):
        said = ", ".join(f"{_cell(name)} ({_cell(why)})" for name, why in missing.items())
        yield f"Left out of some or of all: {said}.\n"
    if lines := list(tables.leaks(report)):
        yield "### Churn\n"
        yield "\n".join(f"- {_cell(line)}" for line in lines) + "\n"


def _table(rows: list[list[str]], numbers: set[int] | None = None) -> str:
    """Return a table; its columns are numbers from the second on, unless others are said to be."""
    at = range(1, len(rows[0])) if numbers is None else numbers
    rule = ["---:" if number in at else "---" for number in range(len(rows[0]))]
    heads, *rest = [[_cell(text) for text in row] for row in rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in (heads, rule, *rest))


PAGES = {
    "states.md": states,
    "laws.md": laws,
    "catalogue.md": catalogue,
    "programs.md": programs,
    "speed.md": speed,
}


def main() -> int:
    """Write the pages, or compare them; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only say whether they are up to date")
    check = parser.parse_args().check
    stale = []
    for name, page in PAGES.items():
        path = ROOT / "docs" / name
        if not check:
            path.write_text(page(), encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != page():
            stale.append(name)
    if stale:
        sys.stderr.write(f"out of date: {', '.join(stale)}; run python docs/generate.py\n")
    return int(bool(stale))


if __name__ == "__main__":
    sys.exit(main())
