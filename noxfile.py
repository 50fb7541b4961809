# /// script
# requires-python = ">=3.11"
# dependencies = ["nox>=2025.5.1", "tox>=4.42"]
# ///
"""What developers and CI orchestrate; tox.ini holds the environments themselves.

`nox --list` shows the sessions; arguments after `--` go to the command that a session runs.
"""

from __future__ import annotations

import sys

import nox

nox.needs_version = ">=2025.5.1"
nox.options.sessions = ["lint", "types", "tests", "matrix"]
nox.options.default_venv_backend = "none"

# sys.platform's beginning -> the first word of the tox envs that run there (posix: anywhere).
_PLATFORMS = {
    "linux": "linux",
    "darwin": "macos",
    "freebsd": "freebsd",
    "netbsd": "netbsd",
    "openbsd": "openbsd",
    "dragonfly": "dragonfly",
}

# Those with a "t" run without the GIL.
_PYTHONS = ["3.11", "3.12", "3.13", "3.13t", "3.14", "3.14t", "3.15", "3.15t"]


def _tox(session: nox.Session, *args: str) -> None:
    session.run(sys.executable, "-m", "tox", *args, external=True)


@nox.session
def matrix(session: nox.Session) -> None:
    """Run the scenarios in every env of this platform; arguments go to `reactorlab run`."""
    listed = session.run(
        sys.executable, "-m", "tox", "list", "-d", "--no-desc", silent=True, external=True
    )
    here = {word for prefix, word in _PLATFORMS.items() if sys.platform.startswith(prefix)}
    envs = [name for name in str(listed).split() if name.partition("-")[0] in here | {"posix"}]
    _tox(session, "run", "-e", ",".join(envs), "--", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the project's own tests; arguments go to pytest."""
    _tox(session, "run", "-e", "tests", "--", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, formatting and the workflows."""
    _tox(session, "run", "-e", "lint")


@nox.session
def types(session: nox.Session) -> None:
    """Check types: mypy --strict for Linux, macOS and FreeBSD, and pyright for the public API."""
    _tox(session, "run", "-e", "types")


@nox.session(default=False, venv_backend="venv", python=_PYTHONS)
def threads(session: nox.Session) -> None:
    """Run the scenarios with 2 and 4 threads in run(), 10 times each; arguments go to `reactorlab run`.

    Once per Python that is found; nox names those that are not. `nox -s threads-3.13t` is one alone.
    """
    session.install(".[harness]")
    poller = "epoll" if sys.platform == "linux" else "kqueue"
    for backend in (poller, "poll", "select"):
        for count in (2, 4):
            # --repeat comes first, so that the session's arguments can say otherwise.
            session.run(
                *("reactorlab", "run", "--repeat", "10", "--backend", backend),
                *("--threads", str(count)),
                *("--out", f"reports/threads-{session.python}-{backend}-{count}"),
                *session.posargs,
            )


@nox.session(default=False, venv_backend="venv")
def bench(session: nox.Session) -> None:
    """Measure beside the peers: `nox -s bench -- churn --count 1000000`; echo by default."""
    session.install(".[bench]")
    session.run("python", "-m", "bench", *(session.posargs or ["echo"]))


@nox.session(default=False, venv_backend="venv")
def mutants(session: nox.Session) -> None:
    """Break the reactor in many small ways, and see all of it noticed; arguments go to the command."""
    session.install("-e", ".[test]")
    session.run("reactorlab", "mutants", *session.posargs)


@nox.session(default=False, venv_backend="venv")
def kernel(session: nox.Session) -> None:
    """Hold the simulated kernel against this one: `nox -s kernel -- --programs 20000 --seed 1`."""
    session.install(".[test]")
    session.run("python", "-m", "harness.kernel.verify", *session.posargs)


@nox.session(default=False, venv_backend="venv")
def simulate(session: nox.Session) -> None:
    """Play generated programs on the simulated kernel: `nox -s simulate -- --minutes 60`."""
    session.install(".[harness]")
    session.run("reactorlab", "simulate", *session.posargs)


@nox.session(default=False, venv_backend="venv")
def docs(session: nox.Session) -> None:
    """Write the generated pages again, and check the links of the docs."""
    session.install(".[test]")
    session.run("python", "docs/generate.py")
    session.run("python", "-m", "pytest", "tests/test_docs.py", "tests/test_readme.py")


@nox.session(default=False, venv_backend="venv")
def build(session: nox.Session) -> None:
    """Build the sdist and the wheel into dist/, and check what the wheel carries."""
    session.install(".[test]")
    session.run("python", "-m", "build")
    session.run("python", "-m", "pytest", "tests/test_packaging.py")


if __name__ == "__main__":
    nox.main()
