"""What a mutant is, and how it becomes a copy of the library."""

from __future__ import annotations

import shutil
import textwrap
from dataclasses import dataclass
from pathlib import Path

import reactor

from ..errors import HarnessError

#: The library that is copied: the one that this process imported.
SOURCE = Path(reactor.__file__).resolve().parent

SCENARIO = "scenario"
PROGRAM = "program"
SIMULATED = "simulated"
TEST = "test"


class MutantError(HarnessError):
    """A mutant does not fit the code, or cannot be run."""


@dataclass(frozen=True, slots=True)
class Edit:
    """Whole lines of one file, and what stands there instead.

    Attributes:
        file: below the package, such as ``backends/poll.py``.
        before: the lines, without their common indentation; they stand there exactly once.
        after: theirs, relative to the same indentation; nothing for lines that are left out.
    """

    file: str
    before: str
    after: str

    def apply(self, text: str) -> str:
        """Return `text` with the lines replaced.

        Raises:
            MutantError: they are not there, or more than once, or the edit changes nothing.
        """
        wanted = _lines(self.before)
        put = _lines(self.after)
        lines = text.splitlines()
        found = [
            (start, indent)
            for start in range(len(lines) - len(wanted) + 1)
            if (indent := _indent(lines[start : start + len(wanted)], wanted)) is not None
        ]
        if len(found) != 1:
            count = "nowhere" if not found else f"{len(found)} times"
            raise MutantError(f"{self.file} has these lines {count}: {wanted[0].strip()} …")
        start, indent = found[0]
        lines[start : start + len(wanted)] = [f"{indent}{line}" if line else "" for line in put]
        changed = "\n".join(lines) + "\n"
        if changed == text:
            raise MutantError(f"{self.file} is the same after the edit: {wanted[0].strip()} …")
        return changed


def _lines(text: str) -> list[str]:
    return textwrap.dedent(text).strip("\n").splitlines() if text.strip() else []


def _indent(lines: list[str], wanted: list[str]) -> str | None:
    """The indentation that turns `wanted` into `lines`, None when they are other lines."""
    indent = lines[0][: len(lines[0]) - len(lines[0].lstrip())]
    same = all(
        line == (f"{indent}{want}" if want else "")
        for line, want in zip(lines, wanted, strict=True)
    )
    return indent if same else None


@dataclass(frozen=True, slots=True)
class Killer:
    """Something that may notice a mutant.

    Attributes:
        kind: `SCENARIO`, `PROGRAM` of the explorer, `SIMULATED` for generated programs, or `TEST`.
        name: the scenario's id, the program's name, the dialect of a simulated kernel, or what
            pytest is given, below ``tests/``.
        spec: the backend of a scenario, with ``*N`` behind it for N threads, or of generated programs.
    """

    kind: str
    name: str
    spec: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}" + (f" on {self.spec}" if self.spec else "")


def scenario(name: str, spec: str = "poll") -> Killer:
    """Name a scenario, and the backend on which it notices."""
    return Killer(SCENARIO, name, spec)


#: What every mutant must pass: one that is broken in so many ways that it does not, proves nothing
#: when it is noticed.
BYSTANDER = scenario("partial.zero-byte-recv")


def program(name: str) -> Killer:
    """Name a program of the explorer."""
    return Killer(PROGRAM, name)


def simulated(backend: str, dialect: str) -> Killer:
    """Name generated programs on the simulated kernel."""
    return Killer(SIMULATED, dialect, backend)


def test(name: str) -> Killer:
    """Name a test, such as ``reactor/test_signals.py::test_one``."""
    return Killer(TEST, name)


@dataclass(frozen=True, slots=True)
class Mutant:
    """One small, realistic breakage.

    Attributes:
        name: says what is wrong, in words.
        area: part of the library; the module of the catalogue that it stands in.
        imitates: the real bug: a row of the catalogue, and the commit or issue behind it.
        edits: what is changed in the copy.
        dies: what is expected to notice it; tried first.
    """

    name: str
    area: str
    imitates: str
    edits: tuple[Edit, ...]
    dies: tuple[Killer, ...]

    def changed(self, source: Path = SOURCE) -> dict[str, str]:
        """Return the files that are different, by their names below the package.

        Raises:
            MutantError: an edit does not fit.
        """
        texts: dict[str, str] = {}
        for edit in self.edits:
            try:
                text = texts.get(edit.file) or (source / edit.file).read_text(encoding="utf-8")
                texts[edit.file] = edit.apply(text)
            except (MutantError, OSError) as exc:
                raise MutantError(f"mutant {self.name} does not fit the code: {exc}") from exc
        return texts

    def copy(self, folder: Path, source: Path = SOURCE) -> None:
        """Make the copy of the library, broken, as ``folder/reactor``.

        Raises:
            MutantError: an edit does not fit.
        """
        copy(folder, self.changed(source), source)


def copy(folder: Path, changed: dict[str, str], source: Path = SOURCE) -> None:
    """Copy the library to ``folder/reactor``, with these files changed."""
    target = folder / "reactor"
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in changed.items():
        (target / name).write_text(text, encoding="utf-8")
