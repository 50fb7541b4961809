"""The files of a report."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from harness import engine, files, report, schema
from harness.errors import HarnessError
from harness.model import Run
from harness.report import html
from tests.harness.test_report_sample import hostile_run, run

NAMES = ["run.json", "junit.xml", "summary.md", "index.html"]


def test_a_report_is_four_files_and_reads_back(tmp_path):
    folder = tmp_path / "reports" / "linux-epoll"
    paths = report.write(run(), folder)
    assert paths == [folder / name for name in NAMES]
    assert sorted(folder.iterdir()) == sorted(paths)
    assert Run.load(folder) == run()


def test_a_real_run_makes_a_report(tmp_path):
    made = engine.run(engine.RunOptions("select", keyword="cancel.p", jobs=2))
    assert len(made.results) >= 3
    page, suite = (report.write(made, tmp_path)[at].read_text() for at in (3, 1))
    for one in made.results:
        assert page.count(f' id="{one.id}"') == 1
        assert one.law_text.partition("'")[0] in page
        assert f'name="{one.id}"' in suite
    assert Run.load(tmp_path) == made


def test_a_hostile_run_makes_a_report(tmp_path):
    for path in report.write(hostile_run(), tmp_path):
        path.read_text(encoding="utf-8")
    ET.parse(tmp_path / "junit.xml")
    assert Run.load(tmp_path) == hostile_run()


def test_a_report_replaces_an_older_one(tmp_path):
    report.write(hostile_run(), tmp_path)
    report.write(run(), tmp_path)
    assert Run.load(tmp_path) == run()
    assert "alert" not in (tmp_path / "index.html").read_text()


def test_a_file_that_cannot_be_finished_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "index.html"
    files.put(path, b"old")
    whole = Path.write_bytes

    def disk_full(self, data):
        whole(self, data[:3])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", disk_full)
    with pytest.raises(OSError, match="No space left"):
        files.put(path, b"new and longer")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_no_file_is_seen_before_it_is_whole(tmp_path, monkeypatch):
    """Whoever looks while a report is written sees each file complete, or not at all."""
    report.write(run(), tmp_path)
    whole = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    seen = []
    replace = Path.replace

    def look(self, target):
        for name in NAMES:
            if (tmp_path / name).exists():
                assert (tmp_path / name).read_bytes() == whole[name]
        seen.append(Path(target).name)
        return replace(self, target)

    for name in NAMES:
        (tmp_path / name).unlink()
    monkeypatch.setattr(Path, "replace", look)
    report.write(run(), tmp_path)
    assert seen == NAMES


def test_the_data_is_there_even_if_a_form_of_it_fails(tmp_path, monkeypatch):
    def broken(run):
        raise ZeroDivisionError

    monkeypatch.setattr(html, "render", broken)
    with pytest.raises(ZeroDivisionError):
        report.write(run(), tmp_path)
    assert Run.load(tmp_path) == run()


def test_the_schema_is_found_in_a_checkout_and_in_a_package(tmp_path, monkeypatch):
    root = Path(__file__).resolve().parents[2]
    assert report.schema_path() == root / "reports/schema/run-1.schema.json"
    module = tmp_path / "harness" / "schema.py"
    monkeypatch.setattr(schema, "__file__", str(module))
    with pytest.raises(HarnessError, match="not installed"):
        report.schema_path()
    packaged = tmp_path / "harness" / "_schema" / "run-1.schema.json"
    packaged.parent.mkdir(parents=True)
    packaged.touch()
    assert report.schema_path() == packaged
