"""The board: what many runs say, as a static page for a browser.

The page is made of a few small scripts and one style sheet, and of data: an index, and a chunk for
each scenario that is read when it is looked at. As a folder the chunks are files beside the page; as
a single file they are inside it, compressed. Both work from ``file://`` and ask nothing of a network.

The scripts are plain ones, not modules: a browser loads no module from ``file://``. They build the
page out of text nodes, and a policy lets no other script run, so no text of a run can act.
"""

from __future__ import annotations

import base64
import gzip
import json
from html import escape
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from ..files import put
from ..report import words
from ..report.html import csp_hash
from . import data

if TYPE_CHECKING:
    from pathlib import Path

    from ..collection import Collection
    from ..compare import Comparison

__all__ = ["write"]

#: In the order in which they are run: each uses what stands before it.
_SCRIPTS: Final = (
    "core.js",
    "query.js",
    "parts.js",
    "keyboard.js",
    "matrix.js",
    "scenario.js",
    "backend.js",
    "pages.js",
    "mutants.js",
    "plots.js",
    "bench.js",
    "main.js",
)

#: The colours are those of the page of one run.
_STYLES: Final = (("harness.report", "templates/palette.css"), (__name__, "static/board.css"))


def write(
    found: Collection,
    folder: Path,
    *,
    changed: Comparison | None = None,
    single: bool = False,
    title: str = "",
) -> Path:
    """Write the board into a folder.

    Args:
        found: the runs.
        folder: gets `index.html`, and without `single` the folder `data` too.
        changed: what became of the scenarios since earlier runs; by default since the run before
            the last of each column, if there is one.
        single: write one file that has everything in it.
        title: of the page.

    Returns:
        The path of the page.

    Raises:
        OSError: a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    chunks = data.chunks(found, changed=changed, title=title)
    embedded, kept = "", set()
    if single:
        embedded = "\n".join(
            f'<script type="application/octet-stream" id="chunk-{name}">{_packed(chunk)}</script>'
            for name, chunk in chunks
        )
    else:
        (folder / "data").mkdir(exist_ok=True)
        for name, chunk in chunks:
            text = f"board.receive({json.dumps(name)}, {_harmless(chunk)});\n"
            kept.add(put(folder / "data" / f"{name}.js", text.encode()))
    for path in (folder / "data").glob("*.js"):
        if path not in kept:  # of a board that was here before
            path.unlink()
    return put(folder / "index.html", _page(title, embedded, single=single).encode())


def _page(title: str, embedded: str, *, single: bool) -> str:
    styles = [_part(name, package) for package, name in _STYLES]
    scripts = [_part(f"static/{name}") for name in _SCRIPTS]
    beside = "" if single else " 'self' file:"
    policy = (
        f"default-src 'none'; style-src {' '.join(map(csp_hash, styles))}; "
        f"script-src {' '.join(map(csp_hash, scripts))}{beside}; base-uri 'none'; form-action 'none'"
    )
    parts = {
        "policy": policy,
        "title": escape(words.visible(title or "reactorlab board")),
        "styles": "\n".join(f"<style>{text}</style>" for text in styles),
        "data": embedded,
        "scripts": "\n".join(f"<script>{text}</script>" for text in scripts),
    }
    page = _part("static/page.html")
    for name, text in parts.items():
        page = page.replace(f"<!-- {name} -->", text, 1)
    return page


def _part(name: str, package: str = __name__) -> str:
    return (resources.files(package) / name).read_text(encoding="utf-8")


def _packed(chunk: Any) -> str:
    # Without a time: the same runs make the same file.
    text = json.dumps(chunk, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def _harmless(chunk: Any) -> str:
    """Return JSON that is a JavaScript expression, and nothing to a reader of HTML."""
    return json.dumps(chunk, separators=(",", ":")).replace("<", "\\u003c")
