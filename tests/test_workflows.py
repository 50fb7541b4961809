"""The workflows, as far as they can be seen to work away from GitHub.

Their schema and their safety are the business of the env `lint`; here stands that what they run is
what also runs on a developer's machine.
"""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
from pathlib import Path

import pytest
import yaml

from harness import matrix
from harness.cli import parser

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = {
    path.stem: yaml.safe_load(path.read_text(encoding="utf-8"))
    for path in sorted((ROOT / ".github/workflows").glob("*.yml"))
}
JOBS = [
    pytest.param(job, id=f"{name}.{key}")
    for name, workflow in WORKFLOWS.items()
    for key, job in workflow["jobs"].items()
]
RUNS = [
    pytest.param(step, job, id=f"{name}.{key}.{number}")
    for name, workflow in WORKFLOWS.items()
    for key, job in workflow["jobs"].items()
    for number, step in enumerate(job["steps"])
    if "run" in step
]

#: What a step may run: it installs one tool, runs a session or an env, or moves a file.
FORMS = (
    r"python -Im pip install (nox|'tox>=4\.42')",
    r"python -Im nox -s (?P<session>\S+)( -- .*)?",
    r"python -Im tox run -e \"\$TOX_ENV\"",
    r"python -Im tox run --installpkg dist/\*\.whl -e \"\$TOX_ENV\$\{ALSO:\+,\$ALSO\}\"",
    r"sh \.ci/guest",
    r"cat \S+ >> \"\$GITHUB_STEP_SUMMARY\"",
    r"cp -R \S+ \S+",
    r"echo \"matrix=.*\" >> \"\$GITHUB_OUTPUT\"",
)


def functions():
    """The functions of the noxfile's sessions."""
    namespace = runpy.run_path(str(ROOT / "noxfile.py"))
    return {
        name: value.func
        for name, value in namespace.items()
        if type(value).__name__ == "Func" and value.__module__ == "<run_path>"
    }


SESSIONS = functions()


@pytest.mark.parametrize(("step", "job"), RUNS)
def test_a_step_runs_what_also_runs_here(step, job):
    """A nox session or a tox env, by a name that exists."""
    found = [match for form in FORMS if (match := re.fullmatch(form, step["run"].strip()))]
    assert found, step["run"]
    session = found[0].groupdict().get("session")
    if session is None:
        return
    if session.startswith('"$'):
        rows = job["strategy"]["matrix"]
        assert step["env"][session.strip('"$')] == "${{ matrix.session }}"
        named = {*rows["session"], *(row["session"] for row in rows["include"])}
    else:
        named = {session}
    assert named <= set(SESSIONS)


@pytest.mark.parametrize("job", JOBS)
def test_an_action_is_pinned_and_a_checkout_keeps_no_credentials(job):
    """By its full commit, with the version beside it; each job has a deadline and its own rights."""
    assert job["timeout-minutes"] <= 120
    assert "permissions" in job
    for step in job["steps"]:
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


def test_each_action_is_one_commit_with_its_version():
    text = "\n".join(
        path.read_text(encoding="utf-8") for path in (ROOT / ".github/workflows").glob("*.yml")
    )
    uses = re.findall(r"uses: (.*)", text)
    assert uses
    pins: dict[str, set[str]] = {}
    for action in uses:
        found = re.fullmatch(r"(?P<name>[\w./-]+)@(?P<pin>[0-9a-f]{40} # v\d+(\.\d+)+)", action)
        assert found, action
        pins.setdefault("/".join(found["name"].split("/")[:2]), set()).add(found["pin"])
    assert {name: len(versions) for name, versions in pins.items()} == dict.fromkeys(pins, 1)


def test_a_virtual_machine_gets_no_secret_and_no_right_but_to_read():
    job = WORKFLOWS["ci"]["jobs"]["guests"]
    assert job["permissions"] == {"contents": "read"}
    assert "secrets" not in json.dumps(job)
    assert "environment" not in job
    assert WORKFLOWS["ci"]["permissions"] == {}


def test_the_plan_puts_out_the_matrix_of_the_table(tmp_path):
    """The step, run here, leaves JSON that fromJSON can read, with the groups that the jobs take."""
    jobs = WORKFLOWS["ci"]["jobs"]
    (step,) = (step for step in jobs["plan"]["steps"] if "run" in step)
    output = tmp_path / "output"
    subprocess.run(
        ["bash", "-e", "-c", step["run"]],
        cwd=ROOT,
        env={**os.environ, "GITHUB_OUTPUT": str(output)},
        check=True,
    )
    name, _, value = output.read_text(encoding="utf-8").partition("=")
    assert name == "matrix"
    assert value.count("\n") == 1
    made = json.loads(value)
    assert made == matrix.load().to_github()
    taken = {
        job["strategy"]["matrix"].split(".")[-1].strip("} ")
        for job in jobs.values()
        if "fromJSON" in str(job.get("strategy", {}).get("matrix", ""))
    }
    assert taken == set(made)


def test_what_a_job_takes_of_its_row_is_there():
    """A misspelt `matrix.x` would be empty, and nobody would be told."""
    keys = set(matrix.load().to_github()["hosts"]["include"][0])
    for name in ("checks", "scenarios", "guests"):
        asked = set(re.findall(r"matrix\.(\w+)", json.dumps(WORKFLOWS["ci"]["jobs"][name])))
        assert asked - {"checks"} <= keys | {"outputs"}, name


def test_every_job_is_required():
    """What the gate does not wait for may fail without being noticed; publishing comes after it."""
    jobs = WORKFLOWS["ci"]["jobs"]
    assert set(jobs["required-checks-pass"]["needs"]) == set(jobs) - {
        "required-checks-pass",
        "pages",
    }


def test_lint_checks_every_workflow():
    text = (ROOT / "tox.ini").read_text(encoding="utf-8")
    for name in WORKFLOWS:
        assert f".github/workflows/{name}.yml" in text


# -- The script for guests, which knows any system's own Python


def guest(**env):
    return subprocess.run(
        ["sh", str(ROOT / ".ci/guest")],
        env={"PATH": os.environ["PATH"], **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("env", [{}, {"TOX_ENV": "posix-poll"}])
def test_the_guest_script_says_what_it_lacks(env):
    done = guest(**env)
    assert done.returncode != 0
    assert ("PYTHON_VERSION" if env else "TOX_ENV") in done.stderr


@pytest.mark.parametrize(
    ("also", "envs"),
    [({}, "posix-poll"), ({"ALSO": "b,c"}, "posix-poll,b,c"), ({"ALSO": ""}, "posix-poll")],
)
def test_the_guest_script_runs_the_env_with_the_python_that_it_was_told(tmp_path, also, envs):
    """On a system whose packages it does not know, with everything that it calls replaced."""
    log = tmp_path / "log"
    python = tmp_path / "python9.9"
    python.write_text(f'#!/bin/sh\necho "$@" >> {log}\nmkdir -p "$3/bin"\n')
    stand_in = f'#!/bin/sh\necho "$@" >> {log}\n'
    python.chmod(0o755)
    checkout = tmp_path / "checkout"
    (checkout / ".ci").mkdir(parents=True)
    (checkout / "dist").mkdir()
    (checkout / "dist/reactorlab-1-py3-none-any.whl").touch()
    (checkout / ".venv/bin").mkdir(parents=True)
    (checkout / ".venv/bin/python").write_text(stand_in)
    (checkout / ".venv/bin/python").chmod(0o755)
    script = checkout / ".ci/guest"
    script.write_text((ROOT / ".ci/guest").read_text(encoding="utf-8"))
    uname = tmp_path / "uname"
    uname.write_text("#!/bin/sh\necho Plan9\n")
    uname.chmod(0o755)
    done = subprocess.run(
        ["sh", str(script)],
        env={
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "TOX_ENV": "posix-poll",
            "PYTHON_VERSION": "9.9",
            **also,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert log.read_text().splitlines() == [
        "-m venv .venv",
        "-m pip install --quiet tox>=4.42",
        f"-m tox run --installpkg dist/reactorlab-1-py3-none-any.whl -e {envs}",
    ]


# -- The nox sessions: what they would call


class Recorder:
    """Stands in for a nox session: it writes down what would be run."""

    def __init__(self, *posargs):
        self.posargs = list(posargs)
        self.python = "3.14"
        self.commands: list[list[str]] = []

    def run(self, *args, **_):
        self.commands.append(list(args))

    def install(self, *args, **_):
        assert args

    def log(self, *_):
        pass

    def chdir(self, folder):
        return os.fdopen(os.open(os.devnull, os.O_RDONLY))

    def error(self, message):
        raise AssertionError(message)


def test_the_sessions_of_the_issue_are_there():
    assert set(SESSIONS) >= {
        *("lint", "types", "tests", "backends", "simulate", "explore", "mutants", "bench"),
        *("board", "docs", "matrix", "build", "release"),
    }


@pytest.mark.parametrize("name", sorted(SESSIONS))
def test_the_command_lines_of_a_session_parse(name, monkeypatch, tmp_path):
    """Every `reactorlab` that a session calls is a command line that the command understands."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "baseline").mkdir()
    (tmp_path / "dist").mkdir()
    (tmp_path / "reports/some").mkdir(parents=True)
    (tmp_path / "reports/some/run.json").touch()
    (tmp_path / "board").mkdir()
    (tmp_path / "board/merged.json").touch()
    session = Recorder(*(["--all-columns"] if name == "board" else []))
    if name in {"build", "release"}:
        (tmp_path / "reactorlab-1-py3-none-any.whl").touch()
        record = session.run

        def run(*args, **more):
            if args[:3] == ("python", "-m", "build"):  # rebuilds what it has removed
                (tmp_path / "dist").mkdir()
                (tmp_path / "dist/reactorlab-1-py3-none-any.whl").touch()
            record(*args, **more)

        session.run = run  # type: ignore[method-assign]
    SESSIONS[name](session)
    assert session.commands
    for words in session.commands:
        if words[0] != "reactorlab":
            continue
        try:
            options = parser.parse(words[1:])
        except SystemExit as exc:
            pytest.fail(f"{' '.join(words)}: exit code {exc.code}")
        assert callable(options.verb)
