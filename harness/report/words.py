"""The wording that all forms of the report share: glyphs, meanings, the headline, safe text."""

from __future__ import annotations

import shlex
from collections import Counter
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

from ..collection import exit_code
from ..compare import Kind
from ..model import Result, Run, Status
from ..world import GROUNDS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from ..compare import Comparison
    from ..model import RunInfo

#: Stands before each status word, so that neither colour nor the word is alone. None of them has an
#: emoji form, which some systems would draw instead.
GLYPHS: Final = {
    Status.PASS: "✓",
    Status.FAIL: "✗",
    Status.TIMEOUT: "◷",
    Status.CRASH: "†",
    Status.ERROR: "‽",
    Status.UNSUPPORTED: "∅",
    Status.SKIP: "»",
    Status.NOTRUN: "·",
    Status.FLAKY: "≈",
}

MEANINGS: Final = {
    Status.PASS: "The law held.",
    Status.FAIL: "The law did not hold.",
    Status.TIMEOUT: "The deadline passed; there are every thread's stack and the reactor's own dump.",
    Status.CRASH: "The process died.",
    Status.ERROR: "The harness itself broke; never the subject's fault.",
    Status.UNSUPPORTED: "A capability that the scenario needs was probed and is missing; it is named.",
    Status.SKIP: "Not asked for: the expectation file keeps it from running.",
    Status.NOTRUN: "The run ended before it.",
    Status.FLAKY: "Its attempts disagree.",
}

#: The laws of docs/contract.md, by number.
LAWS: Final = {
    1: "Single completion",
    2: "No spin, no lost wake-up",
    3: "No byte lost or repeated",
    4: "Cancel",
    5: "Close",
    6: "Fairness",
    7: "Timers",
    8: "One leader",
    9: "Errors",
    10: "Nothing is swallowed",
}

#: Results that are counted apart, since they say nothing about the subject.
_APART: Final = {
    Status.UNSUPPORTED: "unsupported",
    Status.SKIP: "skipped",
    Status.NOTRUN: "not run",
}

# What would act on the reader's terminal or on the direction of text, or is no character at all: shown
# by its number, as Python writes it. XML 1.0 forbids most of these outright.
_INVISIBLE = (
    (code for code in range(0x20) if chr(code) not in "\t\n"),
    range(0x7F, 0xA0),  # delete, and the second set of controls
    (0x061C, *range(0x200B, 0x2010)),  # without width, and direction marks
    range(0x2028, 0x202F),  # separators, and direction overrides
    range(0x2060, 0x2070),  # likewise
    range(0xD800, 0xE000),  # half of a pair
    (0xFEFF, 0xFFFE, 0xFFFF),
)
_VISIBLE: Final = {
    code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    for codes in _INVISIBLE
    for code in codes
}


def visible(text: object) -> str:
    """Return text in which every control character can be seen, and none acts."""
    return str(text).translate(_VISIBLE)


def one_line(text: object) -> str:
    """Return visible text without line breaks."""
    return " ".join(visible(text).split())


def clipped(text: str, limit: int) -> str:
    """Keep the beginning and the end of a long text, and say between them what is missing."""
    if len(text) <= limit:
        return text
    head = limit // 2
    tail = limit - head
    return (
        f"{text[:head]}\n[... {len(text) - limit} characters; run.json has them ...]\n"
        f"{text[-tail:] if tail else ''}"
    )


def step(old: Result | None, new: Result | None) -> str:
    """Say from which status a scenario went to which."""
    was, now = (labelled(side.status) if side else "absent" for side in (old, new))
    return was if was == now else f"{was} → {now}"


def labelled(status: Status) -> str:
    """Return glyph and word."""
    return f"{GLYPHS[status]} {status}"


def law(number: int) -> str:
    """Return the law's number and name."""
    return f"Law {number}, {LAWS[number]}" if number in LAWS else f"Law {number}"


def seconds(value: float) -> str:
    """Say a duration with a unit that fits it."""
    if value >= 100:
        return f"{value:.0f} s"
    if value >= 1:
        return f"{value:.2f} s"
    return f"{value * 1000:.1f} ms" if value < 0.1 else f"{value * 1000:.0f} ms"


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return the number with its noun: ``1 scenario``, ``2 scenarios``."""
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"


def spec(info: RunInfo) -> str:
    """Return the whole specification of what ran: ``epoll+eventfd+timeout``."""
    return f"{info.backend}+{info.variant}" if info.variant else info.backend


def platform(info: RunInfo) -> str:
    """Return the operating system and its release; of a simulated one, which, and on what."""
    found = [info.platform.get(key, "") for key in ("os", "release")]
    machine = " ".join(filter(None, found)) or "an unknown system"
    return f"simulated {info.dialect} (on {machine})" if info.ground == "sim" else machine


def place(info: RunInfo) -> str:
    """Return the platform in one word: ``linux``, or ``sim-freebsd`` for a simulated one."""
    if info.ground == "sim":
        return f"sim-{info.dialect}"
    return info.platform.get("os", "unknown")


def python(info: RunInfo) -> str:
    """Return the Python, and what is unusual about it."""
    if not info.python.get("version"):
        return "an unknown Python"
    made = str(info.python.get("implementation", "CPython"))
    found = [f"Python {info.python.get('version', '?')}"]
    if made != "CPython":
        found.append(f"({made})")
    if info.python.get("gil") is False:
        found.append("without GIL")
    return " ".join(found)


def command(info: RunInfo) -> str:
    """Return the command line that made the run, as one would type it."""
    if not info.argv:
        return ""
    program = PurePath(info.argv[0])
    module = ["python", "-m", program.parent.name] if program.name == "__main__.py" else []
    return shlex.join([*(module or [program.name]), *info.argv[1:]])


def where(info: RunInfo) -> str:
    """Say in what circumstances the run was made; what is as always is left out."""
    found = [spec(info)]
    if info.subject != "reactor":
        found[0] = f"{info.subject} on {found[0]}"
    if info.threads != 1:
        found.append(counted(info.threads, "thread"))
    if info.system != "live":
        found.append(f"system {info.system}")
    if info.ground not in GROUNDS:
        found.append(f"ground {info.ground}")
    return f"{', '.join(found)} on {platform(info)}, {python(info)}"


def verdict(*runs: Run) -> str:
    """Say how runs ended; each result is counted in exactly one of the numbers."""
    results = [result for run in runs for result in run.results]
    if not results:
        return "nothing matched, so nothing ran"
    unexpected = [result for result in results if result.unexpected]
    rest = [result for result in results if not result.unexpected]
    apart = Counter(result.status for result in rest if result.status in _APART)
    judged = [result for result in rest if result.status not in _APART]
    met = [result for result in judged if not informative(result)]
    said = [
        f"{len(met)} of {len(results)} as expected{_known(met)}",
        f"{len(unexpected)} unexpected{_statuses(unexpected)}",
    ]
    if len(met) < len(judged):
        told = [result for result in judged if informative(result)]
        said.append(f"{len(told)} for information{_statuses(told)}")
    said += [f"{apart[status]} {word}" for status, word in _APART.items() if apart[status]]
    for run in runs:
        place = run.info.place
        if place.get("status", "complete") != "complete":
            # The one part of a verdict that is somebody else's text: what ssh said, for one.
            why = f"{place['name']} was {place['status']}: {place.get('reason', '')}"
            said.insert(0, one_line(why))
    return "; ".join(said)


def informative(result: Result) -> bool:
    """Tell whether it ended otherwise than expected, but only informs, whatever it is."""
    return (
        result.strictness == "INFO"
        and not result.unexpected
        and result.status not in _APART
        and result.status not in result.expected
    )


def _known(results: Iterable[Result]) -> str:
    return _statuses(result for result in results if result.status is not Status.PASS)


def _statuses(results: Iterable[Result]) -> str:
    found = Counter(result.status for result in results)
    said = ", ".join(f"{found[status]} {status}" for status in Status if found[status])
    return f" ({said})" if said else ""


def headline(run: Run) -> str:
    """Return the sentence that stands above every report."""
    return f"{where(run.info)}: {verdict(run)}"


def mark(*runs: Run) -> str:
    """Return the glyph of runs as a whole: they are as expected, or not."""
    return GLYPHS[Status.PASS if exit_code(runs) == 0 else Status.FAIL]


def together(runs: Collection[Run]) -> str:
    """Return the sentence that stands above the reports of many runs."""
    ids = {result.id for run in runs for result in run.results}
    place = f"{counted(len(ids), 'scenario')} in {counted(len(runs), 'column')}"
    return f"{place}: {verdict(*runs)}"


def comparison(found: Comparison) -> str:
    """Say in one sentence what became of the scenarios since earlier runs."""
    said = [f"{len(found.of(kind))} {kind}" for kind in Kind if found.of(kind)]
    was, now = found.failing
    columns = [
        f"{counted(len(some), 'column')} {word}"
        for some, word in ((found.added, "new"), (found.gone, "gone"))
        if some
    ]
    rest = [*columns, f"unexpected results went {was} → {now}"]
    return f"{found.compared} results compared: {', '.join(said) or 'no change'}; {'; '.join(rest)}"


def expected(result: Result) -> str:
    """Say which statuses are allowed."""
    return " or ".join(result.expected)


def plain_title(result: Result) -> str:
    """Return the title that a scenario has when its author gave none: it only repeats the id."""
    return result.id.partition(".")[2].replace("-", " ")


def surprise(result: Result) -> str:
    """Say how the result compares with what is expected, empty for the usual pass."""
    if result.unexpected:
        return "unexpected"
    if informative(result):
        return "for information"
    if result.status in _APART or result.status is Status.PASS:
        return ""
    return "expected"
