# /// script
# requires-python = ">=3.11"
# dependencies = ["nox>=2025.5.1", "tox>=4.42"]
# ///
"""What developers and CI orchestrate; tox.ini holds the environments themselves.

`nox --list` shows the sessions; arguments after `--` go to the command that a session runs. What a
session draws at random it draws from $REACTORLAB_SEED, or from a seed that it prints.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
import tempfile
from pathlib import Path

import nox

# nox runs this file without its folder on the path.
sys.path.insert(0, str(Path(__file__).resolve().parent))
from harness import matrix as table

nox.needs_version = ">=2025.5.1"
nox.options.sessions = ["lint", "types", "tests", "backends"]
nox.options.default_venv_backend = "none"
# A machine has some of the Pythons, CI's too; those that it has not are named.
nox.options.error_on_missing_interpreters = False

_TABLE = table.load()
_HERE = [env.name for env in _TABLE.envs.values() if env.runs_on(sys.platform)]

#: Those of the table that this platform may have, such as 3.14t and pypy3.11, in nox's spelling.
_PYTHONS = list(
    dict.fromkeys(
        job.python.replace("pypy-", "pypy")
        for job in _TABLE.scenarios
        if sys.platform.startswith(job.machine.platform)
    )
)

#: Where `board` puts the board, and keeps what the next one is compared with.
_BOARD, _BASELINE = Path("board"), Path("baseline")

#: Files under reports/ that a board is made of.
_DATA = ("run.json", "mutants.json", "explored.json", "bench.json")


def _tox(session: nox.Session, *args: str) -> None:
    session.run(sys.executable, "-m", "tox", *args, external=True)


def _seed(session: nox.Session) -> str:
    seed = os.environ.get("REACTORLAB_SEED") or str(random.randrange(2**32))
    session.log(f"REACTORLAB_SEED={seed}")
    return seed


def _poller() -> str:
    return "epoll" if sys.platform == "linux" else "kqueue"


# -- What must pass


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, formatting and the workflows."""
    _tox(session, "run", "-e", "lint")


@nox.session
def types(session: nox.Session) -> None:
    """Check types: mypy --strict for Linux, macOS and FreeBSD, and pyright for the public API."""
    _tox(session, "run", "-e", "types")


@nox.session
def tests(session: nox.Session) -> None:
    """Run the project's own tests; arguments go to pytest."""
    _tox(session, "run", "-e", "tests", "--", *session.posargs)


@nox.session
def backends(session: nox.Session) -> None:
    """Run the scenarios in every env of this platform; arguments go to `reactorlab run`."""
    _tox(session, "run", "-e", ",".join(_HERE), "--", *session.posargs)


@nox.session(default=False, venv_backend="venv", python=_PYTHONS)
def matrix(session: nox.Session) -> None:
    """Run the best backend's env on each Python of the table that is found; `nox -s matrix-3.14t`."""
    session.install("tox>=4.42")
    env = next(name for name in _HERE if name.endswith(_poller()))
    session.run("python", "-m", "tox", "run", "-e", env, "--", *session.posargs)


@nox.session(default=False, venv_backend="venv")
def docs(session: nox.Session) -> None:
    """Write the generated pages again, check what the pages say, and build the site into site/."""
    session.install(".[test,docs]")
    session.run("python", "docs/generate.py")
    session.run("python", "-m", "pytest", "tests/test_docs.py", "tests/test_readme.py")
    session.run("python", "-m", "mkdocs", "build", "--strict", *session.posargs)


@nox.session(default=False, venv_backend="venv")
def changelog(session: nox.Session) -> None:
    """Check that there is a fragment in changelog.d/ for what changed; `-- --compare-with BRANCH`."""
    session.install("towncrier>=25.8")
    session.run("towncrier", "check", *session.posargs)


# -- What is searched for, every night with other seeds


@nox.session(default=False, venv_backend="venv")
def explore(session: nox.Session) -> None:
    """Run the scheduler under random interleavings of small programs, or as the arguments say."""
    session.install("-e", ".[harness]")
    out = Path("reports/explore")
    out.mkdir(parents=True, exist_ok=True)
    args = session.posargs or ["--random", _seed(session), "--seconds", "20"]
    with (out / "explored.json").open("w", encoding="utf-8") as file:
        session.run("reactorlab", "explore", "--json", *args, stdout=file)


@nox.session(default=False, venv_backend="venv")
def simulate(session: nox.Session) -> None:
    """Play drawn programs on the simulated kernel, for $REACTORLAB_MINUTES (1) in all."""
    session.install("-e", ".[test]")
    minutes = os.environ.get("REACTORLAB_MINUTES", "1")
    session.run(
        *("reactorlab", "simulate", "--minutes", minutes, "--seed", _seed(session)),
        *session.posargs,
    )


@nox.session(default=False, venv_backend="venv")
def repeat(session: nox.Session) -> None:
    """Run every scenario 20 times, each time with another seed, against each backend."""
    session.install(".[harness]")
    seed = _seed(session)
    for backend in (_poller(), "poll", "select"):
        session.run(
            *("reactorlab", "run", "--repeat", "20", "--backend", backend, "--seed", seed),
            *("--out", f"reports/repeat-{backend}"),
            *session.posargs,
        )


@nox.session(default=False, venv_backend="venv", python=_PYTHONS)
def threads(session: nox.Session) -> None:
    """Run the scenarios with 2 and 4 threads in run(), 10 times each; arguments go to `reactorlab run`.

    Once per Python that is found; nox names those that are not. `nox -s threads-3.13t` is one alone.
    """
    session.install(".[harness]")
    seed = _seed(session)
    for backend in (_poller(), "poll", "select"):
        for count in (2, 4):
            # The defaults come first, so that the session's arguments can say otherwise.
            session.run(
                *("reactorlab", "run", "--repeat", "10", "--seed", seed, "--backend", backend),
                *("--threads", str(count)),
                *("--out", f"reports/threads-{session.python}-{backend}-{count}"),
                *session.posargs,
            )


@nox.session(default=False, venv_backend="venv")
def mutants(session: nox.Session) -> None:
    """Break the reactor in many small ways, and see all of it noticed; arguments go to the command."""
    session.install("-e", ".[test]")
    session.run("reactorlab", "mutants", *session.posargs)


@nox.session(default=False, venv_backend="venv")
def kernel(session: nox.Session) -> None:
    """Hold the simulated kernel against this one: `nox -s kernel -- --programs 20000 --seed 1`."""
    session.install(".[test]")
    out = Path("reports/kernel")
    out.mkdir(parents=True, exist_ok=True)
    args = session.posargs or ["--programs", "20000", "--seed", _seed(session)]
    session.run("python", "-m", "harness.kernel.verify", "--save", str(out / "found"), *args)


# -- What is shown and shipped


@nox.session(default=False)
def kernel_record(session: nox.Session) -> None:
    """Write down what this machine's kernel answers, into reports/kernel-record."""
    _tox(session, "run", "-e", "kernel-record")


@nox.session(default=False, venv_backend="venv")
def bench(session: nox.Session) -> None:
    """Measure beside the peers, into reports/bench; `nox -s bench -- churn --count 1000000`."""
    session.install(".[bench]")
    session.run(
        *("reactorlab", "bench", "--seed", _seed(session), "--out", "reports/bench"),
        *session.posargs,
    )


@nox.session(default=False, venv_backend="venv")
def board(session: nox.Session) -> None:
    """Make one board of everything under reports/, and compare it with the one before.

    With `--all-columns` it is an error if a column of the table is missing, as in CI.
    """
    session.install(".[harness]")
    places = sorted({str(path.parent) for name in _DATA for path in Path("reports").rglob(name)})
    merge = ["merge", *places, "-o", str(_BOARD)]
    commands = [merge + (["--against", str(_BASELINE)] if _BASELINE.is_dir() else [])]
    if "--all-columns" in session.posargs:
        commands.append(["matrix", "--missing", "reports"])
    failed = []
    for words in commands:  # the second too, whatever the first one says
        try:
            session.run("reactorlab", *words)
        except nox.command.CommandFailed:
            failed.append(words[0])
    if failed:
        session.error(f"failed: {', '.join(failed)}")
    _BASELINE.mkdir(exist_ok=True)
    shutil.copy(_BOARD / "merged.json", _BASELINE)


@nox.session(default=False, venv_backend="venv")
def build(session: nox.Session) -> None:
    """Build the sdist and the wheel into dist/, and try the wheel where there is no checkout.

    Arguments go to `reactorlab run`.
    """
    session.install("build")
    shutil.rmtree("dist", ignore_errors=True)
    session.run("python", "-m", "build")
    (wheel,) = Path("dist").resolve().glob("*.whl")
    session.install(f"{wheel}[harness]")
    with tempfile.TemporaryDirectory() as empty, session.chdir(empty):
        session.run("reactorlab", "list", silent=True)
        session.run("reactorlab", "explain", "cancel.pending-recv")
        session.run(
            *("reactorlab", "run", "--backend", _poller(), "--out", "report"), *session.posargs
        )


@nox.session(default=False, venv_backend="venv")
def release(session: nox.Session) -> None:
    """Do everything of a release but publish it: the changelog, the files, and what PyPI would say."""
    session.install("build", "twine>=6.1", "towncrier>=25.8")
    session.run("towncrier", "build", "--draft", "--version", "next")
    shutil.rmtree("dist", ignore_errors=True)
    session.run("python", "-m", "build")
    session.run("python", "-m", "twine", "check", "--strict", *map(str, Path("dist").iterdir()))


if __name__ == "__main__":
    nox.main()
