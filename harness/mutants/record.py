"""The report of mutants, which is also what an interrupted run goes on from."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .. import environment, jsonfile
from ..errors import HarnessError
from ..scenario import scenarios_folder
from .model import SOURCE
from .runner import Fate

#: What the file says of itself; ``reports/schema/mutants-1.schema.json`` describes it.
SCHEMA = "reactorlab.mutants/1"

NAME = "mutants.json"


def digest(root: Path | None) -> str:
    """Return a fingerprint of everything that decides what becomes of a mutant.

    Args:
        root: of the checkout whose tests are among the killers, None without one.
    """
    folders = [SOURCE, Path(__file__).resolve().parents[1], scenarios_folder()]
    if root is not None:
        folders += [root / "tests" / "reactor", root / "tests" / "kernel"]
    made = hashlib.sha256()
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.suffix in {".py", ".toml"}:
                made.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return made.hexdigest()


class Record:
    """``mutants.json`` in a folder of reports.

    Args:
        folder: where it is.
        fingerprint: of the code, as `digest` makes it.
        names: of the mutants that are asked for.
    """

    def __init__(self, folder: Path, fingerprint: str, names: list[str]) -> None:
        self.path = folder / NAME
        self._fingerprint = fingerprint
        self._names = names

    def earlier(self) -> dict[str, Fate]:
        """Return the fates of a run of the same mutants and code that was interrupted.

        One of a mutant that was broken or survived is not kept: it is tried again.
        """
        try:
            data = json.loads(self.path.read_text(encoding="utf-8"))
            if data["digest"] != self._fingerprint or data["complete"]:
                return {}
            fates = [Fate(**item) for item in data["mutants"]]
        except (OSError, ValueError, KeyError, TypeError):
            return {}
        return {fate.name: fate for fate in fates if fate.name in self._names and not fate.survived}

    def data(self, fates: list[Fate], *, complete: bool) -> dict[str, Any]:
        """Return the report as plain data, survivors first."""
        return {
            "schema": SCHEMA,
            "version": environment.version(),
            "digest": self._fingerprint,
            "complete": complete,
            "platform": environment.platform_info(),
            "python": environment.python_info(),
            "mutants": [asdict(one) for one in sorted(fates, key=lambda fate: not fate.survived)],
        }

    def write(self, fates: list[Fate], *, complete: bool) -> None:
        """Write it, whole or not at all.

        Raises:
            HarnessError: it cannot be written.
        """
        try:
            jsonfile.write(self.path, self.data(fates, complete=complete), indent=1)
        except OSError as exc:
            raise HarnessError(f"cannot write {self.path}: {exc}") from exc
