"""The shape of the house: what is shared stands once, and a backend holds only what differs."""

from __future__ import annotations

import ast
import io
import keyword
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BACKENDS = sorted((ROOT / "reactor/backends").glob("[a-z]*.py"))
#: The files between which nothing may stand twice: backends, sockets and acceptors.
SHARED = [
    *sorted((ROOT / "reactor/backends").glob("*.py")),
    *(
        ROOT / "reactor" / name
        for name in (
            "socketbase.py",
            "stream.py",
            "datagram.py",
            "acceptor.py",
            "gather.py",
            "net.py",
        )
    ),
]
MOST_LINES = 150
RUN = 6

_LAYOUT = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}


def code_lines(source):
    """The lines that hold code: each as (number, its tokens with names and values made alike)."""
    skipped = set()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Expr | ast.Import | ast.ImportFrom):
            continue
        if not isinstance(node, ast.Expr) or isinstance(node.value, ast.Constant):
            skipped |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines: dict[int, list[str]] = {}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        number = token.start[0]
        if token.type in _LAYOUT or number in skipped:
            continue
        word = token.string
        if token.type == tokenize.NAME and not keyword.iskeyword(word):
            word = "name"
        elif token.type in {tokenize.STRING, tokenize.NUMBER}:
            word = "value"
        lines.setdefault(number, []).append(word)
    return [(number, " ".join(words)) for number, words in sorted(lines.items())]


def repeats(sources, run=RUN):
    """The places at which `run` lines of one shape stand for the second time."""
    seen: dict[tuple[str, ...], str] = {}
    found = []
    for name, source in sources.items():
        # A line of punctuation or a bare keyword says nothing about the logic.
        lines = [item for item in code_lines(source) if "name" in item[1]]
        for start in range(len(lines) - run + 1):
            window = lines[start : start + run]
            shape = tuple(text for _, text in window)
            place = f"{name}:{window[0][0]}"
            if shape in seen:
                found.append(f"{seen[shape]} and {place}")
            seen.setdefault(shape, place)
    return found


@pytest.mark.parametrize("path", BACKENDS, ids=lambda path: path.stem)
def test_a_backend_file_is_small(path):
    """What differs between pollers fits into 150 lines of code."""
    assert len(code_lines(path.read_text())) <= MOST_LINES


def test_no_logic_stands_twice_between_backends_sockets_and_acceptors():
    """Six lines of one shape, names and values aside, are one mechanism written twice."""
    assert repeats({path.name: path.read_text() for path in SHARED}) == []


def test_a_copy_under_other_names_is_found():
    """The check above is not blind: a renamed copy of a method shows."""
    source = (ROOT / "reactor/backends/poll.py").read_text()
    start = source.index("    def wait(")
    copy = source[start:].replace("descriptor", "item").replace("mask", "flags")
    assert repeats({"poll.py": source, "copy.py": f"class Copy:\n{copy}"})
