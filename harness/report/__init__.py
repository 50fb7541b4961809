"""The report of one run: data for programs, and three forms of it for people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import HarnessError
from . import html, junit, summary
from .files import put

if TYPE_CHECKING:
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


def schema_path(name: str = "run-1") -> Path:
    """Find a published JSON schema: inside the installed package, or in a checkout.

    Args:
        name: ``run-1`` is that of `run.json`, ``mutants-1`` that of `mutants.json`.

    Raises:
        HarnessError: it is in neither place.
    """
    package = Path(__file__).resolve().parents[1]
    # The installed one first: beside an installed package stand other people's packages.
    for folder in (package / "_schema", package.parent / "reports" / "schema"):
        path = folder / f"{name}.schema.json"
        if path.is_file():
            return path
    raise HarnessError(f"{name}.schema.json is not installed with the package")
