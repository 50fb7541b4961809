"""JUnit XML, for servers that know nothing else."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any

from ..column import Column
from ..model import Status
from . import words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..model import Result, Run

#: Results that a JUnit reader knows as skipped, even where the run fails for them.
_SKIPPED = (Status.UNSUPPORTED, Status.SKIP, Status.NOTRUN)


def render(*runs: Run) -> bytes:
    """Return the whole file.

    One suite for each run, whose name is its column. What the run fails for is a failure, ERROR an
    error; what did not run or is known to fail is skipped, with the reason.
    """
    root = _element(None, "testsuites", name="reactorlab", **_numbers(runs))
    for run in runs:
        info = run.info
        name = Column.of(info).name
        suite = _element(root, "testsuite", name=name, timestamp=info.started, **_numbers([run]))
        properties = _element(suite, "properties")
        for key, value in _circumstances(run).items():
            _element(properties, "property", name=key, value=value)
        for result in run.results:
            _case(suite, result, _kind(result))
    ET.indent(root)
    text: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _numbers(runs: Sequence[Run]) -> dict[str, object]:
    kinds = [_kind(result) for run in runs for result in run.results]
    return {
        "tests": len(kinds),
        "failures": kinds.count("failure"),
        "errors": kinds.count("error"),
        "skipped": kinds.count("skipped"),
        "time": f"{sum(run.info.duration_s for run in runs):.3f}",
    }


def _kind(result: Result) -> str:
    """Return the name of the element that tells how it ended, empty for a plain pass."""
    if result.status is Status.ERROR:
        return "error"
    if result.status in _SKIPPED:
        return "skipped"
    if result.unexpected:
        return "failure"
    return "" if result.status is Status.PASS else "skipped"


def _circumstances(run: Run) -> dict[str, Any]:
    info = run.info
    found: dict[str, Any] = {
        "headline": words.headline(run),
        "run": info.id,
        "spec": info.spec,
        "backend": info.backend,
        "variant": info.variant,
        "subject": info.subject,
        "subject_version": info.subject_version,
        "harness_version": info.harness_version,
        "threads": info.threads,
        "system": info.system,
        "ground": info.ground,
        "dialect": info.dialect,
        "seed": info.seed,
        "repeat": info.repeat,
        "timeout_s": info.timeout_s,
        "env": info.env_name,
        "command": words.command(info),
    }
    for group in ("platform", "python", "git"):
        found |= {f"{group}.{key}": value for key, value in getattr(info, group).items()}
    return {key: value for key, value in found.items() if value not in ("", None)}


def _case(suite: ET.Element, result: Result, kind: str) -> None:
    case = _element(
        suite,
        "testcase",
        classname=result.family,
        name=result.id,
        time=f"{result.duration_s:.6f}",
    )
    if kind:
        said = f"{result.status}: {result.reason}" if result.reason else str(result.status)
        if kind == "skipped" and (surprise := words.surprise(result)):
            why = f": {result.expected_reason}" if result.expected_reason else ""
            said = f"{said} ({surprise}{why})"
        told = _element(case, kind, message=words.one_line(said))
        if kind != "skipped":
            told.set("type", result.status)
            told.text = words.visible(_explained(result))
    if kind in {"failure", "error"}:
        _element(case, "system-out").text = words.visible(_evidence(result))


def _explained(result: Result) -> str:
    parts = [
        result.reason or f"{result.status}, expected {words.expected(result)}",
        f"{words.law(result.law)}: {result.law_text}",
        f"replay: {result.replay}",
    ]
    parts += [text for text in (result.dump, result.stacks) if text]
    return "\n\n".join(parts)


def _evidence(result: Result) -> str:
    trace = "\n".join(
        " ".join(str(event.get(key, "")) for key in ("seq", "who", "event", "detail")).rstrip()
        for event in result.trace
    )
    parts = [("output", result.output), ("trace", trace), ("replay", result.replay)]
    return "\n".join(f"--- {title}\n{text.rstrip()}\n" for title, text in parts if text)


def _element(parent: ET.Element | None, tag: str, **attributes: object) -> ET.Element:
    """Make an element; no attribute holds what XML forbids."""
    made = ET.Element(tag, {key: words.visible(value) for key, value in attributes.items()})
    if parent is not None:
        parent.append(made)
    return made
