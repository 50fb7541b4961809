"""What the verbs share in showing things: consoles, JSON, and the options of a run."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from ..engine import RunOptions
from ..report import words
from ..world import World, dialect_for, make_world

if TYPE_CHECKING:
    import argparse

#: Columns of a table that goes into a pipe or a file, where nobody knows the width of the page.
PIPE_WIDTH = 120


def console(*, stderr: bool = False) -> Console:
    """Return a console; of a fixed width where there is no terminal to ask."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, highlight=False, width=None if stream.isatty() else PIPE_WIDTH)


def plain(value: object) -> Text:
    """Return a value as text in which nothing acts: it comes from a scenario, a report or a path."""
    return Text(words.visible(value))


def print_json(data: Any) -> None:
    """Print one JSON document on standard output."""
    print(json.dumps(data, indent=1, default=str))


def world_of(options: argparse.Namespace) -> World:
    """Make the world that the options ask for; settles on a dialect where one is needed.

    Raises:
        HarnessError: the options do not go together.
    """
    options.dialect = dialect_for(options.ground, options.dialect)
    return make_world(options.ground, system=options.system, dialect=options.dialect)


def run_options(options: argparse.Namespace, **more: Any) -> RunOptions:
    """Return the options of a run, of those of `run` and `trace`; the backend is what was asked for."""
    return RunOptions(
        spec=options.backend or "",
        seed=options.seed,
        timeout_s=options.timeout,
        system=options.system,
        ground=options.ground,
        dialect=dialect_for(options.ground, options.dialect),
        threads=options.threads,
        scenarios_dir=options.scenarios_dir,
        **more,
    )
