"""What ``--on`` says: execnet's specifications, of which two kinds make sense here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

from execnet import XSpec

from ..errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Iterable

_KINDS = ("popen", "ssh")
_OPTIONS = ("python", "ssh_config", "chdir", "nice", "id")


@dataclass(frozen=True, slots=True)
class Place:
    """Where to run: `spec` as it was written, and a `name` of its own that is good for a folder."""

    name: str
    spec: str


def parse(specs: Iterable[str]) -> list[Place]:
    """Read several specifications; the name of each is its ``id``, else made from the rest of it.

    Raises:
        HarnessError: one is malformed, or an ``id`` is there twice.
    """
    places: dict[str, Place] = {}
    for spec in specs:
        name, given = _name(spec)
        if name in places and given:
            raise HarnessError(f"--on {spec}: there are two places with the id {name}")
        number = 1
        unique = name
        while unique in places:
            number += 1
            unique = f"{name}-{number}"
        places[unique] = Place(unique, spec)
    return list(places.values())


def _name(spec: str) -> tuple[str, bool]:
    """Return a name for a place, and whether its author gave it."""
    try:
        found = XSpec(spec)
    except (ValueError, AttributeError, IndexError) as exc:
        raise HarnessError(f"--on {spec}: {exc}") from exc
    keys = [key for key in vars(found) if key != "env" and not key.startswith("_")]
    kinds = [key for key in keys if key not in _OPTIONS]
    if len(kinds) != 1 or kinds[0] not in _KINDS:
        raise HarnessError(
            f"--on {spec}: it is one of popen and ssh=HOST, and then, each behind //, "
            f"{', '.join(f'{key}=' for key in _OPTIONS)} and env:NAME="
        )
    for key in keys:
        value = getattr(found, key)
        if (key == "popen") is not (value is True) or value == "":
            raise HarnessError(f"--on {spec}: {key} takes {'no' if key == 'popen' else 'a'} value")
    if found.id is not None:
        return _clean(found.id), True
    # The host is the last word of what ssh is given; before it may stand options.
    host = "popen" if found.ssh is None else found.ssh.split()[-1]
    python = "" if found.python is None else f"-{PurePath(found.python.split()[0]).name}"
    return _clean(host + python), False


def _clean(text: str) -> str:
    return re.sub(r"[^\w.@+-]+", "-", text).strip(".-") or "place"
