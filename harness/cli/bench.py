"""``reactorlab bench``: the reactor beside its limits and its peers, in one run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .. import benchmarks

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    parser.add_argument("suites", nargs="*", metavar="SUITE", help="by default all")
    parser.add_argument("--list", action="store_true", help="say what there is to measure")
    parser.add_argument(
        "--case",
        action="append",
        default=[],
        metavar="TEXT",
        help="only with this in its name; again",
    )
    parser.add_argument(
        "--subject", action="append", default=[], metavar="NAME", help="only this one; again"
    )
    parser.add_argument(
        "--rounds", type=int, default=7, metavar="N", help="each asks everybody (%(default)s)"
    )
    parser.add_argument(
        "--seconds", type=float, default=0.3, metavar="S", help="of each in a round (%(default)s)"
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--full", action="store_true", help="all cases")
    size.add_argument(
        "--quick",
        dest="full",
        action="store_false",
        help="the cases that the bars are about; that is the default",
    )
    parser.add_argument("--seed", type=int, metavar="N", help="of everything random; random")
    parser.add_argument("--cc", metavar="NAME", help="C compiler, by default cc if there is one")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write bench.json into this folder")
    parser.add_argument("--json", metavar="FILE", help="write it there; - for standard output")
    churn = parser.add_argument_group("of the suite churn")
    churn.add_argument("--count", type=int, metavar="N", help="connections for each backend")
    churn.add_argument(
        "--at-once", type=int, default=100, metavar="N", help="open at a time (%(default)s)"
    )
    churn.add_argument(
        "--backends",
        type=lambda text: text.split(","),
        metavar="NAMES",
        help="comma-separated; by default all of this machine",
    )
    churn.add_argument(
        "--limit", type=float, default=900.0, metavar="S", help="for each backend (%(default)g)"
    )


def main(options: argparse.Namespace) -> int:
    """Measure what the options name; returns the exit code."""
    code: int = benchmarks.load("cli").main(options)
    return code
