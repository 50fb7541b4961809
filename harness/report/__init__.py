"""The report of one run: data for programs, and three forms of it for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..files import put
from ..schema import path as schema_path
from . import html, junit, summary

if TYPE_CHECKING:
    from pathlib import Path

    from ..model import Run

__all__ = ["schema_path", "write"]


def write(run: Run, folder: Path) -> list[Path]:
    """Write the report of a run into a folder, which is made if it is not there.

    Each file is there whole or not at all, and `run.json` first: the others are made from the same
    data, and can be made again.

    Returns:
        The paths of `run.json`, `junit.xml`, `summary.md` and `index.html`.

    Raises:
        OSError: the folder cannot be made, or a file cannot be written.
    """
    data = folder / "run.json"
    run.save(data)
    return [
        data,
        put(folder / "junit.xml", junit.render(run)),
        put(folder / "summary.md", summary.render(run).encode()),
        put(folder / "index.html", html.render(run).encode()),
    ]
