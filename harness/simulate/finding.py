"""Findings as files: the program, what it showed, and what plays it again."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from .. import environment
from ..errors import HarnessError
from ..files import put
from .player import Outcome, play
from .program import Program, ProgramError, from_data, script
from .things import Finding

if TYPE_CHECKING:
    from pathlib import Path

#: What a file says of itself.
SCHEMA = "reactorlab.program/1"

#: A file that is larger than this, in bytes, is none of ours.
_MOST = 1 << 20


@dataclass(frozen=True)
class Saved:
    """What a file holds.

    Attributes:
        program: the program.
        digest: of its play; "" when that was not known.
        finding: the law that did not hold, None for a program that is kept although all did.
    """

    program: Program
    digest: str
    finding: Finding | None


def save(path: Path, program: Program, outcome: Outcome) -> None:
    """Write a program and what came of it.

    Raises:
        HarnessError: it cannot be written.
    """
    data = {
        "schema": SCHEMA,
        "version": environment.version(),
        "finding": None if outcome.first is None else asdict(outcome.first),
        "digest": outcome.digest,
        "program": program.to_data(),
        "script": script(program),
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        put(path, _text(data).encode())
    except OSError as exc:
        raise HarnessError(f"cannot write {path}: {exc}") from exc


def load(path: Path) -> Saved:
    """Read a file of `save`.

    Raises:
        HarnessError: it cannot be read, or is another file.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(_MOST + 1)
        if len(raw) > _MOST:
            raise ProgramError("it is too large")
        data = json.loads(raw.decode("utf-8"))
        if not isinstance(data, dict) or data.get("schema") != SCHEMA:
            raise ProgramError(f"it is no {SCHEMA}")
        return Saved(from_data(data.get("program")), _digest(data), _finding(data.get("finding")))
    except OSError as exc:
        raise HarnessError(f"cannot read {path}: {exc.strerror or exc}") from exc
    except RecursionError:
        raise HarnessError(f"cannot replay {path}: it is too deep") from None
    except ValueError as exc:
        raise HarnessError(f"cannot replay {path}: {exc}") from exc


def replay(saved: Saved) -> Outcome:
    """Play a saved program again, with its timeline."""
    return play(saved.program, timeline=True)


def _digest(data: dict[str, Any]) -> str:
    digest = data.get("digest", "")
    if not isinstance(digest, str):
        raise ProgramError("its digest is no text")
    return digest


def _finding(data: Any) -> Finding | None:
    if data is None:
        return None
    if (
        isinstance(data, dict)
        and data.keys() == {"law", "detail", "at"}
        and isinstance(data["law"], str)
        and isinstance(data["detail"], str)
        and isinstance(data["at"], int | float)
    ):
        return Finding(data["law"], data["detail"], data["at"])
    raise ProgramError("its finding is none")


def _text(data: dict[str, Any]) -> str:
    """Write JSON with a line for each step."""
    program = data["program"]
    marks: dict[str, str] = {}

    def line(value: Any) -> str:
        mark = f"@{len(marks)}@"
        marks[f'"{mark}"'] = json.dumps(value)
        return mark

    short = {
        **program,
        "tasks": [[line(step) for step in steps] for steps in program["tasks"]],
        "outside": [[line(step) for step in steps] for steps in program["outside"]],
        "faults": [line(fault) for fault in program["faults"]],
        "switches": line(program["switches"]),
    }
    text = json.dumps({**data, "program": short}, indent=1)
    for mark, value in marks.items():
        text = text.replace(mark, value)
    return text + "\n"
