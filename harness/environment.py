"""Where a run takes place: platform, Python, versions, and the state of the checkout."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

DISTRIBUTION = "reactorlab"


def platform_info() -> dict[str, str]:
    """The operating system; ``os`` is `sys.platform` without a release number."""
    return {
        "os": sys.platform.rstrip("0123456789."),
        "release": platform.release(),
        "machine": platform.machine(),
        "libc": " ".join(platform.libc_ver()).strip(),
    }


def python_info() -> dict[str, Any]:
    """The interpreter; ``gil`` tells whether it runs with a global lock."""
    enabled = getattr(sys, "_is_gil_enabled", None)
    return {
        "version": platform.python_version(),
        "implementation": platform.python_implementation(),
        "gil": True if enabled is None else bool(enabled()),
    }


def version() -> str:
    """The version of this project, empty in a checkout that is not installed."""
    try:
        return importlib.metadata.version(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return ""


def git_info() -> dict[str, Any]:
    """The commit of the checkout and whether it has changes; of an installed package, the CI's."""
    root = _checkout()
    sha = _git(root, "rev-parse", "HEAD") if root else None
    if root is None or sha is None:
        return {"sha": os.environ.get("GITHUB_SHA", ""), "dirty": False}
    return {"sha": sha, "dirty": bool(_git(root, "status", "--porcelain"))}


def _checkout() -> Path | None:
    """The checkout that this is, or (tox) that the wheel which runs was built in."""
    for folder in (Path(__file__).resolve().parent.parent, Path.cwd()):
        if (folder / ".git").exists() and (folder / "harness" / Path(__file__).name).is_file():
            return folder
    return None


def _git(root: Path, *args: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *args], cwd=root, capture_output=True, text=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def env_name() -> str:
    """The tox env that this runs in, empty outside of one."""
    return os.environ.get("TOX_ENV_NAME", "")
