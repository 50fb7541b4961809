"""The closing table for the terminal."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from rich.console import Group
from rich.padding import Padding
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from ..collection import exit_code
from ..model import Status
from . import tally, words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

    from ..column import Column
    from ..compare import Comparison
    from ..model import Result, Run

_STYLES: Final = {
    Status.PASS: "green",
    Status.FAIL: "bold red",
    Status.TIMEOUT: "bold yellow",
    Status.CRASH: "bold magenta",
    Status.ERROR: "bold reverse red",
    Status.UNSUPPORTED: "cyan",
    Status.SKIP: "dim",
    Status.NOTRUN: "dim",
    Status.FLAKY: "yellow",
}

#: Characters of one reason.
_REASON: Final = 1_000


def table(run: Run) -> RenderableType:
    """Return what a run ends with on the terminal, for `rich.console.Console.print`.

    One row for each family with its counts, what is unexpected with its reason and replay line,
    what is unsupported, and the headline. Colour only repeats what the words say.
    """
    return _Closing(partial(_parts, run))


def overview(runs: Mapping[Column, Run], changed: Comparison | None = None) -> RenderableType:
    """Return what a merge ends with: a row for each column, what is unexpected, the headline."""
    return _Closing(partial(_overview, runs, changed))


class _Closing:
    """Everything, in the order in which it is read: the end of the screen is seen first."""

    def __init__(self, parts: Callable[[ConsoleOptions], Iterator[RenderableType]]) -> None:
        self._parts = parts

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for part in self._parts(options):
            for segment in console.render(part, options):
                yield _plain(segment, options.encoding) if options.ascii_only else segment


def _plain(segment: Segment, encoding: str) -> Segment:
    """Return a segment that a terminal without Unicode can show."""
    text = segment.text.encode(encoding, "backslashreplace").decode(encoding)
    return Segment(text, segment.style, segment.control)


def _parts(run: Run, options: ConsoleOptions) -> Iterator[RenderableType]:
    glyphs = not options.ascii_only
    if run.results:
        yield _counts(run, glyphs=glyphs)
    for result in run.unexpected:
        yield ""
        yield _failure(result, options.max_width, glyphs=glyphs)
    probes, others = tally.probes(run)
    missing = [
        f"no {probe.name}: {probe.evidence} ({words.counted(len(probe.costs), 'scenario')})"
        for probe in probes
        if probe.costs
    ] + [f"{result.id}: {result.reason}" for result in others]
    for title, lines in (
        ("unsupported", missing),
        ("out of date in the expectation file", run.info.stale_expectations),
    ):
        if lines:
            yield ""
            yield Text(f"{title}:", style="bold")
            for line in lines:
                yield Padding(Text(words.one_line(line)), (0, 0, 0, 2), expand=False)
    yield ""
    yield _headline(words.where(run.info), [run], glyphs=glyphs)


def _overview(
    runs: Mapping[Column, Run], changed: Comparison | None, options: ConsoleOptions
) -> Iterator[RenderableType]:
    glyphs = not options.ascii_only
    statuses = [word for word in Status if any(word in run.counts for run in runs.values())]
    made = Table(box=None, pad_edge=False, padding=(0, 1), header_style="bold")
    for head in ("platform", "backend", "Python"):
        made.add_column(head, vertical="bottom")
    for status in statuses:
        made.add_column(_head(status, glyphs=glyphs), justify="right", no_wrap=True)
    for column, run in runs.items():
        heads = (column.platform, column.poller, column.python)
        numbers = [Text(str(run.counts.get(word, "")), style=_STYLES[word]) for word in statuses]
        made.add_row(*(Text(words.one_line(head)) for head in heads), *numbers)
    yield made
    for run in runs.values():
        for result in run.unexpected:
            yield ""
            yield Text(words.one_line(words.where(run.info)), style="dim")
            yield _failure(result, options.max_width, glyphs=glyphs)
    yield ""
    if changed is not None:
        yield Text(f"since the earlier runs: {words.comparison(changed)}")
    where, _, _ = words.together(runs.values()).partition(": ")
    yield _headline(where, list(runs.values()), glyphs=glyphs)


def _headline(where: str, runs: Sequence[Run], *, glyphs: bool) -> Text:
    style = _STYLES[Status.PASS if exit_code(runs) == 0 else Status.FAIL]
    sign = f"{words.mark(*runs)} " if glyphs else ""
    return Text.assemble((sign, style), f"{words.one_line(where)}: ", (words.verdict(*runs), style))


def _head(status: Status, *, glyphs: bool) -> Text:
    """Return the head of a column of counts."""
    return Text(
        f"{words.GLYPHS[status]}\n{status}" if glyphs else str(status), style=_STYLES[status]
    )


def _counts(run: Run, *, glyphs: bool) -> Table:
    groups = list(tally.families(run).items())
    made = Table(
        box=None,
        pad_edge=False,
        padding=(0, 1),
        collapse_padding=True,  # all nine words fit into 80 columns
        header_style="bold",
        show_footer=len(groups) > 1,
    )
    made.add_column("family", footer="all", vertical="bottom")
    made.add_column("scenarios", footer=str(len(run.results)), justify="right")
    for status, number in run.counts.items():
        made.add_column(
            _head(status, glyphs=glyphs), footer=str(number), justify="right", no_wrap=True
        )
    for name, results in groups:
        found = tally.counts(results)
        numbers = [
            Text(str(found[status]), style=_STYLES[status]) if status in found else ""
            for status in run.counts
        ]
        made.add_row(Text(words.one_line(name)), str(len(results)), *numbers)
    return made


def _labelled(status: Status, *, glyphs: bool) -> str:
    return words.labelled(status) if glyphs else str(status)


def _failure(result: Result, width: int, *, glyphs: bool) -> RenderableType:
    first = Text.assemble(
        (_labelled(result.status, glyphs=glyphs), _STYLES[result.status]),
        " ",
        (words.one_line(result.id), "bold"),
    )
    if words.expected(result) != "PASS":
        first.append(f"  (expected {words.expected(result)})")
    lines = [f"{words.law(result.law)}: {result.law_text}", words.clipped(result.reason, _REASON)]
    rest = [Text(words.one_line(line)) for line in lines if line]
    rest += [Text(line, style="dim") for line in _command_lines(result.replay, width - 2)]
    return Group(first, *(Padding(line, (0, 0, 0, 2), expand=False) for line in rest))


def _command_lines(command: str, width: int) -> Iterator[str]:
    """Break a command where a shell still reads it as one, so that it can be pasted."""
    line = ""
    for word in words.one_line(command).split():
        if line and len(line) + len(word) + len("  \\") > width:
            yield f"{line} \\"
            line = f"  {word}"
        else:
            line = f"{line} {word}" if line else word
    yield line
