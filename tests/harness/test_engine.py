"""Every way in which a scenario can end, and what the engine makes of it."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from harness import engine, interpreter, oracles, pool
from harness.child import Order
from harness.errors import HarnessError
from harness.model import Result, Run, Status

# Those that end the fork server or need more than one attempt have tests of their own.
ALONE = {
    "kills-the-fork-server",
    "stops-the-fork-server",
    "leaves-a-process",
    "passes-with-even-seeds",
    "makes-a-folder-and-hangs",
}


@pytest.fixture(scope="module")
def results(toy):
    """Each toy scenario once, all in one run."""
    catalogue = engine.select(toy.options())
    names = [item.id.removeprefix("toy.") for item in catalogue]
    return toy(*(name for name in names if name not in ALONE), jobs=4, timeout_s=2.5)


STATUSES = {
    "passes": ("PASS", ""),
    "fails": ("FAIL", "AssertionError: one is not two"),
    "says-it-is-unsupported": ("UNSUPPORTED", "no such thing here"),
    "breaks-the-harness": ("ERROR", "the lab fell over"),
    "reports-nonsense": ("ERROR", "'SPLENDID' is not a valid Status"),
    "breaks-an-oracle-of-the-lab": ("FAIL", "no-lost-byte: 3 lost"),
    "hangs": ("TIMEOUT", "no result within 2.5 s; last: toy wait for ever"),
    "hangs-with-patience": ("TIMEOUT", "no result within 3.75 s"),
    "spins": ("TIMEOUT", "no result within 2.5 s"),
    "spins-without-letting-go-of-the-lock": ("TIMEOUT", "no result within 2.5 s"),
    "ignores-signals-and-leaves-its-group": ("TIMEOUT", "no result within 2.5 s"),
    "aborts": ("CRASH", "killed by SIGABRT; last: toy begin"),
    "is-killed": ("CRASH", "killed by SIGKILL"),
    "faults": ("CRASH", "killed by SIGSEGV"),
    "exits": ("CRASH", "exited with code 0 without a result"),
    "exits-with-7": ("CRASH", "exited with code 7 without a result"),
    "leaks-a-descriptor": ("FAIL", "no-leaked-fd: 1 left open: /dev/null"),
    "drops-a-file": ("PASS", ""),
    "leaks-a-thread": ("FAIL", "no-leaked-thread: still running: left-behind"),
    "ends-a-thread-late": ("PASS", ""),
    "closes-what-is-not-its-own": ("FAIL", "no-foreign-close: 1 closed"),
    "closes-everything": ("FAIL", "a descriptor that belongs to the harness, or closed it"),
    "writes-garbage-into-the-result-pipe": ("FAIL", "belongs to the harness: it got b'{"),
    "prints": ("PASS", ""),
    "prints-without-end": ("PASS", ""),
    "prints-and-dies": ("CRASH", "killed by SIGKILL"),
    "records-much": ("PASS", ""),
    "only-informs": ("FAIL", "for your information"),
    "needs-a-thing-that-is-missing": ("UNSUPPORTED", "no missing: looked everywhere"),
    "needs-a-thing-that-is-there": ("PASS", ""),
    "needs-what-nobody-probes": ("ERROR", "needs typo, which nothing probes"),
    "takes-a-signal": ("PASS", ""),
    "has-a-clean-process": ("PASS", ""),
}


@pytest.mark.parametrize("name", STATUSES)
def test_status(results, name):
    status, reason = STATUSES[name]
    assert (results[name].status, reason in results[name].reason) == (status, True), results[
        name
    ].reason


def test_every_toy_scenario_is_tested(results):
    assert set(results) == set(STATUSES)


def test_unexpected_is_everything_else_than_pass(results):
    expected = {name for name, result in results.items() if not result.unexpected}
    passed = {name for name, (status, _) in STATUSES.items() if status in {"PASS", "UNSUPPORTED"}}
    assert expected == passed | {"only-informs"}


def test_a_pass_has_all_that_the_subject_reported(results):
    result = results["passes"]
    assert result.variant == "loud"
    assert result.permits == {"loud": "some kernels shout"}
    assert result.counters == {"waits": 2}
    assert result.info["random"] > 0
    assert [event["event"] for event in result.trace] == ["begin", "end"]
    assert "'threads': 1" in result.trace[1]["detail"]
    assert [event["thread"] for event in result.timeline] == ["main", "main"]
    assert {oracle["name"] for oracle in result.oracles if oracle["ok"]} == {
        "no-leaked-fd",
        "no-foreign-close",
        "no-leaked-thread",
    }
    assert result.dump is None
    assert result.stacks is None


def test_a_hang_leaves_stacks_dump_and_its_last_events(results):
    result = results["hangs"]
    assert "in hangs" in result.stacks
    assert result.dump == "the toy's own dump"
    assert [event["event"] for event in result.trace] == ["begin", "wait"]
    assert 2.4 < result.duration_s < 30


def test_a_spin_leaves_stacks_even_when_it_keeps_the_lock(results):
    assert "in spins" in results["spins"].stacks
    assert results["spins"].dump == "the toy's own dump"
    assert "in spins_in_c" in results["spins-without-letting-go-of-the-lock"].stacks


@pytest.mark.parametrize(("name", "function"), [("aborts", "aborts"), ("faults", "faults")])
def test_a_crash_leaves_its_stacks(results, name, function):
    assert f"in {function}" in results[name].stacks


def test_the_harness_error_says_where(results):
    assert "toy_subject.py" in results["breaks-the-harness"].reason


def test_output_is_captured_from_every_layer(results):
    output = results["prints"].output
    assert "to standard output\n" in output
    assert "to standard error \\udc80\n" in output
    assert "\ufffd straight to the descriptor\n" in output


def test_last_words_are_kept(results):
    assert results["prints-and-dies"].output == "last words\n"


def test_long_output_keeps_both_ends(results):
    output = results["prints-without-end"].output
    assert output.startswith("first\n")
    assert output.endswith("last\n")
    assert "bytes ...]" in output
    assert len(output) < 70_000


def test_long_traces_keep_both_ends(results):
    trace = results["records-much"].trace
    assert [trace[0]["detail"], trace[-1]["detail"]] == ["0", "6999"]
    assert [event["detail"] for event in trace if event["event"] == "cut"] == ["2000 events"]


def test_the_report_is_json_and_reads_back(toy, tmp_path):
    made = engine.run(toy.options("passes", "fails", "needs-a-thing-that-is-missing"))
    made.save(tmp_path / "new" / "run.json")
    assert Run.load(tmp_path / "new") == made
    assert json.loads((tmp_path / "new" / "run.json").read_text()) == made.to_json()


def test_info_says_what_ran(toy):
    made = engine.run(toy.options("passes", "fails", spec="epoll", threads=3, system="posix"))
    info = made.info
    assert (info.spec, info.backend, info.variant) == ("epoll", "epoll", "toy")
    assert (info.threads, info.system, info.seed, info.repeat) == (3, "posix", 100, 1)
    assert info.started < info.finished
    assert info.counters == {"waits": 4}
    assert info.capabilities[2] == {
        "name": "missing",
        "available": False,
        "evidence": "looked everywhere",
    }
    assert made.counts == {Status.PASS: 1, Status.FAIL: 1}


def test_repeat_gives_each_attempt_a_seed_and_disagreement_is_flaky(toy):
    seen: list[Result] = []
    made = toy("passes-with-even-seeds", repeat=4, jobs=2, on_result=seen.append)
    result = made["passes-with-even-seeds"]
    assert result.status == "FLAKY"
    assert result.unexpected
    assert result.reason == "2 PASS, 2 FAIL; seed 101: FAIL AssertionError: odd"
    assert [(one.seed, one.status) for one in result.attempts] == [
        (100, "PASS"),
        (101, "FAIL"),
        (102, "PASS"),
        (103, "FAIL"),
    ]
    assert seen == [result]


def test_the_replay_command_repeats_the_failing_attempt(toy):
    first = toy("passes-with-even-seeds", repeat=2)["passes-with-even-seeds"]
    line = "reactorlab run --backend toy -k toy.passes-with-even-seeds --seed 101"
    assert first.replay == line
    again = toy(keyword="toy.passes-with-even-seeds", seed=101)["passes-with-even-seeds"]
    assert again.status == "FAIL"


def test_the_replay_command_has_the_axes(toy):
    made = toy("passes", system="posix", threads=2)["passes"]
    assert made.replay == (
        "reactorlab run --backend toy -k toy.passes --seed 100 --system posix --threads 2"
    )


def test_a_run_without_a_seed_takes_a_random_one(toy):
    seeds = {engine.run(toy.options("passes", seed=None)).info.seed for _ in range(2)}
    assert len(seeds) == 2


def test_jobs_run_at_the_same_time(toy):
    begin = time.monotonic()
    toy("hangs", "spins", jobs=2, timeout_s=1.5)
    assert time.monotonic() - begin < 2.9


def wait_for_lock(path):
    """Wait until nobody holds the lock; the process that held it is gone then."""
    with path.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)


def test_what_a_scenario_started_and_left_is_killed(toy):
    assert toy("leaves-a-process", timeout_s=60)["leaves-a-process"].status == "PASS"
    wait_for_lock(toy.lock)


def test_the_death_of_a_fork_server_costs_one_result(toy):
    made = toy("passes", "kills-the-fork-server", "fails", "prints", jobs=1)
    lost = made.pop("kills-the-fork-server")
    assert lost.status == "ERROR"
    assert lost.reason == "the fork server died (killed by SIGKILL)"
    assert [result.status for result in made.values()] == ["PASS", "FAIL", "PASS"]
    wait_for_lock(toy.lock)  # its child is gone as well


def test_a_scenario_that_always_kills_its_fork_server_does_not_end_the_run(toy):
    made = toy("kills-the-fork-server", "prints", repeat=4)
    assert made["kills-the-fork-server"].status == "ERROR"
    assert made["prints"].status == "PASS"


def test_a_stuck_fork_server_is_replaced(toy, monkeypatch):
    monkeypatch.setattr(pool, "GRACE_S", 0.5)
    made = toy("stops-the-fork-server", "prints", jobs=1, timeout_s=1)
    assert made["prints"].status == "PASS"
    assert made["stops-the-fork-server"].status == "ERROR"
    assert made["stops-the-fork-server"].reason == "the fork server is stuck"


def test_folders_of_scenarios_that_are_killed_are_removed(toy, monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    made = toy("makes-a-folder-and-hangs", timeout_s=1)
    assert made["makes-a-folder-and-hangs"].status == "TIMEOUT"
    assert list(tmp_path.iterdir()) == []


GONE = """
import json, os, signal, socket, sys
from harness import child, forkserver

class Catalogue:
    def get(self, name):
        return None

def scenario(*_):
    signal.alarm(60)  # should it be left after all
    signal.pause()

child.main = scenario
control, engine = socket.socketpair()
server = forkserver.Server(control, Catalogue(), None)
engine.sendall(sys.argv[1].encode() + b"\\n")
engine.close()
try:
    server.serve()
except OSError:
    pass
try:
    os.waitpid(-1, os.WNOHANG)
except ChildProcessError:
    print("no child is left")
"""


def test_an_engine_that_is_gone_before_a_child_is_announced_leaves_none():
    """A child that killed its engine at once outlived it: saying that it had started failed."""
    order = Order(
        id="toy.passes",
        spec="toy",
        system="live",
        seed=1,
        threads=1,
        timeout_s=20,
        soft_s=16,
        token="f00d",
    )
    done = subprocess.run(
        [sys.executable, "-c", GONE, json.dumps(asdict(order))],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout == "no child is left\n", done.stderr


def test_fork_servers_that_cannot_load_end_the_run_with_one_line(toy):
    with pytest.raises(
        HarnessError, match=r"cannot start: ModuleNotFoundError: .*'no_such_module'"
    ):
        toy("passes", subject="no_such_module")


def test_fork_servers_that_keep_dying_end_the_run(toy, monkeypatch):
    monkeypatch.setattr(interpreter, "_BOOT", "raise SystemExit('out of luck')")
    with pytest.raises(HarnessError, match=r"3 fork servers in a row: .*out of luck"):
        toy("passes", "prints", "fails", "exits", jobs=1)


@pytest.mark.usefixtures("_interruptible")
def test_ctrl_c_leaves_a_report_with_what_did_not_run(toy):
    def interrupt(result):
        if result.id == "toy.passes":
            os.kill(os.getpid(), signal.SIGINT)

    assert threading.current_thread() is threading.main_thread()
    made = engine.run(toy.options("passes", "hangs", jobs=1), interrupt)
    assert [result.status for result in made.results] == ["PASS", "NOTRUN"]
    assert made.results[1].reason == "interrupted"
    assert made.exit_code == 1


def test_an_error_in_the_callback_comes_out_and_leaves_no_process(toy):
    def broken(_):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        engine.run(toy.options("passes", "prints", jobs=1), broken)


def test_the_run_leaves_no_descriptor_or_process(toy):
    before = oracles.snapshot().descriptors
    toy("passes", "kills-the-fork-server", jobs=2)
    assert oracles.snapshot().descriptors == before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"repeat": 0}, "repeat must be at least 1, not 0"),
        ({"threads": 0}, "threads must be at least 1"),
        ({"jobs": -1}, "jobs must be at least 1, or 0"),
        ({"timeout_s": -1}, "timeout must be a positive number of seconds, not -1"),
        ({"timeout_s": float("nan")}, "timeout must be a positive"),
        ({"timeout_s": float("inf")}, "timeout must be a positive"),
        ({"seed": -1}, "seed must not be negative"),
        ({"system": "posxi"}, "there is no system 'posxi'; is it posix"),
        ({"ids": ("toy.pases",)}, "there is no scenario 'toy.pases'; is it toy.passes"),
        ({"families": ("toi",)}, "there is no family 'toi'; is it toy"),
        ({"expectations": "nowhere.toml"}, "nowhere.toml: no such expectation file"),
        ({"scenarios_dir": "nowhere"}, "nowhere: no such folder of scenarios"),
    ],
)
def test_bad_options_are_one_clear_error(toy, more, message):
    from pathlib import Path

    for key in ("expectations", "scenarios_dir"):
        if key in more:
            more = {key: Path(more[key])}
    with pytest.raises(HarnessError) as caught:
        toy("passes", **more)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_selection(toy):
    def ids(**more):
        return [item.id.removeprefix("toy.") for item in engine.select(toy.options(**more))]

    assert ids(keyword="prints") == ["prints", "prints-without-end", "prints-and-dies"]
    assert ids(keyword="toy.prints") == ["prints"]  # an exact id means that one alone
    assert ids(keyword="only informs") == ["only-informs"]
    assert ids(keyword="nothing like it") == []
    assert ids(families=("toy",)) == ids()
    assert ids(ids=("toy.fails", "toy.passes")) == ["passes", "fails"]


def test_nothing_selected_is_exit_code_3(toy):
    assert engine.run(toy.options(keyword="nothing like it")).exit_code == 3
