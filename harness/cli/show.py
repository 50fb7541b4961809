"""What the verbs share in showing things: consoles, JSON, and the options of a run."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from reactor import BackendError, backends
from reactor.system import SYSTEMS

from ..engine import RunOptions
from ..errors import HarnessError
from ..report import words

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


def spec_of(options: argparse.Namespace) -> str:
    """Return the backend specification that the options ask for.

    Raises:
        HarnessError: there is no such backend, waker or timer.
    """
    spec = backends.choose(options.backend, SYSTEMS[options.system]())
    try:
        backends.parse(spec)
    except BackendError as exc:
        raise HarnessError(str(exc)) from exc
    return spec


def run_options(options: argparse.Namespace, **more: Any) -> RunOptions:
    """Return the options of a run, of those of `run` and `trace`."""
    return RunOptions(
        spec=spec_of(options),
        seed=options.seed,
        timeout_s=options.timeout,
        system=options.system,
        threads=options.threads,
        scenarios_dir=options.scenarios_dir,
        **more,
    )
