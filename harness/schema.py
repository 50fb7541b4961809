"""The published JSON schemas, and data held against them.

This is the part of JSON Schema 2020-12 that those schemas use, and no more: a keyword that is not
known is an error, so that a schema cannot ask for something that nobody checks. The library
`jsonschema` does it all, but rests on a compiled one, for which the BSDs find no wheel; the tests
hold this against it.
"""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Check = Callable[[Any], None]

#: Keywords that say nothing about the data.
_NOTES: Final = {"$schema", "$id", "$defs", "title", "description"}

#: Characters of a wrong value that a message shows.
_SHOWN: Final = 60

_KINDS: Final[dict[str, tuple[str, type | tuple[type, ...]]]] = {
    "object": ("an object", dict),
    "array": ("a list", list),
    "string": ("text", str),
    "integer": ("a whole number", (int, float)),
    "number": ("a number", (int, float)),
    "boolean": ("true or false", bool),
    "null": ("null", type(None)),
}


class Mismatch(Exception):
    """Data is not as its schema says.

    Attributes:
        place: where, such as ``results[3] (cancel.idle).law``; empty for the whole.
        problem: what is wrong there, in words.
    """

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.place = ""

    def __str__(self) -> str:
        return f"{self.place}: {self.problem}" if self.place else self.problem

    def within(self, step: str) -> Mismatch:
        """Put one more step in front of the place."""
        dot = "." if self.place and not self.place.startswith("[") else ""
        self.place = f"{step}{dot}{self.place}"
        return self


def path(name: str = "run-1") -> Path:
    """Find a published JSON schema: inside the installed package, or in a checkout.

    Args:
        name: ``run-1`` is that of `run.json`, ``mutants-1`` that of `mutants.json`.

    Raises:
        HarnessError: it is in neither place.
    """
    package = Path(__file__).resolve().parent
    # The installed one first: beside an installed package stand other people's packages.
    for folder in (package / "_schema", package.parent / "reports" / "schema"):
        found = folder / f"{name}.schema.json"
        if found.is_file():
            return found
    raise HarnessError(f"{name}.schema.json is not installed with the package")


@functools.cache
def published(name: str, *, complete: bool) -> Check:
    """Return the check of a published schema.

    Args:
        name: as for `path`.
        complete: False for the shape alone: what is there is of its kind. An older file has fewer
            properties, and a reader shows a strange text as well as any other.
    """
    return checker(json.loads(path(name).read_text(encoding="utf-8")), complete=complete)


def of(document: str, *, complete: bool) -> Check:
    """Return the check of what a document says that it follows.

    Args:
        document: its `schema`, such as ``reactorlab.run/1``.
        complete: as for `published`.
    """
    return published(document.removeprefix("reactorlab.").replace("/", "-"), complete=complete)


def checker(schema: Mapping[str, Any], *, complete: bool = True) -> Check:
    """Make a function that raises `Mismatch` for data that is not as the schema says.

    Args:
        schema: of the keywords that this module knows.
        complete: False to check the kinds of values (`type`), and nothing else.

    Raises:
        ValueError: the schema has a keyword, a type or a reference that is not known.
    """
    return _Compiler(schema, complete=complete).compile(schema)


class _Compiler:
    def __init__(self, root: Mapping[str, Any], *, complete: bool) -> None:
        self._root = root
        self._complete = complete
        self._named: dict[str, Check | None] = {}

    def compile(self, schema: Mapping[str, Any]) -> Check:
        checks = []
        known = {"required", "properties", "additionalProperties", "items", *_NOTES}
        for keyword, value in schema.items():
            if keyword in _VALUES:
                if self._complete:
                    checks.append(_VALUES[keyword](value))
            elif keyword == "type":
                checks.append(_kind(value))
            elif keyword == "$ref":
                checks.append(self._reference(value))
            elif keyword not in known:
                raise ValueError(f"a schema's keyword {keyword!r} is not known here")
        if {"required", "properties", "additionalProperties"} & schema.keys():
            checks.append(self._object(schema))
        if "items" in schema:
            checks.append(_list(self.compile(schema["items"])))
        if len(checks) == 1:
            return checks[0]

        def check(value: Any) -> None:
            for one in checks:
                one(value)

        return check

    def _reference(self, name: str) -> Check:
        prefix = "#/$defs/"
        key = name.removeprefix(prefix)
        if not name.startswith(prefix) or key not in self._root.get("$defs", {}):
            raise ValueError(f"a schema's reference {name!r} leads nowhere")
        if key not in self._named:
            self._named[key] = None  # being made: it may refer to itself
            self._named[key] = self.compile(self._root["$defs"][key])
        found = self._named[key]
        if found is not None:
            return found

        def later(value: Any) -> None:
            made = self._named[key]
            assert made is not None
            made(value)

        return later

    def _object(self, schema: Mapping[str, Any]) -> Check:
        required = tuple(schema.get("required", ())) if self._complete else ()
        own = {name: self.compile(part) for name, part in schema.get("properties", {}).items()}
        rest = schema.get("additionalProperties", True)
        others = None if isinstance(rest, bool) else self.compile(rest)
        closed = rest is False

        def check(value: Any) -> None:
            if not isinstance(value, dict):
                return
            missing = [name for name in required if name not in value]
            if missing:
                raise Mismatch(f"missing {', '.join(missing)}")
            for name, item in value.items():
                one = own.get(name, others)
                if one is None:
                    if closed:
                        raise Mismatch(f"{_say(name)} is not a property of it")
                    continue
                try:
                    one(item)
                except Mismatch as exc:
                    raise exc.within(name if len(name) <= _SHOWN else f"{name[:_SHOWN]}…") from None

        return check


def _list(check_item: Check) -> Check:
    def check(value: Any) -> None:
        if not isinstance(value, list):
            return
        for index, item in enumerate(value):
            try:
                check_item(item)
            except Mismatch as exc:
                named = item.get("id", item.get("name")) if isinstance(item, dict) else None
                step = f"[{index}]"
                if isinstance(named, str):
                    step += f" ({named[:_SHOWN]})"
                raise exc.within(step) from None

    return check


def _kind(names: str | list[str]) -> Check:
    allowed = [names] if isinstance(names, str) else names
    unknown = set(allowed) - _KINDS.keys()
    if unknown:
        raise ValueError(f"a schema's type {min(unknown)!r} is not known here")
    classes = tuple({_KINDS[name][1] for name in allowed})
    flat = tuple(one for item in classes for one in (item if isinstance(item, tuple) else (item,)))
    said = " or ".join(_KINDS[name][0] for name in allowed)
    number = {"integer", "number"} & set(allowed)
    whole = "integer" in allowed and "number" not in allowed

    def check(value: Any) -> None:
        fits = isinstance(value, flat)
        if fits and number:
            if isinstance(value, bool):
                fits = "boolean" in allowed
            elif isinstance(value, float) and whole:
                fits = value.is_integer()
        if not fits:
            raise Mismatch(f"must be {said}, not {_say(value)}")

    return check


def _one_of(values: list[Any]) -> Check:
    def check(value: Any) -> None:
        if not any(_same(value, one) for one in values):
            raise Mismatch(f"{_say(value)} is none of {', '.join(map(str, values))}")

    return check


def _const(wanted: Any) -> Check:
    def check(value: Any) -> None:
        if not _same(value, wanted):
            raise Mismatch(f"must be {_say(wanted)}, not {_say(value)}")

    return check


def _same(one: Any, other: Any) -> bool:
    """Equal as JSON: true is not 1."""
    return one == other and isinstance(one, bool) is isinstance(other, bool)


def _at_least(limit: float) -> Check:
    def check(value: Any) -> None:
        if _is_number(value) and value < limit:
            raise Mismatch(f"must be at least {limit}, not {_say(value)}")

    return check


def _above(limit: float) -> Check:
    def check(value: Any) -> None:
        if _is_number(value) and value <= limit:
            raise Mismatch(f"must be more than {limit}, not {_say(value)}")

    return check


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _longer(kind: type, noun: str) -> Callable[[int], Check]:
    def make(least: int) -> Check:
        def check(value: Any) -> None:
            if isinstance(value, kind) and len(value) < least:  # type: ignore[arg-type]
                raise Mismatch(f"must have at least {least} {noun}")

        return check

    return make


def _pattern(text: str) -> Check:
    found = re.compile(text).search

    def check(value: Any) -> None:
        if isinstance(value, str) and not found(value):
            raise Mismatch(f"{_say(value)} is not of the form {text}")

    return check


#: What narrows a value that is of its kind.
_VALUES: Final[dict[str, Callable[[Any], Check]]] = {
    "enum": _one_of,
    "const": _const,
    "minimum": _at_least,
    "exclusiveMinimum": _above,
    "minLength": _longer(str, "character(s)"),
    "minItems": _longer(list, "item(s)"),
    "pattern": _pattern,
}


def _say(value: Any) -> str:
    """Show a value in one short line."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str) and len(value) > _SHOWN:
        value = f"{value[:_SHOWN]}…"
    return ascii(value) if isinstance(value, str) else json.dumps(value)[: _SHOWN * 2]
