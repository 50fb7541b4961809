"""Other interpreters and machines: what is sent there, what comes back, and what one that fails costs."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest

from harness import collection, engine
from harness.cli import main
from harness.errors import HarnessError
from harness.model import Run
from harness.places import cargo, far, worker
from harness.places.spec import Place, parse

ROOT = Path(__file__).resolve().parents[2]

# -- What --on says


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("popen", "popen"),
        ("popen//python=/usr/bin/python3.12", "popen-python3.12"),
        ("popen//python=python3.14t -X dev", "popen-python3.14t"),
        ("ssh=me@bsd", "me@bsd"),
        ("ssh=-p 2222 -i key me@bsd.example//python=python3.11", "me@bsd.example-python3.11"),
        ("ssh=me@bsd//id=the box/under my desk", "the-box-under-my-desk"),
        ("popen//env:A=b//nice=5//id=..", "place"),
    ],
)
def test_a_place_has_a_name_that_is_good_for_a_folder(spec, name):
    assert parse([spec]) == [Place(name, spec)]


def test_places_of_one_kind_are_told_apart():
    assert [place.name for place in parse(["popen", "popen", "popen"])] == [
        "popen",
        "popen-2",
        "popen-3",
    ]


@pytest.mark.parametrize(
    "specs",
    [
        [""],
        ["//"],
        ["nonsense"],
        ["popen=yes"],
        ["ssh"],
        ["ssh="],
        ["popen//ssh=host"],
        ["popen//python"],
        ["popen//popen"],
        ["socket=localhost:8888"],
        ["popen//via=x"],
        ["popen//_x=1"],
        ["popen//id=a", "popen//id=a"],
    ],
)
def test_a_malformed_place_is_one_line_and_exit_code_2(specs, capsys):
    with pytest.raises(HarnessError):
        parse(specs)
    arguments = [word for spec in specs for word in ("--on", spec)]
    assert main(["run", "--family", "close", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"reactorlab: --on {specs[-1]}")
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize("more", [["--silence", "0"], ["--silence", "nan"], ["--repeat", "0"]])
def test_other_mistakes_are_found_before_anything_is_started(more, capsys):
    assert main(["run", "--family", "close", "--on", "popen", *more]) == 2
    assert capsys.readouterr().err.count("\n") == 1


# -- What is sent


def test_the_cargo_has_the_packages_and_the_catalogue(demo_folder, tmp_path):
    """With another catalogue and another expectation file in place of the project's."""
    other = tmp_path / "other.toml"
    other.write_text("# other\n", encoding="utf-8")
    (demo_folder / "__pycache__").mkdir()
    (demo_folder / "__pycache__/demo.pyc").touch()
    for packed, scenario, expectations in (
        (cargo.pack(), "cancel.py", None),
        (cargo.pack(demo_folder, other), "demo.py", "# other\n"),
    ):
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            names = archive.namelist()
            assert len(set(names)) == len(names)
            assert {"reactor/__init__.py", "harness/engine.py", "harness/matrix.toml"} <= set(names)
            assert f"harness/_scenarios/{scenario}" in names
            assert not [name for name in names if "__pycache__" in name]
            if expectations is not None:
                text = archive.read("harness/_scenarios/expectations.toml").decode()
                assert text == expectations


BARE = """
import json, sys
sys.path.insert(0, sys.argv[1])
from harness.places import worker
worker.run(json.loads(sys.argv[2]), lambda message: print(json.dumps(message)))
"""


def test_a_bare_interpreter_is_enough(tmp_path, demo_folder):
    """The engine of the cargo needs nothing but the standard library."""
    with zipfile.ZipFile(io.BytesIO(cargo.pack(demo_folder))) as archive:
        archive.extractall(tmp_path / "there")
    order = worker.order(engine.RunOptions(spec="poll", seed=7, jobs=1, ids=("demo.first",)))
    said = subprocess.run(
        [
            sys.executable,
            *("-I", "-S", "-c", BARE),
            str(tmp_path / "there"),
            json.dumps(order),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert said.returncode == 0, said.stderr
    kinds = [json.loads(line)["kind"] for line in said.stdout.splitlines()]
    assert kinds == ["begin", "result", "end"]


class Channel:
    """A channel to a place, as seen from there."""

    def __init__(self):
        self.inbox = ["{}", b"no archive"]
        self.outbox: list[dict[str, str]] = []

    def receive(self):
        return self.inbox.pop(0)

    def send(self, text):
        self.outbox.append(json.loads(text))


def test_an_old_python_refuses(monkeypatch):
    """Before it reads anything that it could not compile; what it reads first, any Python 3 can."""
    channel = Channel()
    monkeypatch.setattr(sys, "version_info", (3, 8, 18, "final", 0))
    far.main(channel)
    assert channel.outbox == [{"kind": "refused", "reason": "Python 3.8 is too old; it takes 3.11"}]
    compile(Path(far.__file__).read_text(encoding="utf-8"), "far", "exec", dont_inherit=True)


def test_a_place_cleans_up_and_says_what_broke(monkeypatch, tmp_path, capsys):
    channel = Channel()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    far.main(channel)
    assert channel.outbox[-1] == {"kind": "lost", "reason": "BadZipFile: File is not a zip file"}
    assert "BadZipFile" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


# -- The command


def test_the_command_leaves_a_folder_for_each_place_and_one_board(demo_folder, tmp_path, capsys):
    out = tmp_path / "out"
    code = main(
        [
            *("run", "--backend", "poll", "--jobs", "1", "--scenarios-dir", str(demo_folder)),
            *("--on", "popen", "--on", f"popen//id=gone//python={tmp_path}/none"),
            *("--out", str(out)),
        ]
    )
    captured = capsys.readouterr()
    assert code == 1
    assert {"popen", "gone", "merged.json", "index.html", "summary.md"} <= {
        path.name for path in out.iterdir()
    }
    assert len(collection.load([out]).columns) == 2
    assert Run.load(out / "popen").exit_code == 0
    assert Run.load(out / "gone").info.place["status"] == "lost"
    assert "gone was lost" in " ".join(captured.out.split())
    assert (out / "gone/summary.md").read_text(encoding="utf-8").count("gone was lost") >= 1


def test_json_is_a_list_of_runs(demo_folder, capsys):
    assert (
        main(
            [
                *("run", "--backend", "poll", "--jobs", "1", "--scenarios-dir", str(demo_folder)),
                *("--on", "popen", "--json", "-k", "demo.first"),
            ]
        )
        == 0
    )
    (only,) = json.loads(capsys.readouterr().out)
    assert Run.from_json(only).results[0].id == "demo.first"


def test_nothing_that_matches_starts_nothing(demo_folder, capsys):
    arguments = ("run", "--scenarios-dir", str(demo_folder), "--on", "popen", "-k", "nihil")
    assert main([*arguments]) == 3
    assert capsys.readouterr().err.count("\n") == 1
