"""The summary in Markdown, as a CI job shows it on its page."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from . import tally, words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..model import Result, Run

#: GitHub drops a summary of more than 1024 KiB as a whole.
LIMIT: Final = 900 * 1024

#: Characters of one reason, and of one stack or dump.
_REASON: Final = 2_000
_EVIDENCE: Final = 8_000

#: How many of the last events of a trace are shown.
_EVENTS: Final = 10

#: What is kept free for the closing lines.
_RESERVE: Final = 1_000


def render(run: Run, limit: int = LIMIT) -> str:
    """Return the page, failures first, in less than `limit` bytes; what is cut is named."""
    page = _Page(limit - _RESERVE)
    page.add(f"## {words.mark(run)} {_text(words.clipped(words.headline(run), _REASON))}\n")
    page.add(_counts(run))
    page.section("Unexpected", [_failure(result) for result in run.unexpected])
    page.section(
        "Entries of the expectation file that are out of date",
        [f"- {_text(words.clipped(entry, _REASON))}\n" for entry in run.info.stale_expectations],
    )
    page.section("Unsupported", _unsupported(run))
    page.section("Permits seen", _permits(run), head=_header("scenario", "seen", "why it may"))
    return page.close()


class _Page:
    """Collects blocks of Markdown as long as there is room."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._blocks: list[str] = []
        self._cut: list[str] = []

    def add(self, *blocks: str) -> bool:
        """Add blocks, all or none; tells whether there was room."""
        size = sum(len(block.encode(errors="replace")) + 1 for block in blocks)
        if self._size + size > self._limit:
            return False
        self._size += size
        self._blocks += blocks
        return True

    def section(self, title: str, items: Sequence[str], head: str = "") -> None:
        """Add a section with as many of its items as there is room for."""
        if not items:
            return
        opening = f"### {title} ({len(items)})\n\n{head}"
        if not self.add(opening.rstrip("\n") if head else opening, items[0]):
            self._cut.append(f"{title}: all {len(items)}")
            return
        for done, item in enumerate(items[1:], 1):
            if not self.add(item):
                self._cut.append(f"{title}: {len(items) - done} of {len(items)}")
                break
        self.add("")

    def close(self) -> str:
        """Return the page."""
        if self._cut:
            self._blocks.append(
                f"\n**Cut here, since a page has a limit.** Left out: {'; '.join(self._cut)}. "
                "`index.html` and `run.json` have everything.\n"
            )
        return "\n".join(self._blocks)


def _counts(run: Run) -> str:
    statuses = list(run.counts)
    lines = [_header("family", "scenarios", *(words.labelled(status) for status in statuses))]
    groups = list(tally.families(run).items())
    for name, results in [*groups, ("all", run.results)] if len(groups) != 1 else groups:
        found = tally.counts(results)
        numbers = [str(found.get(status, "")) for status in statuses]
        lines.append(_row(_text(name), str(len(results)), *numbers))
    return "\n".join(lines) + "\n"


def _failure(result: Result) -> str:
    parts = [
        f"#### {words.labelled(result.status)}: {_text(result.id)}\n",
        f"{_text(words.law(result.law))}: {_text(result.law_text)}\n",
    ]
    if result.reason:
        parts.append(_fenced(words.clipped(result.reason, _REASON), "text"))
    if words.expected(result) != "PASS":
        why = f": {_text(result.expected_reason)}" if result.expected_reason else ""
        parts.append(f"Expected is {words.expected(result)}{why}\n")
    parts.append(_fenced(result.replay, "sh"))
    evidence = [
        ("Last events", _last_events(result)),
        ("The reactor's own dump", result.dump or ""),
        ("Stacks of every thread", result.stacks or ""),
        ("Output", result.output),
    ]
    for title, text in evidence:
        if text.strip():
            block = _fenced(words.clipped(text, _EVIDENCE), "text")
            parts.append(f"<details><summary>{title}</summary>\n\n{block}\n</details>\n")
    return "\n".join(parts)


def _last_events(result: Result) -> str:
    lines = [
        " ".join(words.one_line(event.get(key, "")) for key in ("seq", "who", "event", "detail"))
        for event in result.trace[-_EVENTS:]
    ]
    return "\n".join(lines)


def _unsupported(run: Run) -> list[str]:
    probes, others = tally.probes(run)
    found = [
        f"- no **{_text(probe.name)}**: {_text(words.clipped(probe.evidence, _REASON))}; "
        f"costs {_ids(probe.costs)}\n"
        for probe in probes
        if probe.costs
    ]
    found += [f"- {_ids([one])}: {_text(words.clipped(one.reason, _REASON))}\n" for one in others]
    return found


def _ids(results: Iterable[Result]) -> str:
    return ", ".join(_text(result.id) for result in results)


def _permits(run: Run) -> list[str]:
    return [
        _row(
            _text(result.id),
            _text(result.variant),
            _text(words.clipped(result.permits.get(result.variant or "", ""), _REASON)),
        )
        for result in tally.permits(run)
    ]


def _header(*cells: str) -> str:
    return f"{_row(*cells)}\n{_row(*('---' for _ in cells))}"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _text(text: object) -> str:
    """Return text that stands for itself in Markdown, in a table cell too."""
    found = words.one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    found = re.sub(r"[\\`*\[\]|~$]", r"\\\g<0>", found)
    # Inside a word an underscore means nothing, and most are in names.
    return re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", found)


def _fenced(text: str, language: str) -> str:
    """Return a code block that the text cannot close."""
    body = words.visible(text).rstrip("\n")
    longest = max((len(run) for run in re.findall(r"`+", body)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{body}\n{fence}\n"
