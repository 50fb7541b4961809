"""Where the benchmarks are: inside the installed package, or beside it in a checkout."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import HarnessError

if TYPE_CHECKING:
    from types import ModuleType


def load(name: str) -> ModuleType:
    """Import a module of the benchmarks.

    Args:
        name: such as ``cli`` or ``tables``.

    Raises:
        HarnessError: they are in neither place.
    """
    package = Path(__file__).resolve().parent
    # The installed one first: beside an installed package stand other people's packages.
    if (package / "_bench").is_dir():
        return importlib.import_module(f"{__package__}._bench.{name}")
    beside = package.parent / "bench"
    if (beside / "bars.toml").is_file():
        try:
            found = importlib.import_module(f"bench.{name}")
        except ModuleNotFoundError as exc:
            if exc.name not in {"bench", f"bench.{name}"}:
                raise
        else:
            if Path(str(found.__file__)).resolve().parent == beside:
                return found
    raise HarnessError("the benchmarks are not installed with the package")
