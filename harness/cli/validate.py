"""``reactorlab validate``: hold files against the published schemas."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import collection, jsonfile, schema
from ..errors import HarnessError
from ..model import AS_EXPECTED, BROKEN
from ..report import words
from .show import console, plain

if TYPE_CHECKING:
    import argparse


def main(options: argparse.Namespace) -> int:
    """Say of each file whether it follows its schema; returns the exit code."""
    code = AS_EXPECTED
    for path in collection.find(options.places):
        try:
            name = _check(jsonfile.read(path), str(path))
        except HarnessError as exc:
            console(stderr=True).print(plain(words.one_line(f"reactorlab: {exc}")), soft_wrap=True)
            code = BROKEN
        else:
            console().print(plain(f"{path}: follows {name}"), soft_wrap=True)
    return code


def _check(data: object, place: str) -> str:
    name = collection.schema_of(data, place)
    try:
        schema.of(name, complete=True)(data)
        if name == collection.MERGED:
            for index, run in enumerate(data["runs"]):  # type: ignore[index]
                _check(run, f"{place}: runs[{index}]")
            for index, other in enumerate(data["others"]):  # type: ignore[index]
                _check(other, f"{place}: others[{index}]")
    except schema.Mismatch as exc:
        raise HarnessError(f"{place}: {exc}") from None
    return name
