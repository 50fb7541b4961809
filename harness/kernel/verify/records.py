"""Records: programs, and what a live kernel answered, in a file that any machine can check."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ..dialects import DIALECTS
from .grounds import EXTENSIONS
from .programs import checked

if TYPE_CHECKING:
    from pathlib import Path

    from .player import Step

#: What a file says of itself; the number rises when a step comes to mean something else.
SCHEMA = "reactorlab.kernel-record/1"

_FIELDS = {"schema": str, "dialect": str, "uname": dict, "extensions": list, "programs": list}
_UNAME = ("system", "release", "machine")


@dataclass(frozen=True)
class Entry:
    """One program, and for each step the answer and what poll(2) saw after it."""

    steps: list[Step]
    answers: list[Any]


@dataclass(frozen=True)
class Record:
    """What one machine answered.

    Attributes:
        dialect: that it is to be held against.
        uname: ``system``, ``release`` and ``machine``, as uname(1) gives them.
        extensions: which of `EXTENSIONS` it had; programs used no others.
        programs: the programs and their answers.
    """

    dialect: str
    uname: dict[str, str]
    extensions: list[str]
    programs: list[Entry]


def this_machine() -> dict[str, str]:
    """Return what a record says of the machine that it was made on."""
    said = platform.uname()
    return {name: getattr(said, name) for name in _UNAME}


def write(file: Path, record: Record) -> None:
    """Write a record, one program a line; where poll(2) saw the same as before there is a null."""
    head = {"schema": SCHEMA, **asdict(record)}
    del head["programs"]
    lines = ",\n".join(
        json.dumps({"steps": entry.steps, "answers": _packed(entry.answers)}, separators=(",", ":"))
        for entry in record.programs
    )
    text = json.dumps(head, indent=1)[:-2] + ',\n "programs": [\n' + lines + "\n ]\n}\n"
    file.write_text(text, encoding="utf-8")


def read(file: Path) -> Record:
    """Read a record back.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no record, or one of another version.
    """
    data: Any = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise ValueError(f"not a record of schema {SCHEMA}")
    for name, kind in _FIELDS.items():
        if not isinstance(data.get(name), kind):
            raise ValueError(f"{name!r} is missing, or no {kind.__name__}")  # noqa: TRY004 - one kind of error for who reads a file
    if data["dialect"] not in DIALECTS:
        raise ValueError(f"unknown dialect {data['dialect']!r}")
    if not all(isinstance(data["uname"].get(name), str) for name in _UNAME):
        raise ValueError(f"'uname' needs {', '.join(_UNAME)}")
    if not set(data["extensions"]) <= set(EXTENSIONS):
        raise ValueError(f"'extensions' are of {', '.join(EXTENSIONS)}")
    programs = [_entry(item) for item in data["programs"]]
    return Record(data["dialect"], data["uname"], data["extensions"], programs)


def _entry(item: Any) -> Entry:
    if not isinstance(item, dict) or not isinstance(item.get("answers"), list):
        raise ValueError("a program needs 'steps' and 'answers'")  # noqa: TRY004 - as above
    steps = checked(item.get("steps"))
    if len(item["answers"]) != len(steps) or not all(
        isinstance(answer, list) and len(answer) == 2 for answer in item["answers"]
    ):
        raise ValueError("each step has one answer, and what poll(2) saw after it")
    return Entry(steps, _unpacked(item["answers"]))


def _packed(answers: list[Any]) -> list[Any]:
    seen = [None, *(look for _, look in answers)]
    return [
        [answer, None if look == before else look]
        for (answer, look), before in zip(answers, seen, strict=False)
    ]


def _unpacked(answers: list[Any]) -> list[Any]:
    found, seen = [], None
    for answer, look in answers:
        seen = seen if look is None else look
        found.append([answer, seen])
    return found
