"""Differences that are permitted, read from ``permits.toml``, which says what its keys mean."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, cast

FILE = Path(__file__).with_name("permits.toml")

_NEEDED = {"dialects", "reason", "source"}
_CONDITIONS = {"before", "steps", "after", "bits", "live", "model"}


@dataclass(frozen=True)
class Permit:
    """One permitted difference; the fields are the keys of the file, empty where it has none."""

    name: str
    dialects: tuple[str, ...]
    reason: str
    source: str
    before: str = ""
    steps: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    bits: tuple[str, ...] = ()
    live: tuple[str, ...] = ()
    model: tuple[str, ...] = ()

    def concerns(self, dialect: str, release: str) -> bool:
        """Tell whether it is about this dialect and kernel at all."""
        return dialect in self.dialects and (not self.before or not at_least(release, self.before))

    def allows(self, step: str, live: Any, model: Any, history: list[Any]) -> bool:
        """Tell whether the answers to a step may differ so.

        Args:
            step: the name of the call.
            live: what the live kernel answered, and what poll(2) saw afterwards.
            model: the same of the model.
            history: the answers, on either, from the program's beginning to this step.
        """
        if self.steps and not any(fnmatchcase(step, word) for word in self.steps):
            return False
        if self.after and not any(
            fnmatchcase(text, word)
            for text in _texts([answer for answer, _ in history])
            for word in self.after
        ):
            return False
        if self.bits and _without(live, self.bits) != _without(model, self.bits):
            return False
        return _among(live[0], self.live) and _among(model[0], self.model)


def version(release: str) -> list[int]:
    """Return the numbers of a release, such as 6.12.9-generic, without what is behind a dash."""
    return [int(word) for word in re.findall(r"\d+", release.partition("-")[0])]


def at_least(release: str, least: str) -> bool:
    """Tell whether a release is not older than another."""
    return version(release) >= version(least)


def _among(answer: Any, words: tuple[str, ...]) -> bool:
    return not words or any(fnmatchcase(json.dumps(answer), word) for word in words)


def _texts(answer: Any) -> list[str]:
    if isinstance(answer, list):
        return [text for item in answer for text in _texts(item)]
    return [answer] if isinstance(answer, str) else []


def _without(answer: Any, bits: tuple[str, ...]) -> Any:
    """Leave bits out of every mask, and an event or a look that held nothing else."""
    if isinstance(answer, str):
        return "|".join(word for word in answer.split("|") if word not in bits)
    if isinstance(answer, list):
        items = [_without(item, bits) for item in answer]
        return [item for item in items if not (isinstance(item, list) and item[-1:] == [""])]
    return answer


def load(file: Path = FILE) -> list[Permit]:
    """Read the permits.

    Raises:
        ValueError: a permit lacks its reason or source, has a key that is not known, or no
            condition at all.
    """
    permits = []
    for name, table in tomllib.loads(file.read_text(encoding="utf-8")).items():
        keys = set(table)
        if not keys >= _NEEDED or keys - _NEEDED - _CONDITIONS or keys <= {*_NEEDED, "before"}:
            raise ValueError(f"permit {name}: needs {', '.join(sorted(_NEEDED))} and a condition")
        fields = {
            key: tuple(value) if isinstance(value, list) else str(value)
            for key, value in table.items()
        }
        permits.append(Permit(name, **cast("dict[str, Any]", fields)))
    return permits
