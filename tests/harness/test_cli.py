"""The `reactorlab` command: what it prints, its exit codes, and a user's mistakes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli import main

ROOT = Path(__file__).resolve().parents[2]

SCENARIOS = '''
from harness.scenario import scenario


@scenario(id="demo.passes", law=1, provenance="the tests", permits={"odd": "some kernels are"})
async def passes(lab):
    """A receive returns what was sent [bold]here[/bold]."""
    sock, peer = lab.stream_pair()
    peer.send(b"hello")
    lab.equal((await lab.result_of("recv", sock.recv, 100)).get(), b"hello", "what came")
    lab.permit("odd")


@scenario(id="demo.fails", law=2, provenance="the tests")
async def fails(lab):
    """One is two."""
    lab.equal(1, 2, "one [red]thing[/red]")


@scenario(id="other.needs-a-kqueue", law=3, provenance="the tests", needs=["kqueue", "epoll"])
async def needs(lab):
    """It never runs: nothing has both."""
'''


@pytest.fixture
def folder(tmp_path):
    """A small catalogue of three scenarios that end in three ways."""
    made = tmp_path / "scenarios"
    made.mkdir()
    (made / "demo.py").write_text(SCENARIOS)
    return made


@pytest.fixture
def command(capsys):
    """Run the command in this process: exit code, standard output, standard error."""

    def call(*args):
        try:
            code: object = main([str(arg) for arg in args])
        except SystemExit as exc:
            code = exc.code
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def process(*args, **more):
    return subprocess.run(
        [sys.executable, "-m", "harness", *map(str, args)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        **more,
    )


def one_line(text):
    return text.startswith("reactorlab") and text.count("\n") == 1


# -- run


def test_run_exits_0_when_all_is_as_expected(command, folder, tmp_path):
    """The report is written, and its path told."""
    out = tmp_path / "reports/here"
    code, shown, said = command(
        "run", "--backend", "poll", "-k", "demo.passes", "--scenarios-dir", folder, "--out", out
    )
    assert code == 0
    assert "demo" in shown
    assert "PASS" in shown
    assert {path.name for path in out.iterdir()} == {
        "run.json",
        "junit.xml",
        "summary.md",
        "index.html",
    }
    assert str(out) in said


def test_run_exits_1_on_an_unexpected_result(command, folder):
    """The reason and the replay line are shown, and nothing in them is taken for markup."""
    code, shown, said = command(
        "run", "--backend", "poll", "--family", "demo", "--scenarios-dir", folder, "--seed", 5
    )
    assert code == 1
    assert "FAIL demo.fails: one [red]thing[/red]: 1, expected 2" in said
    assert "reactorlab run --backend poll -k demo.fails --seed 5" in " ".join(shown.split())


def test_run_on_the_simulated_kernel(command, folder, tmp_path):
    """Ground and dialect are in the table's headline, in the report and in the replay line."""
    out = tmp_path / "sim"
    options = ("--ground", "sim", "--dialect", "openbsd", "--backend", "kqueue", "--seed", 5)
    code, shown, _ = command(
        "run", *options, "--scenarios-dir", folder, "--out", out, "--threads", 2
    )
    assert code == 1
    replay = (
        "reactorlab run --backend kqueue -k demo.fails --seed 5"
        " --ground sim --dialect openbsd --threads 2"
    )
    assert replay in " ".join(shown.split())
    assert "on simulated openbsd (on " in shown
    data = json.loads((out / "run.json").read_text())
    assert (data["run"]["ground"], data["run"]["dialect"]) == ("sim", "openbsd")
    for name in ("summary.md", "index.html"):
        assert "simulated openbsd" in (out / name).read_text()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--ground", "sim", "--dialect", "moon"], "there is no dialect 'moon'"),
        (["--dialect", "linux"], "add --ground sim"),
        (["--ground", "sim", "--system", "posix"], "--system posix is for --ground live"),
        (["--ground", "mars"], "invalid choice: 'mars'"),
        (
            ["--ground", "sim", "--dialect", "freebsd", "--backend", "epoll"],
            "simulated freebsd: backend epoll is not available on this system; there are: kqueue",
        ),
        (
            ["--ground", "sim", "--dialect", "linux", "--backend", "kqueue"],
            "simulated linux: backend kqueue is not available",
        ),
        (
            ["--ground", "sim", "--dialect", "netbsd", "--backend", "kqueue+user"],
            "simulated netbsd: kqueue: ",
        ),
    ],
)
def test_grounds_that_do_not_go_together_are_one_line(command, folder, options, said):
    for verb in (["run"], ["trace", "demo.passes"]):
        code, shown, error = command(*verb, "--scenarios-dir", folder, *options)
        assert (code, shown) == (2, "")
        assert one_line(error)
        assert said in error


def test_trace_and_backends_know_the_simulated_kernel(command, folder):
    options = ("--ground", "sim", "--dialect", "netbsd")
    code, shown, _ = command(
        "trace", "demo.passes", *options, "--scenarios-dir", folder, "--seed", 3
    )
    assert code == 0
    assert shown.startswith("demo.passes on kqueue+pipe+timeout on simulated netbsd (on ")
    assert "--ground sim --dialect netbsd" in shown
    code, shown, _ = command("backends", *options, "--json")
    assert code == 0
    data = json.loads(shown)
    assert (data["ground"], data["dialect"], data["best"]) == ("sim", "netbsd", "kqueue")
    assert {item["name"] for item in data["backends"] if item["available"]} == {
        "kqueue",
        "poll",
        "select",
    }


def test_run_exits_3_when_nothing_matches(command, folder):
    code, shown, said = command(
        "run", "--backend", "poll", "-k", "nihil", "--scenarios-dir", folder
    )
    assert (code, shown) == (3, "")
    assert one_line(said)


def test_run_prints_one_json_document(command, folder):
    code, shown, _ = command(
        "run", "--backend", "select", "--scenarios-dir", folder, "--json", "--seed", 9, "--jobs", 2
    )
    data = json.loads(shown)
    assert code == 1
    assert data["schema"] == "reactorlab.run/1"
    assert data["run"]["seed"] == 9
    assert {item["id"]: item["status"] for item in data["results"]} == {
        "demo.passes": "PASS",
        "demo.fails": "FAIL",
        "other.needs-a-kqueue": "UNSUPPORTED",
    }


def test_run_repeats_with_a_seed_of_its_own_for_each_attempt(command, folder):
    _, shown, _ = command(
        "run", "--backend", "poll", "-k", "demo.passes", "--scenarios-dir", folder,
        "--repeat", 3, "--seed", 40, "--json",
    )  # fmt: skip
    (item,) = json.loads(shown)["results"]
    assert [attempt["seed"] for attempt in item["attempts"]] == [40, 41, 42]


def test_a_replay_line_runs_the_same_again(command, folder):
    _, shown, _ = command(
        "run", "--backend", "epoll+pipe" if sys.platform == "linux" else "poll",
        "-k", "demo.fails", "--scenarios-dir", folder, "--json", "--system", "live",
    )  # fmt: skip
    (item,) = json.loads(shown)["results"]
    program, *args = item["replay"].split()
    assert program == "reactorlab"
    code, shown, _ = command(*args, "--scenarios-dir", folder, "--json")
    (again,) = json.loads(shown)["results"]
    assert code == 1
    assert (again["id"], again["status"], again["reason"], again["trace"]) == (
        item["id"],
        item["status"],
        item["reason"],
        item["trace"],
    )


def test_the_environment_chooses_the_backend(command, folder, monkeypatch):
    monkeypatch.setenv("REACTOR_BACKEND", "select")
    _, shown, _ = command("run", "-k", "demo.passes", "--scenarios-dir", folder, "--json")
    assert json.loads(shown)["run"]["backend"] == "select"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["run", "--backend", "epol"], ["'epol'", "epoll, kqueue, poll, select"]),
        (["run", "--backend", "poll+timerfd"], ["'timerfd'", "eventfd, pipe, timeout"]),
        (["run", "--backend", "epoll", "--system", "posix"], ["epoll", "poll, select"]),
        (["run", "--backend", "poll", "--family", "cancle"], ["'cancle'", "cancel"]),
        (["run", "--backend", "poll", "--repeat", "0"], ["repeat", "1"]),
        (["run", "--backend", "poll", "--repeat", "many"], ["--repeat", "many"]),
        (["run", "--backend", "poll", "--jobs", "0"], ["--jobs", "'0'", "auto"]),
        (["run", "--backend", "poll", "--threads", "-1"], ["threads", "-1"]),
        (["run", "--backend", "poll", "--timeout", "-3"], ["timeout", "-3"]),
        (["run", "--backend", "poll", "--timeout", "nan"], ["timeout", "nan"]),
        (["run", "--backend", "poll", "--seed", "-3"], ["seed", "-3"]),
        (["run", "--backend", "poll", "--system", "dos"], ["--system", "'dos'", "posix"]),
        (["run", "--backend", "poll", "--expectations", "nowhere.toml"], ["nowhere.toml"]),
        (["run", "--backend", "poll", "--scenarios-dir", "nowhere"], ["nowhere"]),
        (["run", "--backend", "poll", "--out", "README.md"], ["README.md", "folder"]),
        (["run", "--colour"], ["--colour"]),
        (["list", "--family", "x"], ["'x'"]),
        (["explain", "cancel.pending-rec"], ["'cancel.pending-rec'", "cancel.pending-recv"]),
        (["trace", "no.such", "--backend", "poll"], ["'no.such'"]),
        (["diverge", "nowhere"], ["nowhere"]),
        (["fly"], ["'fly'", "run"]),
        ([], ["VERB"]),
    ],
    ids=lambda value: "_".join(value) if isinstance(value, list) else None,
)  # fmt: skip
def test_a_mistake_is_one_line_that_names_it(command, monkeypatch, args, words):
    """Exit code 2, the value that is wrong, what is allowed, and no traceback."""
    monkeypatch.chdir(ROOT)
    code, shown, said = command(*args)
    assert (code, shown) == (2, "")
    assert one_line(said), said
    for word in words:
        assert word in said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[["demo.fails"]]\nstatus = "FAIL"\n', [":1:", "reason"]),
        ('[["demo.fails"]]\nstatus = "BAD"\nreason = "x"\n', ["'BAD'", "TIMEOUT"]),
        ('[["demo.fails"]]\nstatus = "FAIL"\nreason = "x"\nbackends = "poll"\n', ["'backends'"]),
        ("[[demo\n", ["line 1"]),
    ],
)
def test_a_malformed_expectation_file_is_one_line(command, folder, text, words):
    (folder / "expectations.toml").write_text(text)
    code, _, said = command("run", "--backend", "poll", "--scenarios-dir", folder)
    assert code == 2
    assert one_line(said), said
    assert "expectations.toml" in said
    for word in words:
        assert word in said


def test_a_broken_scenario_module_is_one_line_with_its_place(command, folder):
    (folder / "broken.py").write_text("\n\nimport no_such_module\n")
    code, _, said = command("list", "--scenarios-dir", folder)
    assert code == 2
    assert one_line(said)
    assert "broken.py:3" in said
    assert "no_such_module" in said


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_report_that_cannot_be_written_is_one_line(command, folder, tmp_path):
    tmp_path.chmod(0o555)
    code, _, said = command(
        "run", "--backend", "poll", "--scenarios-dir", folder, "--out", tmp_path / "new"
    )
    tmp_path.chmod(0o755)
    assert code == 2
    assert "cannot write the report" in said


def test_an_unexpected_pass_fails_and_says_what_expects_otherwise(command, folder):
    (folder / "expectations.toml").write_text(
        '[["demo.passes"]]\nstatus = "FAIL"\nreason = "it is odd"\n'
        '[["demo.fails"]]\nstatus = "FAIL"\nreason = "one is one"\n'
    )
    code, _, said = command("run", "--backend", "poll", "--scenarios-dir", folder)
    assert code == 1
    assert "PASS demo.passes: it passed, but" in said
    assert "it is odd" in said
    assert "demo.fails" not in said


# -- The others


def test_list_shows_the_catalogue_in_words_and_as_json(command):
    code, shown, _ = command("list", "--family", "timer")
    assert code == 0
    assert "timer.far-future" in shown
    assert "cancel." not in shown
    code, shown, _ = command("list", "--json")
    data = json.loads(shown)
    assert len(data) >= 83
    assert {"id", "family", "law", "law_text", "provenance", "needs", "permits"} <= set(data[0])


def test_list_exits_3_when_nothing_matches(command):
    code, shown, said = command("list", "-k", "nihil")
    assert (code, shown) == (3, "")
    assert one_line(said)


def test_explain_has_the_law_the_provenance_and_the_permits(command, folder):
    code, shown, _ = command("explain", "demo.passes", "--scenarios-dir", folder)
    assert code == 0
    for words in ("[bold]here[/bold]", "the tests", "permits odd", "some kernels are", "demo.py:"):
        assert words in shown
    _, shown, _ = command("explain", "demo.passes", "--scenarios-dir", folder, "--json")
    assert json.loads(shown)["permits"] == {"odd": "some kernels are"}


def test_trace_prints_the_timeline(command, folder):
    code, shown, _ = command(
        "trace", "demo.passes", "--backend", "select", "--scenarios-dir", folder
    )
    assert code == 0
    lines = shown.splitlines()
    assert lines[0].startswith("demo.passes on select+")
    steps = [line.split()[2:4] for line in lines if " recv " in line]
    assert ["recv", "start"] in steps
    assert ["recv", "ends"] in steps
    assert "PASS, variant odd" in shown
    assert lines[-1].startswith("replay: reactorlab run --backend select -k demo.passes")


def test_without_a_backend_the_report_and_its_replay_name_the_one_that_was_chosen(
    command, folder, monkeypatch
):
    monkeypatch.setenv("REACTOR_BACKEND", "poll")
    code, shown, _ = command("trace", "demo.passes", "--scenarios-dir", folder)
    assert code == 0
    assert shown.splitlines()[-1].startswith("replay: reactorlab run --backend poll -k demo.passes")
    _, shown, _ = command("run", "-k", "demo.passes", "--scenarios-dir", folder, "--json")
    assert json.loads(shown)["run"]["spec"] == "poll"


def test_trace_of_a_failure_exits_1_and_has_its_output(command, folder):
    code, shown, _ = command("trace", "demo.fails", "--backend", "poll", "--scenarios-dir", folder)
    assert code == 1
    assert "AssertionError: one [red]thing[/red]" in shown


def test_diverge_compares_the_reports(command, folder, tmp_path):
    reports = tmp_path / "reports"
    for backend in ("poll", "select"):
        command(
            "run", "--backend", backend, "--scenarios-dir", folder, "--out", reports / backend
        )  # fmt: skip
    code, shown, _ = command("diverge", reports)
    assert code == 0
    assert "2 scenarios compared over poll, select: 0 undeclared" in shown
    path = reports / "poll/run.json"
    path.write_text(path.read_text().replace("value b'hello'", "value b'hullo'"))
    code, shown, _ = command("diverge", reports)
    assert code == 1
    assert "demo.passes: UNDECLARED divergence at event 1" in shown
    assert "poll: recv outcome value b'hullo' [PASS, odd]" in shown
    code, shown, _ = command("diverge", reports, "--json")
    assert code == 1
    (item,) = json.loads(shown)["divergences"]
    assert item["before"] == ["recv", "start", "100"]


def test_diverge_needs_two_runs(command, folder, tmp_path):
    command("run", "--backend", "poll", "--scenarios-dir", folder, "--out", tmp_path / "r/poll")
    code, _, said = command("diverge", tmp_path / "r")
    assert code == 3
    assert one_line(said)


@pytest.mark.parametrize("system", ["live", "posix"])
def test_backends_shows_what_was_probed_with_the_evidence(command, system):
    code, shown, _ = command("backends", "--json", "--system", system)
    data = json.loads(shown)
    assert code == 0
    here = {item["name"]: item["available"] for item in data["backends"]}
    assert list(here) == ["epoll", "kqueue", "poll", "select"]
    assert here["poll"]
    assert here["select"]
    assert here["epoll"] is (system == "live" and sys.platform == "linux")
    assert all(item["evidence"] for item in data["backends"] + data["capabilities"])
    _, shown, _ = command("backends", "--system", system)
    assert f"the default is {data['best']}" in shown


# -- As a process


def test_version_and_help_exit_0():
    assert process("--version").stdout.startswith("reactorlab ")
    assert "exit codes" in process("run", "--help").stdout


def test_a_reader_that_goes_away_is_no_traceback():
    """As with `reactorlab list --json | head -1`."""
    child = subprocess.Popen(
        [sys.executable, "-m", "harness", "list", "--json"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert child.stdout is not None
    child.stdout.read(1)
    child.stdout.close()
    assert child.stderr is not None
    said = child.stderr.read()
    child.stderr.close()
    child.wait(60)
    assert said == b""


def test_no_colour_goes_into_a_pipe(folder):
    done = process("run", "--backend", "poll", "--scenarios-dir", folder)
    assert "\x1b" not in done.stdout + done.stderr


def test_ctrl_c_ends_early_and_still_reports(folder, tmp_path):
    """What did not run is NOTRUN, and the exit code says that not all is as expected."""
    (folder / "hang.py").write_text(
        "from harness.scenario import scenario\n"
        '@scenario(id="hang.for-ever", law=2, provenance="the tests")\n'
        "async def hang(lab):\n"
        '    """It never ends."""\n'
        f"    open({str(tmp_path / 'begun')!r}, 'wb').close()\n"
        "    await lab.subject.event().wait()\n"
    )
    os.mkfifo(tmp_path / "begun")
    child = subprocess.Popen(
        [
            *(sys.executable, "-m", "harness", "run", "--backend", "poll", "--family", "hang"),
            *("--scenarios-dir", str(folder), "--json", "--timeout", "600"),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        # A shell without job control has what it puts into the background ignore SIGINT.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - one system call
    )
    with (tmp_path / "begun").open("rb"):  # opens when the scenario does: it has begun
        child.send_signal(signal.SIGINT)
    shown, _ = child.communicate(timeout=60)
    assert child.returncode == 1
    (item,) = json.loads(shown)["results"]
    assert (item["status"], item["reason"]) == ("NOTRUN", "interrupted")
