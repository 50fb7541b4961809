"""What a live kernel answered, in a file: the model is held against it on any machine."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from harness.kernel import dialects
from harness.kernel.verify import records
from harness.kernel.verify.__main__ import main
from harness.kernel.verify.answers import errno_name, mask_name, plain
from harness.kernel.verify.grounds import native_dialect
from harness.kernel.verify.records import Entry, Record

from . import probe

#: Every record there is: made with ``python -m harness.kernel.verify --record FILE``.
FILES = sorted(probe.RECORDS.glob("verify-*.json"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_model_answers_as_recorded(file, capsys):
    assert main(["--against", str(file), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["programs"] >= 200
    assert told["difference"] is None


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_broken_model_does_not(file, monkeypatch, capsys):
    right = dialects.DIALECTS[records.read(file).dialect]
    wrong = replace(right, unread_close_resets=not right.unread_close_resets)
    monkeypatch.setitem(dialects.DIALECTS, right.name, wrong)
    assert main(["--against", str(file)]) == 1
    assert "model: " in capsys.readouterr().out


def test_there_is_one_of_linux():
    assert any(records.read(file).dialect == "linux" for file in FILES)


@pytest.mark.skipif(native_dialect() == "posix", reason="no dialect of this machine")
def test_what_this_machine_answers_is_recorded_and_read_back(tmp_path, capsys):
    file = tmp_path / "record.json"
    assert main(["--record", str(file), "--programs", "5", "--seed", "2", "--json"]) == 0
    differences = json.loads(capsys.readouterr().out)["differences"]
    made = records.read(file)
    assert (made.dialect, made.uname) == (native_dialect(), records.this_machine())
    assert len(made.programs) == 5
    # What differs from the model is recorded too, and told again of the record.
    assert main(["--against", str(file)]) == int(bool(differences))
    file.write_text(file.read_text(encoding="utf-8").replace('"IN', '"ERR|IN'), encoding="utf-8")
    assert main(["--against", str(file)]) == 1


RECORD = Record(
    "freebsd",
    {"system": "FreeBSD", "release": "15.1", "machine": "amd64"},
    ["kqueue"],
    [Entry([("pipe", 1, 2, 3)], [[[0, 1], [[1, "OUT"]]]])],
)


def test_a_record_is_read_back_as_written(tmp_path):
    file = tmp_path / "record.json"
    records.write(file, RECORD)
    assert records.read(file) == RECORD


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "reactorlab.kernel-record/0"},
        {"dialect": "beos"},
        {"dialect": None},
        {"uname": {"system": "FreeBSD"}},
        {"extensions": ["iocp"]},
        {"programs": {}},
        {"programs": [[]]},
        {"programs": [{"steps": [["pipe", 1, 2, 3]], "answers": []}]},
        {"programs": [{"steps": [["pipe", 1, 2, 3]], "answers": [[1]]}]},
        {"programs": [{"steps": [["no-such-step", 1, 2, 3]], "answers": [[1, 2]]}]},
    ],
    ids=json.dumps,
)
def test_what_is_no_record_is_refused_in_one_line(change, tmp_path, capsys):
    file = tmp_path / "record.json"
    records.write(file, RECORD)
    data = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**data, **change}), encoding="utf-8")
    assert main(["--against", str(file)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_record_that_cannot_be_written_is_one_line(tmp_path, capsys):
    file = tmp_path / "nowhere" / "record.json"
    words = ["--record", str(file), "--programs", "1"]
    assert main(words) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("verify: ")


# -- How answers are written


def test_errnos_and_masks_have_names():
    import errno

    assert errno_name(errno.EAGAIN) == "EAGAIN"
    assert errno_name(errno.EOPNOTSUPP) == "EOPNOTSUPP"
    assert mask_name(0x1 | 0x10) == "IN|HUP"
    assert mask_name(0x4 | 0x10000) == "OUT|0x10000"
    assert mask_name(0) == "0"


def test_bytes_are_short_or_a_hash():
    assert plain((b"ab", [b""])) == ["61 62", ["no bytes"]]
    assert plain(bytes(100)) != plain(bytes(101))
    assert plain(bytes(100)).startswith("100 bytes ")
