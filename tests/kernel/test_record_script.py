"""What CI runs on macOS and the BSDs leaves files that any machine can check."""

from __future__ import annotations

import select

import pytest

from harness.kernel.verify import records
from harness.kernel.verify.grounds import native_dialect
from harness.kernel.verify.programs import THEMES, sample

from . import record


def test_the_records_of_this_machine(tmp_path):
    assert record.main(tmp_path / "out", programs=3) == 0
    left = {file.name.partition("-")[0]: file for file in (tmp_path / "out").iterdir()}
    made = records.read(left["verify"])
    assert (made.dialect, len(made.programs)) == (native_dialect(), 3)
    assert "differences.txt" in left
    assert ("kqueue" in left) is hasattr(select, "kqueue")


@pytest.mark.parametrize("extension", THEMES, ids=str)
def test_programs_are_drawn_by_seed(extension):
    themes = list(THEMES[extension].values())
    drawn = list(sample(200, 1, themes))
    assert drawn == list(sample(200, 1, themes))
    assert drawn != list(sample(200, 2, themes))
    calls = {step[0] for program in drawn for step in program}
    assert calls == {call for first, then in themes for call in (*first, *then)}
