"""What a scenario must leave as it found it."""

from __future__ import annotations

import os
import resource
import socket
import sys
import threading
from pathlib import Path

import pytest

from harness import oracles


@pytest.fixture
def judged():
    """Take a snapshot; the fixture's value judges what has changed since, by name."""
    before = oracles.snapshot()

    def judge():
        found = oracles.judge(before)
        assert [oracle["name"] for oracle in found] == [
            "no-leaked-fd",
            "no-foreign-close",
            "no-leaked-thread",
        ]
        assert all(oracle["ok"] == (not oracle["detail"]) for oracle in found)
        return {oracle["name"]: oracle["detail"] for oracle in found if not oracle["ok"]}

    return judge


def test_nothing_done_is_nothing_found(judged):
    assert judged() == {}


def test_what_was_opened_and_closed_is_not_left(judged):
    os.close(os.dup(0))
    with socket.socket():
        pass
    assert judged() == {}


def test_descriptors_left_open_are_counted_and_described(judged):
    read_end, write_end = os.pipe()
    found = judged()["no-leaked-fd"]
    assert found.startswith("2 left open: ")
    assert found.count("pipe") == 2
    os.close(read_end)
    os.close(write_end)
    assert judged() == {}


def test_a_descriptor_kept_alive_by_a_cycle_only_is_not_left(judged):
    cycle: list[object] = [socket.socket()]
    cycle.append(cycle)
    del cycle
    with pytest.warns(ResourceWarning):  # it is closed by the collector, inside the judgement
        found = judged()
    assert found == {}


@pytest.fixture
def own():
    """A descriptor of the harness."""
    number = os.open(os.devnull, os.O_RDONLY)
    yield number
    try:
        os.close(number)
    except OSError:
        pass


def test_a_closed_descriptor_of_the_harness_is_noticed(own):
    before = oracles.snapshot()
    os.close(own)
    found = {oracle["name"]: oracle["detail"] for oracle in oracles.judge(before)}
    assert found["no-foreign-close"] == "1 closed or replaced that belong to the harness"
    assert found["no-leaked-fd"] == ""


def test_a_replaced_descriptor_of_the_harness_is_noticed(own, tmp_path):
    """Its number is open, and is not what it was."""
    before = oracles.snapshot()
    (tmp_path / "file").touch()
    with (tmp_path / "file").open("rb") as other:
        os.dup2(other.fileno(), own)
    found = {oracle["name"]: oracle["detail"] for oracle in oracles.judge(before)}
    assert found["no-foreign-close"] == "1 closed or replaced that belong to the harness"
    assert found["no-leaked-fd"] == ""


def test_a_thread_left_running_is_named(judged, monkeypatch):
    monkeypatch.setattr(oracles, "THREAD_GRACE", 0.01)
    end = threading.Event()
    thread = threading.Thread(target=end.wait, name="left-behind", daemon=True)
    thread.start()
    assert judged() == {"no-leaked-thread": "still running: left-behind"}
    end.set()
    thread.join()
    assert judged() == {}


def test_a_thread_that_is_about_to_end_is_waited_for(judged):
    end = threading.Event()
    thread = threading.Thread(target=end.wait, args=(0.05,), daemon=True)
    thread.start()
    assert judged() == {}
    assert not thread.is_alive()


def test_the_stand_in_for_a_foreign_thread_is_not_left(judged):
    """A thread that Python did not start has one from the moment it asks who it is."""
    import _thread

    asked, end = threading.Event(), threading.Event()

    def foreign():
        threading.current_thread()
        asked.set()
        end.wait(10)

    _thread.start_new_thread(foreign, ())
    assert asked.wait(10)
    found = judged()
    end.set()
    assert found == {}


# -- How descriptors are found


def test_where_there_is_no_list_of_descriptors_numbers_are_tried(monkeypatch):
    listed = oracles._descriptors()
    monkeypatch.setattr(sys, "platform", "freebsd14")
    tried = oracles._descriptors()
    assert {fd: what for fd, what in tried.items() if fd in listed} == listed
    monkeypatch.setattr(resource, "getrlimit", lambda _: (3, 3))
    assert set(oracles._descriptors()) <= {0, 1, 2}
    for soft in (resource.RLIM_INFINITY, 1 << 40):
        monkeypatch.setattr(resource, "getrlimit", lambda _, soft=soft: (soft, soft))
        assert oracles._numbers() == list(range(oracles.SCAN_LIMIT))


@pytest.mark.skipif(sys.platform not in {"linux", "darwin"}, reason="there is no list")
def test_the_list_needs_no_scan(monkeypatch):
    def unasked(_):
        raise AssertionError("the limit was asked for")

    monkeypatch.setattr(resource, "getrlimit", unasked)
    assert 0 in oracles._descriptors()


def test_without_a_descriptor_to_list_them_numbers_are_tried(monkeypatch):
    def refused(_):
        raise OSError(24, "Too many open files")

    number = os.dup(0)
    monkeypatch.setattr(os, "listdir", refused)
    assert number in oracles._descriptors()
    os.close(number)


def test_descriptors_are_described_without_a_list_too(monkeypatch, tmp_path):
    def no_such_file(_):
        raise FileNotFoundError

    monkeypatch.setattr(Path, "readlink", no_such_file)
    left, right = socket.socketpair()
    read_end, write_end = os.pipe()
    (tmp_path / "file").touch()
    with left, right, (tmp_path / "file").open("rb") as file, open(os.devnull, "rb") as null:  # noqa: PTH123
        assert oracles._describe(left.fileno()) == "socket"
        assert oracles._describe(read_end) == "pipe"
        assert oracles._describe(file.fileno()) == "file"
        assert oracles._describe(null.fileno()).startswith("mode 2")
        gone = null.fileno()
    os.close(read_end)
    os.close(write_end)
    assert oracles._describe(gone) == f"descriptor {gone}"
