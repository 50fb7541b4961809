"""The matrix: the table, and everything that is made from it or must agree with it."""

from __future__ import annotations

import configparser
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness import matrix
from harness.cli import main
from harness.model import Run, RunInfo

ROOT = Path(__file__).resolve().parents[1]
TABLE = matrix.load()


def info(**more):
    """What a run on CI's ordinary Linux machine says of itself."""
    facts = {
        "env_name": "linux-epoll",
        "platform": {"os": "linux", "machine": "x86_64", "release": "6.8", "libc": "glibc 2.39"},
        "python": {"version": "3.14.2", "implementation": "CPython", "gil": True},
    } | more
    return RunInfo(
        id="1",
        started="2026-01-01T00:00:00",
        spec="epoll",
        backend="epoll",
        variant="",
        seed=1,
        **facts,
    )


def tox(*args):
    done = subprocess.run(
        [sys.executable, "-m", "tox", *args],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# -- What must agree with it


def test_the_committed_matrix_is_that_of_the_table(capsys):
    """`.github/matrix.json` is what `reactorlab matrix --github` prints."""
    assert main(["matrix", "--github"]) == 0
    committed = (ROOT / ".github/matrix.json").read_text(encoding="utf-8")
    assert capsys.readouterr().out == committed


def test_every_env_of_the_table_is_an_env_of_tox():
    """Its command has the backend and the system, its platform is the table's, its report its name."""
    checks = {job.env.name for job in TABLE.checks}
    checks |= {name for env in TABLE.envs.values() for name in env.also.split(",") if name}
    assert checks <= set(tox("list", "--no-desc").split())
    parsed = configparser.ConfigParser(interpolation=None)
    parsed.read_string(
        tox("config", "-e", ",".join(TABLE.envs), "-k", "commands", "platform", "extras")
    )
    assert {section.removeprefix("testenv:") for section in parsed.sections()} == set(TABLE.envs)
    for name, env in TABLE.envs.items():
        section = parsed[f"testenv:{name}"]
        lines = section["commands"].strip().split("\n")
        for line, dialect in zip(lines, env.dialects or ("",), strict=True):
            for option, value, usual in (
                ("backend", env.backend, ""),
                ("system", env.system, "live"),
                ("ground", env.ground, "live"),
                ("dialect", dialect, ""),
            ):
                given = re.findall(rf" --{option} (\S+) ", f"{line} ")
                assert given == [value] or (not given and value == usual), (name, option)
            assert line.endswith(f"reports/{name}-{dialect}" if dialect else f"reports/{name}"), (
                name
            )
        assert section["extras"] == "harness", name
        if env.platform:
            assert re.fullmatch(section["platform"], env.platform + "14") or re.fullmatch(
                section["platform"], env.platform
            ), name
        else:
            assert not section.get("platform"), name


def test_every_env_of_tox_that_runs_scenarios_is_a_column():
    names = tox("list", "--no-desc").split()
    shown = tox("config", "-e", ",".join(names), "-k", "commands")
    running = set(re.findall(r"\[testenv:(\S+)\]\ncommands =[^[]*?reactorlab run", shown))
    assert running == set(TABLE.envs)
    assert running == {job.env.name for job in TABLE.scenarios}


def test_every_platform_of_the_issue_has_a_column():
    """Linux on two architectures and two C libraries, macOS on two, five guests; each Python."""
    names = {job.machine.name for job in TABLE.scenarios}
    assert names == set(TABLE.machines)
    pythons = {job.python for job in TABLE.scenarios}
    assert {"3.11", "3.12", "3.13", "3.14", "3.15", "3.14t", "pypy-3.11"} <= pythons


def test_a_container_is_pinned_and_has_the_python_of_its_rows():
    containers = [job for job in TABLE.scenarios if job.machine.container]
    assert containers
    for job in containers:
        found = re.fullmatch(r"python:([\d.]+)-\w+@sha256:[0-9a-f]{64}", job.machine.container)
        assert found, job.machine.container
        assert found[1] == job.python


# -- Columns


def test_a_run_finds_its_column():
    """By env, machine, C library and Python; PyPy and a build without the GIL are others."""
    found = {job.name for job in TABLE.scenarios if job.is_of(info())}
    assert found == {"linux-epoll-linux-x86-64-3.14"}
    musl = info(platform=info().platform | {"libc": ""})
    (job,) = (job for job in TABLE.scenarios if job.is_of(musl))
    assert job.machine.name == "linux-musl"
    for python, name in (
        ({"version": "3.14.2", "implementation": "CPython", "gil": False}, "3.14t"),
        ({"version": "3.11.13", "implementation": "PyPy", "gil": True}, "pypy-3.11"),
    ):
        (job,) = (job for job in TABLE.scenarios if job.is_of(info(python=python)))
        assert job.python == name
    assert not any(job.is_of(info(env_name="linux-elsewhere")) for job in TABLE.scenarios)


def test_what_left_no_run_is_named(tmp_path, capsys):
    """`reactorlab matrix --missing DIR` names every column without a run.json, and exits 1."""
    Run(info()).save(tmp_path / "somewhere/deep/run.json")
    assert main(["matrix", "--missing", str(tmp_path)]) == 1
    said = capsys.readouterr().out.splitlines()
    assert len(said) == len(TABLE.columns()) - 1
    assert "no run of linux-epoll-linux-x86-64-3.14" not in said
    assert "no run of freebsd-kqueue-freebsd-3.12" in said


def test_a_folder_that_is_not_there_is_one_line(tmp_path, capsys):
    assert main(["matrix", "--missing", str(tmp_path / "no")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_table_is_shown(capsys):
    assert main(["matrix"]) == 0
    shown = capsys.readouterr().out
    assert len(shown.splitlines()) == 1 + len(TABLE.scenarios) + len(TABLE.checks)
    assert "OmniOS" in shown


def test_each_dialect_of_a_simulated_kernel_is_a_column():
    """One job, a run for each dialect: one of them does not stand for the others."""
    dialects = TABLE.envs["sim-poll"].dialects
    assert len(dialects) > 1
    names = [column.name for column in TABLE.columns() if column.job.env.name == "sim-poll"]
    assert names == [f"sim-poll-linux-x86-64-3.14-{dialect}" for dialect in dialects]
    hosts = TABLE.to_github()["hosts"]["include"]
    assert [row["env"] for row in hosts].count("sim-poll") == 1
    there = info(env_name="sim-poll", ground="sim", dialect=dialects[1])
    missing = {column.name for column in TABLE.missing([there])}
    assert set(names) - missing == {names[1]}


def test_github_gets_each_job_once_with_every_key():
    made = json.loads(json.dumps(TABLE.to_github()))
    rows = [row for group in made.values() for row in group["include"]]
    assert len({row["name"] for row in rows}) == len(rows)
    assert len({tuple(row) for row in rows}) == 1
    assert all(row["system"] for row in made["guests"]["include"])
    assert not any(row["system"] for row in made["hosts"]["include"])


# -- Mistakes


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("[env.linux-poll]", "[env.linux-pol]"), "there is no env 'linux-poll'"),
        (
            ('machine = ["linux-arm64"]', 'machine = ["linux-arm"]'),
            "there is no machine 'linux-arm'",
        ),
        (
            ('env = ["netbsd-kqueue"]', 'env = ["macos-kqueue"]'),
            "macos-kqueue does not run on netbsd",
        ),
        (('"3.12", "3.13", "3.13t"', '"3.12", "3.12", "3.13t"'), "is there twice"),
        (('python = ["3.13"]', 'pythons = ["3.13"]'), "a row has"),
        (('title = "Linux arm64"', 'name = "Linux arm64"'), "name"),
        (("[[checks]]", "[[check]]"), "checks"),
        (("[env.linux-poll]", "[env.linux-poll"), "line"),
    ],
)
def test_a_mistake_in_the_table_names_the_file(tmp_path, change, said):
    path = tmp_path / "matrix.toml"
    text = matrix.TABLE.read_text(encoding="utf-8")
    assert change[0] in text
    path.write_text(text.replace(*change), encoding="utf-8")
    with pytest.raises(matrix.MatrixError) as caught:
        matrix.load(path)
    assert str(caught.value).startswith(str(path))
    assert said in str(caught.value)


def test_a_table_that_is_not_there(tmp_path):
    with pytest.raises(matrix.MatrixError, match="No such file"):
        matrix.load(tmp_path / "matrix.toml")
