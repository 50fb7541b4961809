"""The matrix: which env runs on which machine with which Python, from the table `matrix.toml`.

CI's matrix, the nox sessions and the columns of a board are made from what this returns. It needs
nothing but the standard library, so that a noxfile can read it.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .errors import HarnessError
from .scenario import unknown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .model import RunInfo

TABLE: Final = Path(__file__).with_name("matrix.toml")


class MatrixError(HarnessError):
    """The table is malformed; names the file and the place."""


@dataclass(frozen=True, slots=True)
class Env:
    """A tox env.

    Attributes:
        platform: beginning of `sys.platform` where it runs; empty for anywhere.
        backend: specification for ``reactorlab run --backend``; empty for the project's own checks.
        system: for ``--system``.
        ground: for ``--ground``: ``live``, or ``sim`` for a simulated kernel.
        dialects: of the simulated kernel; each is a run and a report of its own.
        also: tox envs, with commas, that its job runs after it.
    """

    name: str
    platform: str = ""
    backend: str = ""
    system: str = "live"
    ground: str = "live"
    dialects: tuple[str, ...] = ()
    also: str = ""

    def runs_on(self, platform: str) -> bool:
        """Tell whether it runs where `sys.platform` is this."""
        return platform.startswith(self.platform)


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine that CI has.

    Attributes:
        title: for people.
        platform: `sys.platform` there, without a release number.
        arch: what `platform.machine()` says there.
        libc: ``glibc`` or ``musl`` where there is a choice, else empty.
        runner: GitHub's label.
        container: image in which a job runs, with its digest; empty for none.
        guest: virtual machine on the runner, as ``system`` and ``version``; empty for none.
    """

    name: str
    title: str
    platform: str
    arch: str
    runner: str
    libc: str = ""
    container: str = ""
    guest: Mapping[str, str] = field(default_factory=dict)

    def is_of(self, info: RunInfo) -> bool:
        """Tell whether a run was made on such a machine."""
        there = info.platform
        glibc = there.get("libc", "").startswith("glibc")
        return (
            there.get("os") == self.platform
            and there.get("machine") == self.arch
            and (not self.libc or (self.libc == "glibc") is glibc)
        )


@dataclass(frozen=True, slots=True)
class Job:
    """One env on one machine with one Python: a job of CI."""

    env: Env
    machine: Machine
    python: str

    @property
    def name(self) -> str:
        """Identifies it; good for a file or an artifact."""
        return f"{self.env.name}-{self.machine.name}-{self.python}"

    def is_of(self, info: RunInfo) -> bool:
        """Tell whether a run is this job's."""
        return (
            info.env_name == self.env.name
            and self.machine.is_of(info)
            and python_name(info.python) == self.python
        )

    def to_github(self) -> dict[str, str]:
        """Return its row of a GitHub matrix: text only, each key always there."""
        return {
            "name": self.name,
            "env": self.env.name,
            "also": self.env.also,
            "machine": self.machine.name,
            "runner": self.machine.runner,
            "python": self.python,
            "container": self.machine.container,
            "system": self.machine.guest.get("system", ""),
            "version": self.machine.guest.get("version", ""),
        }


@dataclass(frozen=True, slots=True)
class Column:
    """One run of a job, and a column of a board: a job is one, or one for each dialect."""

    job: Job
    dialect: str = ""

    @property
    def name(self) -> str:
        """Identifies it."""
        return f"{self.job.name}-{self.dialect}" if self.dialect else self.job.name

    def is_of(self, info: RunInfo) -> bool:
        """Tell whether a run is the one of this column."""
        return self.job.is_of(info) and info.dialect == self.dialect


@dataclass(frozen=True, slots=True)
class Matrix:
    """The whole table."""

    envs: Mapping[str, Env]
    machines: Mapping[str, Machine]
    scenarios: tuple[Job, ...]
    checks: tuple[Job, ...]

    def columns(self) -> list[Column]:
        """Return the columns that a board of CI's runs has, in the order of the table."""
        return [
            Column(job, dialect) for job in self.scenarios for dialect in job.env.dialects or ("",)
        ]

    def missing(self, runs: list[RunInfo]) -> list[Column]:
        """Return the columns of which none of these runs is one."""
        return [column for column in self.columns() if not any(map(column.is_of, runs))]

    def to_github(self) -> dict[str, dict[str, list[dict[str, str]]]]:
        """Return GitHub matrices: `checks`, `hosts` on a runner itself, `guests` in a VM on one."""
        groups: dict[str, list[Job]] = {
            "checks": list(self.checks),
            "hosts": [job for job in self.scenarios if not job.machine.guest],
            "guests": [job for job in self.scenarios if job.machine.guest],
        }
        return {
            name: {"include": [job.to_github() for job in jobs]} for name, jobs in groups.items()
        }


def python_name(info: Mapping[str, Any]) -> str:
    """Name an interpreter as the table does, from what a run says of it: 3.14, 3.14t, pypy-3.11."""
    version = ".".join(str(info.get("version", "")).split(".")[:2])
    if info.get("implementation") == "PyPy":
        return f"pypy-{version}"
    return version if info.get("gil", True) else f"{version}t"


@cache
def load(path: Path = TABLE) -> Matrix:
    """Read the table.

    Raises:
        MatrixError: it cannot be read, names what it does not define, or has a job twice.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise MatrixError(f"{path}: {exc.strerror}") from exc
    except ValueError as exc:  # bad TOML or bad UTF-8
        raise MatrixError(f"{path}: {exc}") from exc
    try:
        envs = {
            name: Env(name, **entry | {"dialects": tuple(entry.get("dialects", ()))})
            for name, entry in data.pop("env").items()
        }
        machines = {name: Machine(name, **entry) for name, entry in data.pop("machine").items()}
        scenarios, checks = data.pop("scenarios"), data.pop("checks")
    except (KeyError, TypeError, AttributeError) as exc:
        raise MatrixError(f"{path}: {exc}") from exc
    if data:
        raise MatrixError(f"{path}: unknown {', '.join(data)}")
    # A check has no backend and runs anywhere: its name is all that the table has to say.
    named = {name: Env(name) for row in checks for name in row.get("env", ())}
    return Matrix(
        envs,
        machines,
        tuple(_jobs(f"{path}: scenarios", scenarios, envs, machines)),
        tuple(_jobs(f"{path}: checks", checks, named, machines)),
    )


def _jobs(
    place: str,
    rows: list[dict[str, list[str]]],
    envs: Mapping[str, Env],
    machines: Mapping[str, Machine],
) -> Iterator[Job]:
    seen = set()
    for number, row in enumerate(rows, 1):
        if set(row) != {"machine", "python", "env"}:
            raise MatrixError(f"{place}[{number}]: a row has `machine`, `python` and `env`")
        for machine in row["machine"]:
            for python in row["python"]:
                for env in row["env"]:
                    if machine not in machines:
                        raise MatrixError(
                            f"{place}[{number}]: {unknown('machine', machine, machines)}"
                        )
                    if env not in envs:
                        raise MatrixError(f"{place}[{number}]: {unknown('env', env, envs)}")
                    job = Job(envs[env], machines[machine], python)
                    if not job.env.runs_on(job.machine.platform):
                        raise MatrixError(f"{place}[{number}]: {env} does not run on {machine}")
                    if job.name in seen:
                        raise MatrixError(f"{place}[{number}]: {job.name} is there twice")
                    seen.add(job.name)
                    yield job
