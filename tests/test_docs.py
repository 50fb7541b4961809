"""The documentation leads where it says, and its drawings are those of the tables."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli import parser
from harness.lab import Lab
from harness.scenario import load_file

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


def anchors(page):
    """The anchors that a Markdown page's headings make, by GitHub's rule."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        if anchor:
            assert anchor in anchors(there), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_is_named_exists(page):
    """A path in code type, such as `reactor/backends/epoll.py`, is a path of this project."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for name in re.findall(
        r"`((?:reactor|harness|scenarios|tests|docs|examples|bench)/[\w/.]+)`", text
    ):
        assert (ROOT / name).exists(), name


def test_the_generated_pages_are_those_of_the_code():
    """The diagrams are those of the tables, the catalogue is that of the scenarios."""
    done = subprocess.run(
        [sys.executable, "docs/generate.py", "--check"],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_example_scenario_is_one(tmp_path):
    """The scenario of `docs/scenarios.md` can be pasted; the lab has what the page names."""
    page = (ROOT / "docs/scenarios.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    pasted = tmp_path / "pasted.py"
    pasted.write_text(code, encoding="utf-8")
    (example,) = load_file(pasted)
    assert example.family == "cancel"
    assert example.law_text
    names = set(re.findall(r"\blab\.(\w+)", page)) - {"rng", "world"}
    assert names <= set(dir(Lab)), names - set(dir(Lab))


def test_the_example_of_threads_runs():
    """The program of `docs/threading.md`, pasted."""
    page = (ROOT / "docs/threading.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout == f"{sum(range(0, 20, 2))}\n", done.stderr


@pytest.mark.parametrize(
    # The changelog only names what was added.
    "page",
    [page for page in PAGES if page.name != "CHANGELOG.md"],
    ids=lambda page: page.name,
)
def test_the_commands_of_a_page_are_commands(page):
    """Every `reactorlab …` in a page's shell blocks and in code type is a command line that parses."""
    text = page.read_text(encoding="utf-8")
    found = re.findall(r"^\$ (reactorlab .*?)(?:  +#.*)?$", text, re.MULTILINE)
    found += re.findall(r"`(reactorlab (?:run|trace) --[^`…]*)`", text)
    for line in found:
        try:
            parser.parse(shlex.split(line)[1:])
        except SystemExit as exc:
            pytest.fail(f"{line}: exit code {exc.code}")


def test_every_page_is_in_the_site():
    """`nox -s docs` fails for a page that its navigation does not have, and is not run everywhere."""
    site = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    named = re.findall(r": (\S+\.md)$", site, re.MULTILINE)
    assert sorted(named) == sorted(page.name for page in (ROOT / "docs").glob("*.md"))
