"""Many runs as one: what `reactorlab merge` makes, and what the board, diffs and summaries read.

A collection is a set of runs, by their ids. So it does not matter in which order runs are put
together, or how often: the file of a collection is the same, byte for byte.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from . import jsonfile, schema
from .column import Column
from .errors import HarnessError
from .model import (
    AS_EXPECTED,
    BROKEN,
    NOTHING_MATCHED,
    SCHEMA,
    UNEXPECTED,
    Run,
    RunFileError,
    Status,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from .model import Result

#: What the file of a collection says of itself.
MERGED: Final = "reactorlab.merged/1"

#: Its name in the folder that a merge writes.
NAME: Final = "merged.json"

#: What else a folder of reports may hold, by what it says of itself.
_OTHERS: Final = {
    "reactorlab.mutants/1": "mutants",
    "reactorlab.explored/1": "explored",
    "reactorlab.bench/2": "bench",
}

#: In which files of a folder these are looked for.
NAMES: Final = ("run.json", NAME, "mutants.json", "explored.json", "bench.json")


@dataclass(slots=True)
class Collection:
    """Runs by id, and what else was measured, by kind and digest."""

    runs: dict[str, Run] = field(default_factory=dict)
    others: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, run: Run) -> None:
        """Put a run in; of two with one id, the one that came further is kept."""
        there = self.runs.get(run.info.id)
        if there is None or (there is not run and _rank(there) < _rank(run)):
            self.runs[run.info.id] = run

    def add_other(self, data: dict[str, Any]) -> None:
        """Put in what is no run; the same thing twice is one."""
        kind = _OTHERS[data["schema"]]
        self.others.setdefault(kind, {})[_digest(data)] = data

    def update(self, other: Collection) -> None:
        """Put everything of another collection in."""
        for run in other.runs.values():
            self.add(run)
        for found in other.others.values():
            for data in found.values():
                self.add_other(data)

    def found(self, kind: str) -> list[dict[str, Any]]:
        """Return what there is of `mutants`, `explored` or `bench`, in a fixed order."""
        there = self.others.get(kind, {})
        return [there[key] for key in sorted(there)]

    # -- Its file

    def to_json(self) -> dict[str, Any]:
        """Return what `merged.json` holds; it depends on what is in it, and on nothing else."""
        return {
            "schema": MERGED,
            "runs": [self.runs[key].to_json() for key in sorted(self.runs)],
            "others": [
                found[key] for _, found in sorted(self.others.items()) for key in sorted(found)
            ],
        }

    def save(self, path: Path) -> Path:
        """Write `merged.json`, whole or not at all; returns its path."""
        return jsonfile.write(path, self.to_json())

    @classmethod
    def from_json(cls, data: Any, place: str) -> Collection:
        """Make it from any of the documents that a merge takes.

        Raises:
            RunFileError: it is none of them, or something in it is missing or of another kind.
        """
        made = cls()
        if schema_of(data, place) != MERGED:
            made._take(data, place)
            return made
        for name in ("runs", "others"):
            if not isinstance(data.get(name), list):
                raise RunFileError(f"{place}: `{name}` must be a list")
            for index, item in enumerate(data[name]):
                made._take(item, f"{place}: {name}[{index}]")
        return made

    def _take(self, data: Any, place: str) -> None:
        name = schema_of(data, place)
        if name == MERGED:
            raise RunFileError(f"{place}: a merge inside a merge")
        if name == SCHEMA:
            self.add(Run.from_json(data, place))
            return
        try:
            schema.of(name, complete=True)(data)
        except schema.Mismatch as exc:
            raise RunFileError(f"{place}: {exc}") from None
        self.add_other(data)

    # -- What it says

    @property
    def columns(self) -> dict[Column, list[Run]]:
        """The runs of each column, the newest last; columns in the order in which one reads them."""
        found: dict[Column, list[Run]] = {}
        for run in self.runs.values():
            found.setdefault(Column.of(run.info), []).append(run)
        return {key: sorted(found[key], key=_age) for key in sorted(found)}

    def current(self) -> dict[Column, Run]:
        """Return one run for each column: what its newest runs say.

        A later run of some scenarios does not hide what an earlier one says of the others, and one
        that ended before a scenario says nothing about it.
        """
        return {column: _newest(runs) for column, runs in self.columns.items()}

    def history(self) -> dict[Column, dict[str, list[tuple[Run, Result]]]]:
        """Return all results of each column by scenario, the newest last."""
        found: dict[Column, dict[str, list[tuple[Run, Result]]]] = {}
        for column, runs in self.columns.items():
            own = found[column] = {}
            for run in runs:
                for result in run.results:
                    own.setdefault(result.id, []).append((run, result))
        return found


def exit_code(runs: Iterable[Run]) -> int:
    """Return what several runs amount to: as `Run.exit_code`, the gravest."""
    codes = {run.exit_code for run in runs}
    for code in (BROKEN, UNEXPECTED):
        if code in codes:
            return code
    return NOTHING_MATCHED if codes <= {NOTHING_MATCHED} else AS_EXPECTED


def _newest(runs: list[Run]) -> Run:
    found: dict[str, Result] = {}
    for run in runs:
        for result in run.results:
            if result.status is not Status.NOTRUN or result.id not in found:
                found[result.id] = result
    # In the order of the run that has most of them.
    order = [result.id for result in max(runs, key=lambda run: len(run.results)).results]
    ids = [
        *(name for name in order if name in found),
        *(name for name in found if name not in order),
    ]
    last = runs[-1].info
    if len(runs) > 1:
        counters: dict[str, int] = {}
        for name in ids:
            for key, value in found[name].counters.items():
                counters[key] = counters.get(key, 0) + value
        last = dataclasses.replace(last, counters=counters)
    return Run(last, [found[name] for name in ids])


def _age(run: Run) -> tuple[str, str]:
    return run.info.started, run.info.id


def _rank(run: Run) -> tuple[str, int, str]:
    return run.info.finished, len(run.results), _digest(run.to_json())


def _digest(data: Any) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def schema_of(data: Any, place: str) -> str:
    """Return which schema a document says that it follows.

    Raises:
        RunFileError: it says none, or one that this does not read.
    """
    said = data.get("schema") if isinstance(data, dict) else None
    if said is None:
        raise RunFileError(f"{place}: not a run report: it has no `schema`")
    known = (SCHEMA, MERGED, *_OTHERS)
    if not isinstance(said, str) or said not in known:
        shown = ascii(said) if isinstance(said, str) else "no text"
        shown = shown if len(shown) <= 60 else f"{shown[:60]}…"
        raise RunFileError(f"{place}: schema is {shown}; this reads {', '.join(known)}")
    return str(said)


def find(places: Iterable[Path], names: Sequence[str] = NAMES) -> Iterator[Path]:
    """Find the files of some places.

    Args:
        places: files, or folders that have some, or folders of such folders.
        names: of the files that are looked for in a folder.

    Raises:
        HarnessError: there is nothing in a place.
    """
    for place in places:
        if place.is_dir():
            found = [place / name for name in names if (place / name).is_file()] or sorted(
                path for name in names for path in place.glob(f"*/{name}") if path.is_file()
            )
            if not found:
                raise HarnessError(f"{place}: no {' or '.join(names)} in it or one folder below")
            yield from found
        elif place.exists():
            yield place
        else:
            raise HarnessError(f"{place}: no such place")


def load(places: Iterable[Path]) -> Collection:
    """Read everything in some places.

    Raises:
        HarnessError: there is nothing in a place, or a file cannot be read; names it.
    """
    made = Collection()
    for path in find(places):
        made.update(Collection.from_json(jsonfile.read(path, RunFileError), str(path)))
    return made
