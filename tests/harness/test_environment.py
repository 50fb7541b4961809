"""Where a run takes place."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness import environment

ROOT = Path(__file__).resolve().parents[2]


def test_platform_and_python_are_plain_words():
    platform, python = environment.platform_info(), environment.python_info()
    json.dumps([platform, python])
    assert set(platform) == {"os", "release", "machine", "libc"}
    assert all(isinstance(word, str) for word in platform.values())
    assert sys.platform.startswith(platform["os"])
    assert python["version"] == ".".join(map(str, sys.version_info[:3])) or (
        sys.version_info.releaselevel != "final"
    )
    assert type(python["gil"]) is bool


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("linux", "linux"),
        ("darwin", "darwin"),
        ("freebsd14", "freebsd"),
        ("openbsd7.5", "openbsd"),
        ("netbsd10", "netbsd"),
        ("dragonfly6", "dragonfly"),
    ],
)
def test_the_system_has_no_release_number(monkeypatch, name, word):
    monkeypatch.setattr(sys, "platform", name)
    assert environment.platform_info()["os"] == word


@pytest.mark.parametrize("enabled", [True, False])
def test_the_lock_is_reported_as_it_is(monkeypatch, enabled):
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: enabled, raising=False)
    assert environment.python_info()["gil"] is enabled


def test_the_version_is_that_of_what_is_installed(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: f"1.2.3 of {name}")
    assert environment.version() == "1.2.3 of reactorlab"

    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    assert environment.version() == ""


def test_the_env_is_what_tox_calls_it(monkeypatch):
    monkeypatch.setenv("TOX_ENV_NAME", "linux-poll")
    assert environment.env_name() == "linux-poll"
    monkeypatch.delenv("TOX_ENV_NAME")
    assert environment.env_name() == ""


# -- The state of the checkout


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout of something that looks like this project."""
    if shutil.which("git") is None:
        pytest.skip("there is no git here")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    (tmp_path / "harness").mkdir()
    file = tmp_path / "harness" / "environment.py"
    file.write_text("# as in the real one\n")
    for command in (
        ["init", "--quiet"],
        ["add", "."],
        ["-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "-qm", "one"],
    ):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    return tmp_path


def head(folder):
    done = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_a_checkout_is_described_by_its_commit(checkout, monkeypatch):
    monkeypatch.setattr(environment, "__file__", str(checkout / "harness" / "environment.py"))
    assert environment.git_info() == {"sha": head(checkout), "dirty": False}
    (checkout / "new").touch()
    assert environment.git_info() == {"sha": head(checkout), "dirty": True}


def test_an_installed_package_takes_the_checkout_that_it_runs_in(checkout, monkeypatch, tmp_path):
    installed = tmp_path / "site-packages" / "harness" / "environment.py"
    installed.parent.mkdir(parents=True)
    monkeypatch.setattr(environment, "__file__", str(installed))
    monkeypatch.chdir(checkout)
    (checkout / ".git" / "info" / "exclude").write_text("site-packages\n")
    assert environment.git_info() == {"sha": head(checkout), "dirty": False}


def test_another_projects_checkout_is_not_taken_for_this_one(checkout, monkeypatch, tmp_path):
    installed = tmp_path / "site-packages" / "harness" / "environment.py"
    monkeypatch.setattr(environment, "__file__", str(installed))
    (checkout / "harness" / "environment.py").unlink()
    monkeypatch.chdir(checkout)
    monkeypatch.delenv("GITHUB_SHA", raising=False)
    assert environment.git_info() == {"sha": "", "dirty": False}
    monkeypatch.setenv("GITHUB_SHA", "f00")
    assert environment.git_info() == {"sha": "f00", "dirty": False}


def test_without_git_the_commit_is_unknown(checkout, monkeypatch):
    monkeypatch.setattr(environment, "__file__", str(checkout / "harness" / "environment.py"))
    monkeypatch.delenv("GITHUB_SHA", raising=False)
    monkeypatch.setenv("PATH", "")
    assert environment.git_info() == {"sha": "", "dirty": False}


def test_a_broken_checkout_is_not_an_error(checkout, monkeypatch):
    monkeypatch.setattr(environment, "__file__", str(checkout / "harness" / "environment.py"))
    monkeypatch.setenv("GITHUB_SHA", "f00")
    (checkout / ".git" / "HEAD").unlink()
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(checkout.parent))
    assert environment.git_info() == {"sha": "f00", "dirty": False}
