"""Lines out of pieces."""

from __future__ import annotations

import random

import pytest

from harness.lines import Lines


@pytest.mark.parametrize(
    ("pieces", "lines", "rest"),
    [
        ([], [], b""),
        ([b""], [], b""),
        ([b"a"], [], b"a"),
        ([b"a\n"], [b"a"], b""),
        ([b"a", b"b", b"\n"], [b"ab"], b""),
        ([b"a\nb"], [b"a"], b"b"),
        ([b"a\nb\n\nc\n"], [b"a", b"b", b"", b"c"], b""),
        ([b"\n\n"], [b"", b""], b""),
        ([b"a", b"\nb", b"", b"c\nd"], [b"a", b"bc"], b"d"),
        ([b"a\r\n"], [b"a\r"], b""),
    ],
)
def test_pieces(pieces, lines, rest):
    reader = Lines()
    assert [line for piece in pieces for line in reader.feed(piece)] == lines
    assert reader.rest == rest


def test_however_it_is_cut_the_lines_are_the_same():
    data = b"".join(b"%d\n" % number * (number % 3) for number in range(200)) + b"tail"
    rng = random.Random(1)
    for _ in range(50):
        reader, lines, position = Lines(), [], 0
        while position < len(data):
            size = rng.randrange(1, 30)
            lines += reader.feed(data[position : position + size])
            position += size
        assert b"\n".join([*lines, reader.rest]) == data
