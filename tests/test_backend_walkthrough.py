"""`docs/backends.md` leads to a backend that works: this does what stands there, in a copy."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def blocks():
    """The page's Python, by the file that it names."""
    page = (ROOT / "docs/backends.md").read_text(encoding="utf-8")
    found = re.findall(
        r'^( *)```python title="([^"]+)"\n(.*?)^ *```$', page, re.DOTALL | re.MULTILINE
    )
    return {name: textwrap.dedent(code) for _, name, code in found}


def insert(path, behind, line):
    """Put a line behind the one line of a file that ends like this."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    (place,) = (number for number, text in enumerate(lines) if text.rstrip().endswith(behind))
    path.write_text("".join([*lines[: place + 1], line, *lines[place + 1 :]]), encoding="utf-8")


@pytest.fixture
def copy(tmp_path):
    """A copy of the project with the page's backend in it."""
    for folder in ("reactor", "harness", "scenarios"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    made = blocks()
    assert set(made) == {
        "reactor/backends/selectors.py",
        "reactor/backends/__init__.py",
        "reactor/system.py",
    }
    (tmp_path / "reactor/backends/selectors.py").write_text(
        made["reactor/backends/selectors.py"], encoding="utf-8"
    )
    insert(
        tmp_path / "reactor/backends/__init__.py",
        "BACKENDS: dict[str, tuple[str, str]] = {",
        made["reactor/backends/__init__.py"],
    )
    insert(
        tmp_path / "reactor/system.py",
        "_NAMES: Final[dict[str, tuple[Any, str]]] = {",
        made["reactor/system.py"],
    )
    return tmp_path


def test_the_walk_through_leads_to_a_backend_that_passes(copy):
    """Scenarios of the families that lean on a poller most."""
    done = subprocess.run(
        [
            *(sys.executable, "-P", "-m", "harness", "run", "--backend", "selectors", "--json"),
            *("--family", "partial", "--family", "wake", "--jobs", "2", "--seed", "1"),
        ],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    run = json.loads(done.stdout)
    assert run["run"]["backend"] == "selectors"
    statuses = {result["status"] for result in run["results"]}
    assert statuses <= {"PASS", "UNSUPPORTED"}
    assert len(run["results"]) > 10
