"""The arguments of the command, and which verb they ask for."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from reactor.system import SYSTEMS

from ..engine import TIMEOUT_S
from ..environment import version
from ..kernel import DIALECTS
from ..model import BROKEN
from ..places.gather import SILENCE_S
from ..world import GROUNDS
from . import (
    backends,
    bench,
    catalogue,
    diff,
    diverge,
    expect,
    explore,
    matrix,
    merge,
    mutants,
    run,
    simulate,
    trace,
    validate,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_EXIT_CODES = (
    "exit codes: 0 as expected, 1 an unexpected result, 2 a usage or harness error, "
    "3 nothing matched"
)


_PLACES = "a file, a folder that has some, or a folder of such folders"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Say what is wrong in one line; the usage is what ``--help`` is for."""
        print(f"{self.prog}: {message} (see {self.prog} --help)", file=sys.stderr)
        raise SystemExit(BROKEN)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the arguments; the result's `verb` takes it and returns the exit code.

    Raises:
        SystemExit: they make no sense (2), or asked for help (0).
    """
    parser = _Parser(
        prog="reactorlab",
        description="Run identical scenarios against every backend of an I/O reactor.",
        epilog=_EXIT_CODES,
        # An abbreviation that works today is ambiguous after the next option.
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"reactorlab {version()}")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True, dest="name")

    def add(name: str, summary: str) -> argparse.ArgumentParser:
        made: argparse.ArgumentParser = verbs.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            epilog=_EXIT_CODES,
            allow_abbrev=False,
        )
        return made

    made = add("run", "run scenarios against a backend, and leave a report")
    made.set_defaults(verb=run.main)
    _subject(made)
    _choice(made)
    made.add_argument("--jobs", type=_jobs, default=0, metavar="N", help="processes at once; auto")
    made.add_argument("--repeat", type=int, default=1, metavar="N", help="attempts at each")
    made.add_argument("--expectations", type=Path, metavar="FILE", help="another expectation file")
    made.add_argument("--out", type=Path, metavar="DIR", help="write the report into this folder")
    made.add_argument("--json", action="store_true", help="print run.json on standard output")
    made.add_argument(
        "--on",
        action="append",
        default=[],
        metavar="PLACE",
        help="at another interpreter or machine: popen//python=PATH, ssh=HOST//python=PATH; again",
    )
    made.add_argument(
        "--silence",
        type=float,
        default=SILENCE_S,
        metavar="SECONDS",
        help="give a place of --on up that says nothing for so long",
    )

    made = add("list", "list the scenarios")
    made.set_defaults(verb=catalogue.main_list)
    _choice(made)
    made.add_argument("--json", action="store_true", help="print it as JSON")

    made = add("explain", "say what a scenario is about: law, provenance, what it permits")
    made.set_defaults(verb=catalogue.main_explain)
    made.add_argument("id", metavar="ID", help="of the scenario")
    made.add_argument("--scenarios-dir", type=Path, metavar="DIR", help="another catalogue")
    made.add_argument("--json", action="store_true", help="print it as JSON")

    made = add("trace", "run one scenario and print its timeline")
    made.set_defaults(verb=trace.main)
    made.add_argument("id", metavar="ID", help="of the scenario")
    _subject(made)
    made.add_argument("--scenarios-dir", type=Path, metavar="DIR", help="another catalogue")
    made.add_argument("--run", type=Path, metavar="FILE", help="take it from this run.json instead")
    made.add_argument(
        "--perfetto", type=Path, metavar="FILE", help="write a Chrome trace there too"
    )
    made.add_argument("--json", action="store_true", help="print its result as JSON")

    made = add(
        "diverge", "compare the traces of several runs: the first divergence of each scenario"
    )
    made.set_defaults(verb=diverge.main)
    made.add_argument(
        "places",
        nargs="*",
        type=Path,
        default=[Path("reports")],
        metavar="DIR",
        help="folders of reports, or run.json files; by default reports/",
    )
    made.add_argument("--json", action="store_true", help="print it as JSON")

    _reports(add)

    made = add("backends", "the backends of this machine, and its probed capabilities")
    made.set_defaults(verb=backends.main)
    _ground(made)
    made.add_argument("--json", action="store_true", help="print it as JSON")

    made = add("matrix", "what CI runs where: each tox env on each machine with each Python")
    made.set_defaults(verb=matrix.main)
    shown = made.add_mutually_exclusive_group()
    shown.add_argument("--github", action="store_true", help="print the JSON for the workflows")
    shown.add_argument(
        "--missing", type=Path, metavar="DIR", help="only what has no run.json under this folder"
    )

    made = add("explore", "run the scheduler under every interleaving of small programs")
    made.set_defaults(verb=explore.main)
    made.add_argument("programs", nargs="*", metavar="PROGRAM", help="by default all")
    made.add_argument("--list", action="store_true", help="say what the programs are")
    made.add_argument("--replay", metavar="STRING", help="run the one schedule that it names")
    made.add_argument("--limit", type=int, metavar="N", help="executions of each program at most")
    made.add_argument("--seconds", type=float, metavar="N", help="for each program at most")
    made.add_argument(
        "--random", type=int, metavar="SEED", help="draw schedules instead of running all"
    )
    made.add_argument("--jobs", type=_jobs, default=0, metavar="N", help="processes at once; auto")
    made.add_argument("--json", action="store_true", help="print it as JSON")

    made = add("bench", "measure the reactor beside its limits and its peers, in one run")
    made.set_defaults(verb=bench.main)
    bench.add_arguments(made)

    made = add("mutants", "break the reactor in many small ways, and see what notices")
    made.set_defaults(verb=mutants.main)
    made.add_argument(
        "--area",
        action="append",
        default=[],
        metavar="NAME",
        help="only mutants of this one; again",
    )
    made.add_argument("--only", nargs="+", default=[], metavar="NAME", help="only these mutants")
    made.add_argument(
        "--list", action="store_true", help="say what they are; with --only, as a diff too"
    )
    made.add_argument("--replay", metavar="STRING", help="a schedule against the one of --only")
    made.add_argument("--jobs", type=_jobs, default=0, metavar="N", help="mutants at once; auto")
    made.add_argument(
        "--out",
        type=Path,
        default=Path("reports/mutants"),
        metavar="DIR",
        help="folder of mutants.json, by default reports/mutants; an interrupted run goes on there",
    )
    made.add_argument("--fresh", action="store_true", help="do not go on from an interrupted run")
    made.add_argument("--json", action="store_true", help="print it as JSON")

    made = add("simulate", "play generated programs on the simulated kernel, with faults")
    made.set_defaults(verb=simulate.main)
    made.add_argument("--backend", metavar="NAME", help="only this poller; by default all")
    made.add_argument("--dialect", metavar="NAME", help="only this kernel; by default all")
    made.add_argument("--programs", type=int, metavar="N", help="of each group; by default 1000")
    made.add_argument("--minutes", type=float, metavar="N", help="in all, instead")
    made.add_argument("--seed", type=int, metavar="N", help="to draw them from; random")
    made.add_argument(
        "--out",
        type=Path,
        default=Path("reports/simulate"),
        metavar="DIR",
        help="where findings are saved, by default reports/simulate",
    )
    made.add_argument("--json", action="store_true", help="print it as JSON")

    made = add("replay", "play a saved program of `simulate` again")
    made.set_defaults(verb=simulate.main_replay)
    made.add_argument("file", type=Path, metavar="FILE", help="that `simulate` saved")
    made.add_argument("--json", action="store_true", help="print it as JSON")
    return parser.parse_args(argv)


def _reports(add: Callable[[str, str], argparse.ArgumentParser]) -> None:
    """Add the verbs that read what runs have left."""
    made = add("merge", "put the runs of many machines together, and make the board of them")
    made.set_defaults(verb=merge.main)
    made.add_argument("places", nargs="+", type=Path, metavar="PLACE", help=_PLACES)
    made.add_argument(
        "-o", "--out", type=Path, required=True, metavar="DIR", help="write it into this folder"
    )
    made.add_argument(
        "--single-file", action="store_true", help="the board as one index.html, to be mailed"
    )
    made.add_argument("--against", type=Path, metavar="OLD", help="tell what changed since then")
    made.add_argument("--title", default="", metavar="TEXT", help="of the board")

    made = add("diff", "say what became of the scenarios between two sets of runs")
    made.set_defaults(verb=diff.main)
    made.add_argument("old", type=Path, metavar="OLD", help=_PLACES)
    made.add_argument("new", type=Path, metavar="NEW", help="likewise")
    made.add_argument("--json", action="store_true", help="print it as JSON")

    made = add("validate", "hold files against the published schemas")
    made.set_defaults(verb=validate.main)
    made.add_argument("places", nargs="+", type=Path, metavar="FILE", help=_PLACES)

    made = add("expect", "keep the expectation file true")
    verbs = made.add_subparsers(title="verbs", metavar="VERB", required=True, dest="what")
    summary = "write the fewest conditions under which runs fail, and name stale entries"
    made = verbs.add_parser("update", help=summary, description=summary, allow_abbrev=False)
    made.set_defaults(verb=expect.main_update)
    made.add_argument("places", nargs="+", type=Path, metavar="RUN", help=_PLACES)
    made.add_argument("--expectations", type=Path, metavar="FILE", help="another expectation file")
    made.add_argument("--scenarios-dir", type=Path, metavar="DIR", help="another catalogue")
    made.add_argument("--reason", default="", metavar="TEXT", help="of the new entries")
    made.add_argument("--bug", default="", metavar="LINK", help="of the new entries")
    made.add_argument("--dry-run", action="store_true", help="only say what would be written")


def _subject(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what is tested, and how."""
    parser.add_argument(
        "--backend",
        metavar="SPEC",
        help="such as epoll, epoll+pipe or kqueue+timer ($REACTOR_BACKEND, else the best here)",
    )
    _ground(parser)
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="threads in run()")
    parser.add_argument("--seed", type=int, metavar="N", help="of the first attempt; random")
    parser.add_argument(
        "--timeout",
        type=float,
        default=TIMEOUT_S,
        metavar="SECONDS",
        help="for one attempt",
    )


def _ground(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what it stands on."""
    parser.add_argument(
        "--ground",
        choices=GROUNDS,
        default="live",
        help="sim: a simulated kernel, in virtual time",
    )
    parser.add_argument(
        "--dialect",
        metavar="NAME",
        help=f"with --ground sim: {', '.join(DIALECTS)}; by default linux",
    )
    parser.add_argument(
        "--system",
        choices=SYSTEMS,
        default="live",
        help="with --ground live: posix refuses every Linux and BSD extension",
    )


def _choice(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose scenarios."""
    parser.add_argument(
        "--family", action="append", default=[], metavar="NAME", help="only of this family; again"
    )
    parser.add_argument("-k", dest="keyword", metavar="TEXT", help="only with this in id or title")
    parser.add_argument("--scenarios-dir", type=Path, metavar="DIR", help="another catalogue")


def _jobs(text: str) -> int:
    """Return a number of processes, 0 for ``auto``."""
    if text == "auto":
        return 0
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is neither auto nor a number from 1 on")
    return int(text)
