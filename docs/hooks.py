"""What the site needs beyond docs/: pages and files that stand elsewhere in the checkout.

On GitHub a link such as ``../README.md`` leads to the file. The site has the pages among them as pages
of its own, and the other files as files; a link to a folder becomes its name.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent

#: Where they stand, and what the site calls them.
ELSEWHERE = {
    "README.md": "readme.md",
    "reports/README.md": "report-guide.md",
    "LICENSE": "LICENSE.txt",
    **{
        path.relative_to(ROOT).as_posix(): f"schema/{path.name}"
        for path in sorted((ROOT / "reports/schema").glob("*.json"))
    },
}

_LINK = re.compile(
    r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s#]+)(#[^)\s]*)?\)|(!\[[^\]]*\])\(([^)\s]+)\)"
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files from elsewhere."""
    for source, name in ELSEWHERE.items():
        files.append(File.generated(config, name, content=(ROOT / source).read_text("utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Have the links of a page lead where the site has things."""
    own = {name: source for source, name in ELSEWHERE.items()}
    here = (ROOT / own.get(page.file.src_uri, f"docs/{page.file.src_uri}")).parent

    def relink(match: re.Match[str]) -> str:
        text, target, anchor, image, source = match.groups()
        if re.match(r"[a-z]+:", target or source):
            return match[0]
        path = (here / (target or source)).resolve()
        found = _on_site(path, files)
        if image is not None:
            return f"{image}({found or source})"
        if found is None:
            return text if path.exists() else match[0]
        return f"[{text}]({found}{anchor or ''})"

    return _LINK.sub(relink, markdown)


def _on_site(path: Path, files: Files) -> str | None:
    """Return the site's name for a file of the checkout, None if it has none."""
    if not path.is_relative_to(ROOT):
        return None
    name = path.relative_to(ROOT).as_posix()
    found = ELSEWHERE.get(name, name.removeprefix("docs/") if name.startswith("docs/") else None)
    return found if found is not None and files.get_file_from_path(found) is not None else None
