"""What a place needs to run scenarios: the packages and the catalogue, as source.

The engine and everything under it need nothing but the standard library, so that a bare interpreter
is enough there.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import reactor

from ..scenario import scenarios_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The folder of scenarios inside the package, where an installed one has them too.
_SCENARIOS = "harness/_scenarios"


def pack(scenarios_dir: Path | None = None, expectations: Path | None = None) -> bytes:
    """Return a zip archive of what a place needs.

    Args:
        scenarios_dir: a folder of scenarios instead of the project's.
        expectations: an expectation file instead of the folder's.

    Raises:
        ScenarioError: there is no catalogue.
        OSError: a file cannot be read.
    """
    folder = scenarios_folder() if scenarios_dir is None else scenarios_dir
    harness = Path(__file__).resolve().parents[1]
    files = dict(_files(Path(reactor.__file__).resolve().parent, "reactor"))
    files |= {
        name: path
        for name, path in _files(harness, "harness")
        if not name.startswith(("harness/_scenarios/", "harness/_schema/", "harness/_bench/"))
    }
    files |= dict(_files(folder, _SCENARIOS))
    if expectations is not None:
        files[f"{_SCENARIOS}/expectations.toml"] = expectations
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, path in sorted(files.items()):
            archive.writestr(name, path.read_bytes())
    return packed.getvalue()


def _files(folder: Path, place: str) -> Iterator[tuple[str, Path]]:
    for path in folder.rglob("*"):
        if path.is_file() and path.parent.name != "__pycache__":
            yield f"{place}/{path.relative_to(folder).as_posix()}", path
