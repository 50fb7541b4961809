"""A column: the circumstances in which runs can be held against each other, as one reads them.

Two runs are in one column if what decides their results is the same. A patch release of Python, or
a minor one of the kernel, is not a column of its own: what changed with it is history.
"""

from __future__ import annotations

import re
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .model import RunInfo


@dataclass(frozen=True, slots=True, order=True)
class Column:
    """What decides the results of a run.

    Attributes:
        ground: ``live``, or what the subject stood on instead of the machine's kernel.
        dialect: of a simulated kernel.
        os: the operating system with its major release, such as ``freebsd 14``.
        machine: the architecture, and the C library where there are several: ``x86_64 musl``.
        subject: what was tested.
        backend: of the subject.
        variant: waker and timer of the backend.
        system: the system calls that it could use.
        threads: how many ran the context.
        place: the name of the machine or interpreter that was asked for, empty for this one.
        python: implementation, minor version, and ``t`` without a global lock: ``CPython 3.13t``.
    """

    ground: str
    dialect: str
    os: str
    machine: str
    subject: str
    backend: str
    variant: str
    system: str
    threads: int
    place: str
    python: str

    @classmethod
    def of(cls, info: RunInfo) -> Column:
        """Return the column of a run."""
        # What the machine is says nothing about a simulated kernel.
        live = info.ground == "live"
        return cls(
            ground=info.ground,
            dialect=info.dialect,
            os=_system(info.platform) if live else "",
            machine=_machine(info.platform) if live else "",
            subject=info.subject,
            backend=info.backend,
            variant=info.variant,
            system=info.system,
            threads=info.threads,
            # Two machines may be alike, and still be two.
            place=info.place.get("name", ""),
            python=_python(info.python),
        )

    @property
    def platform(self) -> str:
        """The first line of its heading: where it ran."""
        if self.os:
            found = " ".join(filter(None, (self.os, self.machine)))
            found = found if self.ground == "live" else f"{found}, {self.ground}"
        else:
            found = " ".join(filter(None, (self.ground, self.dialect)))
        return f"{found}, {self.place}" if self.place else found

    @property
    def poller(self) -> str:
        """The second line: what ran."""
        found = f"{self.backend}+{self.variant}" if self.variant else self.backend
        if self.subject != "reactor":
            found = f"{self.subject} on {found}"
        if self.threads != 1:
            found += f", {self.threads} threads"
        return found if self.system == "live" else f"{found}, {self.system}"

    @property
    def name(self) -> str:
        """The whole heading in one line; no other column has it."""
        return f"{self.poller} @ {self.platform} @ {self.python}"

    @property
    def words(self) -> list[str]:
        """What a query may call it."""
        parts = " ".join(str(part) for part in astuple(self))
        return sorted({*re.findall(r"[a-z0-9_.]+", parts.lower()), self.backend.lower()})


def _system(platform: dict[str, str]) -> str:
    major = re.match(r"\d+", platform.get("release", ""))
    return " ".join(filter(None, (platform.get("os", "unknown"), major[0] if major else "")))


def _machine(platform: dict[str, str]) -> str:
    libc = platform.get("libc", "").split(" ")[0]
    # glibc is what one expects of Linux, and elsewhere the system's own is the only one.
    return " ".join(filter(None, (platform.get("machine", ""), libc if libc != "glibc" else "")))


def _python(python: dict[str, Any]) -> str:
    minor = ".".join(str(python.get("version", "?")).split(".")[:2])
    return f"{python.get('implementation', 'CPython')} {minor}{'t' if python.get('gil') is False else ''}"
