"""The page for a person with a browser: one file, no network, nothing to install."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from ..model import Status
from . import lanes, tally, words

if TYPE_CHECKING:
    from ..model import Result, Run

#: Events of one table, and characters of one text, of a result that is as expected; the page of a
#: hundred passes stays small. One that is not may have more.
_EVENTS: Final = 60
_TEXT: Final = 2_000
_EVENTS_UNEXPECTED: Final = 1_000
_TEXT_UNEXPECTED: Final = 100_000

_LINK = re.compile(r"https?://[^\s<>\"'`]+[^\s<>\"'`.,;:!?)\]]")


def render(run: Run) -> str:
    """Return the whole page."""
    style, script = _part("palette.css") + _part("style.css"), _part("page.js")
    probes, others = tally.probes(run)
    return (
        _environment()
        .get_template("index.html.j2")
        .render(
            run=run,
            info=run.info,
            words=words,
            lanes=lanes,
            statuses=list(Status),
            families=[_Family(name, found) for name, found in tally.families(run).items()],
            facts=_facts(run),
            probes=probes,
            others=others,
            permits=tally.permits(run),
            slowest=tally.slowest(run),
            # Not escaped: they are ours. The policy lets nothing else run, should the escaping fail.
            style=Markup(style),  # noqa: S704
            script=Markup(script),  # noqa: S704
            policy=f"default-src 'none'; style-src {csp_hash(style)}; script-src {csp_hash(script)};"
            " base-uri 'none'; form-action 'none'",
        )
    )


@dataclass(frozen=True, slots=True)
class _Family:
    name: str
    results: list[Result]

    @property
    def counts(self) -> dict[Status, int]:
        return tally.counts(self.results)

    @property
    def unexpected(self) -> int:
        return sum(result.unexpected for result in self.results)


def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("harness.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "anchor": lambda text: quote(words.visible(text)),
        "events": _events,
        "linked": _linked,
        "text": _text,
        "value": _value,
    }
    return made


def _shown(value: Any) -> Any:
    """Make every control character visible in whatever the page shows."""
    return (
        words.visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
    )


def _part(name: str) -> str:
    return (resources.files(__package__) / "templates" / name).read_text(encoding="utf-8")


def csp_hash(text: str) -> str:
    """Return what a Content-Security-Policy says of an inline script or style, so that it is allowed."""
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _events(result: Result, events: list[dict[str, Any]]) -> list[dict[str, Any] | int]:
    """Return the events that a table shows; a number stands for as many that it leaves out."""
    limit = _EVENTS_UNEXPECTED if result.unexpected else _EVENTS
    if len(events) <= limit:
        return [*events]
    tail = limit // 3
    return [*events[: limit - tail], len(events) - limit, *events[-tail:]]


def _text(result: Result, text: str) -> str:
    return words.clipped(text, _TEXT_UNEXPECTED if result.unexpected else _TEXT)


def _linked(text: str) -> Markup:
    """Escape a text, and make links of its web addresses."""
    shown, made, done = words.visible(text), Markup(), 0
    for match in _LINK.finditer(shown):
        made += escape(shown[done : match.start()])
        made += Markup('<a href="{0}" rel="noreferrer">{0}</a>').format(match[0])
        done = match.end()
    return made + escape(shown[done:])


def _value(value: Any) -> str:
    """Say a value that a scenario reported."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=repr)


def _facts(run: Run) -> dict[str, str]:
    """Return the circumstances of the run, what decides its results first."""
    info = run.info
    sha = str(info.git.get("sha") or "")
    processes = words.counted(info.jobs, "process", "processes")
    found = {
        "Backend": words.spec(info),
        "Asked for": info.spec,
        "Platform": words.platform(info),
        "Machine": " ".join(filter(None, (info.platform.get(k) for k in ("machine", "libc")))),
        "Python": words.python(info),
        "Subject": f"{info.subject} {info.subject_version}".strip(),
        "Threads": str(info.threads),
        "Ground": info.ground,
        "Dialect": info.dialect,
        "System": info.system,
        "Seed": str(info.seed),
        "Attempts at each": str(info.repeat),
        "Deadline": f"{info.timeout_s:g} s",
        "Commit": f"{sha[:12]}{', with changes' if info.git.get('dirty') else ''}" if sha else "",
        "Started": _moment(info.started),
        "Duration": f"{words.seconds(info.duration_s)} in {processes}",
        "Env": info.env_name,
        "Harness": info.harness_version,
        "Run": info.id,
        "Command": words.command(info),
    }
    return {name: value for name, value in found.items() if value}


def _moment(text: str) -> str:
    try:
        return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M:%S %Z}".strip()
    except ValueError:
        return text
