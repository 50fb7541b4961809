"""What a user installs: the wheel's content, its dependencies, the tox envs."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from harness import matrix
from harness.kernel import DIALECTS
from tests.board import sample

ROOT = Path(__file__).resolve().parents[1]

#: The envs that run scenarios, and the beginning of `sys.platform` where they do.
SCENARIO_ENVS = {env.name: env.platform for env in matrix.load().envs.values()}


#: Envs of the simulated kernel, with their dialects; they run anywhere.
SIMULATED_ENVS = {
    env.name: list(env.dialects) for env in matrix.load().envs.values() if env.ground == "sim"
}


def run(*args, cwd=ROOT, **env):
    """Run this interpreter with `args`; returns the completed process, output as text."""
    return subprocess.run(
        [sys.executable, *args],
        cwd=cwd,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("dist")
    built = run("-m", "build", "--wheel", "--no-isolation", "--outdir", str(out))
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def unpacked(wheel, tmp_path_factory):
    """The wheel as an installer lays it out, with no checkout beside it."""
    place = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place)
    return place


def test_the_wheel_carries_the_library_the_scenarios_the_schema_and_the_benchmarks(wheel):
    """The wheel holds every file of all of them, and no other."""
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected = set()
    for folder, place in (
        ("reactor", "reactor"),
        ("harness", "harness"),
        ("scenarios", "harness/_scenarios"),
        ("reports/schema", "harness/_schema"),
        ("bench", "harness/_bench"),
    ):
        files = [path for path in (ROOT / folder).rglob("*") if path.is_file()]
        found = {path.relative_to(ROOT / folder) for path in files if path.suffix != ".pyc"}
        assert found, folder
        expected |= {f"{place}/{path.as_posix()}" for path in found}
    assert names == expected
    assert {"reactor/py.typed", "harness/py.typed", "harness/_scenarios/expectations.toml"} <= names


def test_the_installed_command_works_without_a_checkout(unpacked, tmp_path):
    """`reactorlab list` finds the packaged catalogue."""
    listed = run("-P", "-m", "harness", "list", cwd=tmp_path, PYTHONPATH=str(unpacked))
    assert listed.returncode == 0, listed.stderr
    assert "cancel.pending-recv" in listed.stdout


@pytest.mark.parametrize("form", ["--single-file", "--title=of files"])
def test_the_installed_command_makes_a_board(unpacked, tmp_path, form):
    """Schemas, scripts and styles of the board are found beside the installed package."""
    sample.run(0, 2, 3).save(tmp_path / "run.json")
    verbs = (("validate", "run.json"), ("merge", "run.json", "-o", "board", form))
    for verb in verbs:
        made = run("-P", "-m", "harness", *verb, cwd=tmp_path, PYTHONPATH=str(unpacked))
        assert made.returncode == 0, made.stderr
    assert "board.views.matrix" in (tmp_path / "board" / "index.html").read_text()


def test_the_installed_command_has_the_benchmarks(unpacked, tmp_path):
    """They are a part of the laboratory there, and the processes that they start are too."""
    assert not (unpacked / "bench").exists()
    done = run(
        *("-P", "-m", "harness", "bench", "echo", "post", "--rounds", "1", "--seconds", "0.02"),
        *("--subject", "reactor-poll", "--subject", "reactor", "--out", str(tmp_path)),
        cwd=tmp_path,
        PYTHONPATH=str(unpacked),
    )
    assert done.returncode == 0, done.stderr
    subjects = [
        one
        for suite in json.loads((tmp_path / "bench.json").read_text())["suites"]
        for one in suite["cases"][0]["subjects"]
    ]
    assert [one["name"] for one in subjects] == ["reactor-poll", "reactor"]
    assert all(one["rate"] > 0 for one in subjects)


def test_a_missing_extra_is_one_line(unpacked, tmp_path):
    """Without the `harness` extra the command says which extra to install, and exits 2."""
    # -S: the standard library and the wheel, none of the extra's packages
    failed = run("-S", "-P", "-m", "harness", "list", cwd=tmp_path, PYTHONPATH=str(unpacked))
    assert failed.returncode == 2
    assert "reactorlab[harness]" in failed.stderr
    assert len(failed.stderr.splitlines()) == 1


def test_the_library_needs_only_the_standard_library():
    """`reactor` imports nothing but the standard library and itself, and depends on nothing."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["dependencies"] == []
    for path in (ROOT / "reactor").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                roots = {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                roots = {str(node.module).partition(".")[0]}
            else:
                continue
            assert roots <= sys.stdlib_module_names | {"reactor"}, path


def test_a_foreign_env_says_so_and_fails(tmp_path):
    """Asked for on the wrong platform, alone or beside one that runs, an env is an error."""
    native = [n for n, start in SCENARIO_ENVS.items() if sys.platform.startswith(start)]
    foreign = next(n for n in SCENARIO_ENVS if n not in native)
    for asked in (foreign, f"{native[0]},{foreign}"):
        result = run("-m", "tox", "run", "--workdir", str(tmp_path), "--notest", "-e", asked)
        assert result.returncode != 0
        assert f"{foreign} runs only where sys.platform" in result.stdout + result.stderr
        assert "Nothing was run" in result.stdout + result.stderr
    assert run("-m", "tox", "config", "-e", foreign, "-k", "commands").returncode == 0


def test_every_simulated_env_runs_each_dialect_that_has_its_poller():
    """One command and one report for each dialect, and none keeps the next from running."""
    names = ",".join(SIMULATED_ENVS)
    keys = ("commands", "ignore_errors", "extras")
    shown = run("-m", "tox", "config", "-e", names, "-k", *keys).stdout
    for name, dialects in SIMULATED_ENVS.items():
        backend = name.removeprefix("sim-")
        part = shown.partition(f"[testenv:{name}]\n")[2].partition("[testenv:")[0]
        assert "ignore_errors = True" in part
        lines = re.findall(r"reactorlab run --ground sim .*", part)
        assert [line.partition(" --dialect ")[2].split()[0] for line in lines] == dialects
        for line, dialect in zip(lines, dialects, strict=True):
            assert f" --backend {backend} " in line
            assert line.endswith(f"{os.sep}reports{os.sep}{name}-{dialect}")
    with_kqueue = {name for name, dialect in DIALECTS.items() if dialect.has("kqueue")}
    assert set(SIMULATED_ENVS["sim-kqueue"]) == with_kqueue
    assert {name for name, it in DIALECTS.items() if it.has("epoll")} == {"linux"}


def test_ci_writes_down_what_each_kqueue_answers():
    """The env is there, and runs after the scenarios on every kernel that has a kqueue."""
    shown = run("-m", "tox", "config", "-e", "kernel-record", "-k", "commands").stdout
    assert f"tests/kernel/record.py {ROOT}{os.sep}reports{os.sep}kernel-record" in shown
    for env in matrix.load().envs.values():
        live = env.backend == "kqueue" and env.ground == "live"
        assert (env.also == "kernel-record") is live, env.name


def test_the_ci_script_parses_and_runs_what_the_readme_says():
    """`.ci/run` runs the README's test command and the Linux envs."""
    path = ROOT / ".ci/run"
    assert subprocess.run(["bash", "-n", str(path)], check=False).returncode == 0
    for env in ("tests", "linux-epoll", "linux-poll", "linux-select", "linux-epoll-pipe"):
        assert re.search(rf"[ (=]{env}\b", path.read_text()), env
