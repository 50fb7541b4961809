"""What a machine can do, and how that is known."""

from __future__ import annotations

import os
import resource
import select
import socket

import pytest

from harness import capabilities, oracles
from harness.capabilities import Capability, probe
from harness.world import LiveWorld
from reactor import backends
from reactor.system import System

BEST = backends.available()[0]


def by_name(spec, system="live"):
    return {item.name: item for item in probe(spec, LiveWorld(system))}


def test_every_capability_is_there_once_with_evidence():
    found = probe(BEST)
    names = [item.name for item in found]
    assert len(set(names)) == len(names)
    assert names[0] == "backend"
    assert {"epoll", "kqueue", "poll", "select", "tcp", "unix", "pty", "emfile"} <= set(names)
    for item in found:
        assert item.evidence
        assert "\n" not in item.evidence
        assert type(item.available) is bool


def test_the_backend_is_named_with_both_axes():
    backend = by_name("poll+pipe")["backend"]
    assert backend == Capability("backend", available=True, evidence="runs as poll+pipe+timeout")


@pytest.mark.parametrize(
    ("spec", "system", "evidence"),
    [
        ("pol", "live", "unknown backend 'pol' (did you mean poll?); allowed: "),
        ("poll+user", "live", "'user' is not an option of poll"),
        ("epoll", "posix", "backend epoll is not available on this system; there are: "),
        ("poll+eventfd", "posix", "eventfd: "),
    ],
)
def test_a_backend_that_cannot_be_had_says_why(spec, system, evidence):
    backend = by_name(spec, system)["backend"]
    assert not backend.available
    assert evidence in backend.evidence


def test_pollers_are_as_python_has_them():
    found = by_name("select")
    for name in ("epoll", "kqueue", "poll", "select"):
        assert found[name].available == hasattr(select, name)
        if not found[name].available:
            assert found[name].evidence == "Python does not have it here"
        else:
            assert found[name].evidence == "Python and the system have it"


def test_on_posix_the_extensions_are_refused_and_say_so():
    found = by_name("select", "posix")
    for name in ("epoll", "kqueue", "eventfd", "timerfd", "reuseport"):
        assert not found[name].available
        expected = "refused: POSIX only" if System().has(name) else "Python does not have it here"
        assert found[name].evidence == expected
    assert found["select"].available
    assert found["tcp"].available


def test_what_fails_is_missing_and_says_how(monkeypatch):
    def refused(_):
        raise PermissionError(13, "Permission denied")

    def absent(_):
        return socket.NO_SUCH_THING  # type: ignore[attr-defined]

    monkeypatch.setitem(capabilities._PROBES, "unix", refused)
    monkeypatch.setitem(capabilities._PROBES, "pty", absent)
    found = by_name("select")
    assert found["unix"] == Capability(
        "unix", available=False, evidence="PermissionError: [Errno 13] Permission denied"
    )
    assert not found["pty"].available
    assert found["pty"].evidence.startswith("AttributeError: ")


def test_a_broken_probe_is_not_taken_for_a_missing_capability(monkeypatch):
    monkeypatch.setitem(capabilities._PROBES, "unix", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        probe("select")


def test_probing_leaves_nothing_behind():
    before = oracles.snapshot()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    probe(BEST)
    probe("select", LiveWorld("posix"))
    assert all(oracle["ok"] for oracle in oracles.judge(before))
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == limit


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="a machine that is known well")  # noqa: PTH112
def test_linux_has_what_the_scenarios_need():
    found = by_name("epoll")
    for name in ("backend", "epoll", "tcp", "unix", "scm_rights", "oob", "emfile", "setitimer"):
        assert found[name].available, found[name].evidence
