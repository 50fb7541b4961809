"""Scenarios: the decorator that makes one, the record that it makes, and the catalogue of all.

A scenario module is content. It is loaded by its path, once, and every `@scenario` that runs while
it loads goes into the catalogue being made; two functions of the same name are two scenarios.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, get_args

from .errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .lab import Lab

Strictness = Literal["MUST", "SHOULD", "INFO"]
Clock = Literal["real", "fake"]
ScenarioFunction = Callable[["Lab"], Awaitable[None]]

_F = TypeVar("_F", bound=Callable[[Any], Awaitable[None]])

#: The number of laws in the contract.
LAWS: Final = 10

_WORD = r"[a-z0-9]+(?:-[a-z0-9]+)*"
_ID = re.compile(rf"{_WORD}(?:\.{_WORD})+")
_NAME = re.compile(_WORD)
_CAPABILITY = re.compile(r"[a-z0-9]+(?:[-_][a-z0-9]+)*")


class ScenarioError(HarnessError):
    """A scenario, or the folder of scenarios, is not as it must be; names the place."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One law in one situation.

    Attributes:
        id: ``family.what-happens``; unique in its catalogue.
        family: the part of the id before the first dot, unless given.
        law: number of the law that it is an instance of, from 1.
        law_text: that law in this situation: the first paragraph of the docstring, on one line.
        title: a few words for the board.
        strictness: ``MUST``, ``SHOULD``, or ``INFO``, which is recorded and never fails a run.
        needs: names of the capabilities without which it is UNSUPPORTED.
        provenance: the real bug, issue or manual page that it comes from.
        permits: the outcomes in which kernels may differ, each with its reason.
        clock: ``real``, or ``fake`` for a clock that only the scenario turns.
        patience: how many times the deadline of a run it may take, being long on purpose.
        function: the scenario itself.
        source: file name and line of the function, for people.
    """

    id: str
    family: str
    law: int
    law_text: str
    title: str
    strictness: Strictness
    needs: tuple[str, ...]
    provenance: str
    permits: Mapping[str, str]
    clock: Clock
    patience: float
    function: ScenarioFunction = field(compare=False, repr=False)
    source: str = field(default="", compare=False)


_loading: ContextVar[list[Scenario] | None] = ContextVar("_loading", default=None)


def scenario(
    *,
    id: str,  # noqa: A002 - what everybody calls it
    law: int,
    provenance: str,
    family: str | None = None,
    title: str | None = None,
    strictness: Strictness = "MUST",
    needs: Iterable[str] = (),
    permits: Mapping[str, str] | None = None,
    clock: Clock = "real",
    patience: float = 1.0,
) -> Callable[[_F], _F]:
    """Make an async function that takes a `Lab` a scenario; its docstring states the law.

    Args:
        id: ``family.what-happens``: lower case, digits and dashes.
        law: number of the law, 1 to 10.
        provenance: the real bug, issue or manual page that it comes from.
        family: when it is not the first part of the id.
        title: a few words for the board; by default the rest of the id.
        strictness: ``MUST``, ``SHOULD`` or ``INFO``.
        needs: names of probed capabilities.
        permits: variant name to the reason why a kernel may show it.
        clock: ``real`` or ``fake``.
        patience: how many times the deadline of a run it may take, 1 or more.

    Raises:
        ScenarioError: something of this is missing or malformed; names the scenario and what.
    """

    def register(function: _F) -> _F:
        code = inspect.unwrap(function).__code__
        where = f"{Path(code.co_filename).name}:{code.co_firstlineno}"
        made = Scenario(
            id=id,
            family=str(id).partition(".")[0] if family is None else family,
            law=law,
            law_text=_first_paragraph(inspect.getdoc(function)),
            title=str(id).partition(".")[2].replace("-", " ") if title is None else title,
            strictness=strictness,
            needs=(needs,) if isinstance(needs, str) else tuple(needs),
            provenance=provenance,
            permits=MappingProxyType(dict(permits or {})),
            clock=clock,
            patience=patience,
            function=function,
            source=where,
        )
        problems = list(_problems(made))
        if problems:
            raise ScenarioError(f"{where}: scenario {id!r}: {'; '.join(problems)}")
        collected = _loading.get()
        if collected is not None:
            collected.append(made)
        function.__scenario__ = made  # type: ignore[attr-defined]
        return function

    return register


def _problems(made: Scenario) -> Iterator[str]:
    if not isinstance(made.id, str) or not _ID.fullmatch(made.id):
        yield "id must be family.what-happens, in lower case, digits and dashes"
    if not _NAME.fullmatch(made.family):
        yield f"family {made.family!r} must be lower case, digits and dashes"
    if type(made.law) is not int or not 1 <= made.law <= LAWS:
        yield f"law must be a number from 1 to {LAWS}, not {made.law!r}"
    if not made.law_text:
        yield "the docstring must state the law in one sentence"
    if not made.title.strip():
        yield "title is empty"
    if made.strictness not in get_args(Strictness):
        yield f"strictness must be {' or '.join(get_args(Strictness))}, not {made.strictness!r}"
    if made.clock not in get_args(Clock):
        yield f"clock must be {' or '.join(get_args(Clock))}, not {made.clock!r}"
    if type(made.patience) not in (int, float) or not 1 <= made.patience < float("inf"):
        yield f"patience must be a number from 1, not {made.patience!r}"
    if not isinstance(made.provenance, str) or not made.provenance.strip():
        yield "provenance is empty: name the bug, issue or manual page that it comes from"
    if not all(isinstance(name, str) and _CAPABILITY.fullmatch(name) for name in made.needs):
        yield f"needs must be names of capabilities, not {made.needs!r}"
    for name, reason in made.permits.items():
        if not isinstance(reason, str) or not reason.strip():
            yield f"permit {name!r} has no reason"
    if not inspect.iscoroutinefunction(made.function):
        yield "it must be an async function"
    elif len(inspect.signature(made.function).parameters) != 1:
        yield "it must take one argument, the lab"


def _first_paragraph(text: str | None) -> str:
    return " ".join((text or "").partition("\n\n")[0].split())


class Catalogue:
    """All scenarios of one folder, by id, in the order of file and line."""

    def __init__(self, scenarios: Iterable[Scenario], folder: Path) -> None:
        self.folder = folder
        self._by_id: dict[str, Scenario] = {}
        for item in scenarios:
            other = self._by_id.setdefault(item.id, item)
            if other is not item:
                raise ScenarioError(
                    f"{item.source}: scenario {item.id!r} is there already, in {other.source}"
                )

    def __iter__(self) -> Iterator[Scenario]:
        return iter(self._by_id.values())

    def __len__(self) -> int:
        return len(self._by_id)

    def __contains__(self, scenario_id: object) -> bool:
        return scenario_id in self._by_id

    @property
    def families(self) -> tuple[str, ...]:
        """The families, in order of first appearance."""
        return tuple(dict.fromkeys(item.family for item in self))

    def get(self, scenario_id: str) -> Scenario:
        """Return the scenario with that id.

        Raises:
            ScenarioError: there is none; names those that look like it.
        """
        try:
            return self._by_id[scenario_id]
        except KeyError:
            raise ScenarioError(unknown("scenario", scenario_id, self._by_id)) from None


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Say that there is no such thing, and what looks like it."""
    import difflib

    choices = list(known)
    close = difflib.get_close_matches(name, choices, n=3) or (choices if len(choices) <= 8 else [])
    hint = f"; is it {' or '.join(close)}?" if close else ""
    return f"there is no {kind} {name!r}{hint}"


def scenarios_folder() -> Path:
    """Find the catalogue: inside the installed package, or beside it in a checkout.

    Raises:
        ScenarioError: it is in neither place.
    """
    package = Path(__file__).resolve().parent
    # The installed one first: beside an installed package stand other people's packages.
    for folder in (package / "_scenarios", package.parent / "scenarios"):
        if folder.is_dir():
            return folder
    raise ScenarioError("no scenarios folder found; give one with --scenarios-dir")


def load(folder: Path | str | None = None) -> Catalogue:
    """Load every scenario module of a folder, in the order of their names.

    Args:
        folder: by default the project's own catalogue; names that begin with ``_`` are left out.

    Raises:
        ScenarioError: the folder or a module cannot be loaded, or an id stands twice.
    """
    path = scenarios_folder() if folder is None else Path(folder)
    if not path.is_dir():
        raise ScenarioError(f"{path}: no such folder of scenarios")
    found: list[Scenario] = []
    for file in sorted(path.glob("*.py")):
        if not file.name.startswith("_"):
            found += load_file(file)
    return Catalogue(found, path)


def load_file(file: Path) -> list[Scenario]:
    """Load one scenario module by its path.

    Raises:
        ScenarioError: it cannot be loaded; says where and why.
    """
    # Dataclasses and pickles look their module up, so it must be known by a name; by the path's
    # digest, so that it is nobody else's.
    digest = hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:12]
    name = f"_scenarios_{digest}_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    collected: list[Scenario] = []
    token = _loading.set(collected)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except ScenarioError:
        raise
    except Exception as exc:
        raise ScenarioError(f"{_place(file, exc)}: {type(exc).__name__}: {exc}") from exc
    finally:
        _loading.reset(token)
    return collected


def _place(file: Path, exc: Exception) -> str:
    """Name the line of `file` at which loading stopped."""
    if isinstance(exc, SyntaxError) and exc.lineno is not None:
        return f"{file}:{exc.lineno}"
    line = None
    frame = exc.__traceback__
    while frame is not None:
        if frame.tb_frame.f_code.co_filename == str(file):
            line = frame.tb_lineno
        frame = frame.tb_next
    return f"{file}:{line}" if line else str(file)
