"""The pytest plugin: what pytest makes of scenarios and of how they end."""

from __future__ import annotations

import os
import re
import select
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

pytest_plugins = "pytester"

ROOT = Path(__file__).resolve().parents[2]

HEAD = """\
from harness.scenario import scenario


def toy(name, **more):
    return scenario(id=f"toy.{name}", law=1, provenance="the tests of the plugin", **more)


"""

#: Poller that this machine has not.
MISSING = "kqueue" if hasattr(select, "epoll") else "epoll"


def one(name, body="pass", options=""):
    return (
        f'@toy("{name}"{options})\nasync def it(lab):\n'
        f'    """It holds."""\n    {body.replace(chr(10), chr(10) + "    ")}\n\n\n'
    )


@pytest.fixture
def run(pytester, monkeypatch):
    """Write a catalogue and run pytest on it in a process of its own."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # they take longer than a scenario
    for name in ("REACTOR_BACKEND", "PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER", "PY_COLORS"):
        monkeypatch.delenv(name, raising=False)

    def run_pytest(*scenarios, options=(), expectations="", target="scenarios", backend="poll"):
        folder = pytester.path / "scenarios"
        folder.mkdir(exist_ok=True)
        if scenarios:
            (folder / "toy.py").write_text(HEAD + "".join(scenarios))
        (folder / "expectations.toml").write_text(expectations)
        words = ["-p", "harness.plugin", "-p", "no:cacheprovider", "-ra", target, *options]
        if "-n" in options:
            words += ["-p", "xdist"]
        if backend is not None:
            words.append(f"--reactor-backend={backend}")
        return pytester.runpytest_subprocess(*words, timeout=100)

    return run_pytest


def expect(name, status, reason="because"):
    return f'[["toy.{name}"]]\nstatus = "{status}"\nreason = "{reason}"\n\n'


def seeds(result):
    """The seed of the header, and those of the replay lines."""
    (header,) = re.findall(r"^reactor: .*, seed (\d+)$", result.stdout.str(), re.MULTILINE)
    return header, re.findall(r"^replay: .* --seed (\d+)$", result.stdout.str(), re.MULTILINE)


def test_what_each_status_is_to_pytest(run):
    result = run(
        one("passes"),
        one("fails", 'lab.check(False, "one is not two")'),
        one("fails-as-expected", 'lab.check(False, "one is not three")'),
        one("passes-unexpectedly"),
        one("is-not-to-be-run", 'raise AssertionError("it was run")'),
        one("says-it-is-unsupported", 'lab.unsupported("no such thing here")'),
        one("needs-what-is-missing", 'raise AssertionError("run")', f', needs="{MISSING}"'),
        one("needs-what-nobody-probes", 'raise AssertionError("run")', ', needs="typo"'),
        one("only-informs", 'lab.check(False, "for you")', ', strictness="INFO"'),
        one("leaks", "import os\nos.dup(0)"),
        expectations=expect("fails-as-expected", "FAIL", "the kernel counts so")
        + expect("passes-unexpectedly", "FAIL", "it used to fail")
        + expect("is-not-to-be-run", "SKIP", "it would burn the house"),
    )
    result.assert_outcomes(passed=1, failed=4, skipped=3, xfailed=2)
    assert result.ret == 1
    result.stdout.fnmatch_lines_random(
        [
            "FAIL: one is not two",
            "XFAIL *::toy.fails-as-expected - *FAIL: one is not three (the kernel counts so)",
            "PASS: it passed, but *expectations.toml:5 expects FAIL: it used to fail",
            "SKIPPED * SKIP: it would burn the house",
            "SKIPPED * UNSUPPORTED: no such thing here",
            f"SKIPPED * UNSUPPORTED: no {MISSING}: Python does not have it here",
            "ERROR: toy.py:*: it needs typo, which nothing probes; there are: backend, *",
            "XFAIL *::toy.only-informs - *FAIL: for you (strictness INFO)",
            "FAIL: no-leaked-fd: 1 left open: *",
        ]
    )


def test_a_failure_says_what_and_why_and_how_to_see_it_again(run):
    result = run(
        one("fails", 'print("what it printed")\nlab.check(False, "one is not two")'),
        options=["--reactor-seed=7", "--reactor-system=posix", "--reactor-threads=2"],
    )
    result.stdout.fnmatch_lines(
        [
            "*_ scenario toy.fails _*",
            "FAIL: one is not two",
            "law 1: It holds.",
            "replay: reactorlab run --backend poll -k toy.fails --seed 7 --system posix --threads 2",
            "*Captured output call*",
            "what it printed",
            "FAILED scenarios/toy.py::toy.fails*",
        ],
        consecutive=False,
    )
    result.stdout.no_fnmatch_line("*session.py*")
    result.stdout.no_fnmatch_line("*runtest*")
    result.stdout.no_fnmatch_line("*plugin.py*")


def test_a_hang_has_stacks_and_dump(run):
    result = run(
        one("hangs", "sock, _ = lab.stream_pair()\nawait sock.recv(1)"),
        options=["--reactor-timeout=3"],
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "TIMEOUT: no result within 3 s; *",
            "*Captured dump call*",
            "*readable*",
            "*Captured stacks call*",
            "*in run_scenario*",
        ]
    )


def test_the_report_in_xml_has_the_status_the_variant_and_the_replay(run, pytester):
    run(
        one("passes", 'lab.permit("early")', ', permits={"early": "some kernels are"}'),
        options=["--junitxml=out.xml", "--reactor-seed=3"],
    )
    tree = ET.fromstring((pytester.path / "out.xml").read_text())
    found = {item.get("name"): item.get("value") for item in tree.iter("property")}
    assert found == {
        "status": "PASS",
        "variant": "early",
        "replay": "reactorlab run --backend poll -k toy.passes --seed 3",
    }


# -- What is tested


def test_the_header_says_what_is_tested(run):
    result = run(one("passes"), options=["--reactor-seed=7"], backend="poll+pipe")
    result.stdout.fnmatch_lines(["reactor: backend poll+pipe, system live, seed 7"])
    result.assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("options", "header"),
    [
        ([], "reactor: backend epoll, simulated linux, seed *"),
        (["--reactor-dialect=netbsd"], "reactor: backend kqueue, simulated netbsd, seed *"),
    ],
)
def test_scenarios_run_on_the_simulated_kernel(run, monkeypatch, options, header):
    monkeypatch.delenv("REACTOR_BACKEND", raising=False)
    body = "lab.equal(lab.world.ground, 'sim', 'the ground')"
    result = run(one("passes", body), options=["--reactor-ground=sim", *options], backend=None)
    result.stdout.fnmatch_lines([header])
    result.assert_outcomes(passed=1)


def test_without_an_option_the_backend_is_that_of_the_environment(run, monkeypatch):
    monkeypatch.setenv("REACTOR_BACKEND", "select")
    body = "lab.equal(lab.subject.context.backend.name, 'select', 'the backend')"
    result = run(one("passes", body), options=["--reactor-system=posix"], backend=None)
    result.stdout.fnmatch_lines(["reactor: backend select, system posix, seed *"])
    result.assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--reactor-backend=pol"], "*unknown backend 'pol' (did you mean poll?)*"),
        (["--reactor-system=posxi"], "*there is no system 'posxi'; is it posix*"),
        (["--reactor-dialect=linux"], "*a dialect is of a simulated kernel*"),
        (["--reactor-repeat=0"], "*repeat must be at least 1, not 0*"),
        (["--reactor-timeout=-1"], "*timeout must be a positive number of seconds*"),
        (["--reactor-threads=0"], "*threads must be at least 1*"),
    ],
)
def test_options_that_make_no_sense_are_one_line(run, options, message):
    result = run(one("passes"), options=options, backend=None)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([message])
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*plugin.py*")


def test_a_subject_that_cannot_be_loaded_is_one_line(run):
    result = run(one("passes"), options=["--reactor-subject=no_such_module"])
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["a fork server cannot start: ModuleNotFoundError: *"])
    result.stdout.no_fnmatch_line("*pool.py*")


def test_a_catalogue_that_does_not_load_is_one_line(run):
    result = run(one("Broken"))
    result.assert_outcomes(errors=1)
    assert result.ret == 2
    result.stdout.fnmatch_lines(["*toy.py:*: scenario 'toy.Broken': id must be *"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_an_expectation_file_that_is_malformed_is_one_line(run):
    result = run(one("passes"), expectations='[["toy.passes"]]\nstatus = "FAIL"\n')
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*expectations.toml:1: toy.passes[[]0]: a reason is required"])


# -- Collection


def test_only_modules_in_a_folder_of_scenarios_are_collected(run, pytester):
    (pytester.path / "scenarios").mkdir()
    for name in ("_helper.py", "other.txt"):
        (pytester.path / "scenarios" / name).write_text("raise RuntimeError('not to be loaded')")
    (pytester.path / "elsewhere").mkdir()
    (pytester.path / "elsewhere" / "module.py").write_text("raise RuntimeError('nor this')")
    (pytester.path / "scenarios" / "second.py").write_text(HEAD + one("third"))
    result = run(one("first"), one("second"), target=".", options=["--collect-only", "-q"])
    items = [line for line in result.stdout.lines if "::" in line]
    assert items == [
        "scenarios/second.py::toy.third",
        "scenarios/toy.py::toy.first",
        "scenarios/toy.py::toy.second",
    ]


def test_an_installed_catalogue_is_collected_too(run, pytester):
    folder = pytester.path / "_scenarios"
    folder.mkdir()
    (folder / "toy.py").write_text(HEAD + one("passes"))
    run(target="_scenarios").assert_outcomes(passed=1)


def test_items_are_chosen_as_usual(run):
    scenarios = [one("first"), one("second"), one("third")]
    result = run(*scenarios, target="scenarios/toy.py::toy.second", options=["-v"])
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["scenarios/toy.py::toy.second PASSED*"])
    run(options=["-k", "third or first"]).assert_outcomes(passed=2, deselected=1)


# -- Seeds


FAILING = [one(f"fails-{number}", 'lab.check(False, "no")') for number in range(4)]


def test_one_seed_is_chosen_for_all_workers(run):
    result = run(*FAILING, options=["-n", "2", "-v"])
    result.assert_outcomes(failed=4)
    assert set(re.findall(r"^\[(gw\d)\]", result.stdout.str(), re.MULTILINE)) == {"gw0", "gw1"}
    header, replayed = seeds(result)
    assert replayed == [header] * 4


def test_two_runs_choose_two_seeds(run):
    assert len({seeds(run(FAILING[0], options=["--collect-only"]))[0] for _ in "ab"}) == 2


def test_a_given_seed_draws_the_same_numbers_with_and_without_workers(run):
    body = 'lab.check(False, f"drew {lab.rng.random()}")'
    drawn = []
    for workers in ([], ["-n", "2"]):
        result = run(one("draws", body), options=["--reactor-seed=12", *workers])
        assert seeds(result) == ("12", ["12"])
        drawn += re.findall(r"^FAIL: drew .*", result.stdout.str(), re.MULTILINE)
    assert len(drawn) == 2
    assert drawn[0] == drawn[1]


def test_attempts_have_seeds_of_their_own_and_must_agree(run):
    body = 'lab.check(lab.rng.random() == __import__("random").Random(5).random(), "not seed 5")'
    result = run(one("flaky", body), options=["--reactor-repeat=3", "--reactor-seed=5"])
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["FLAKY: 2 FAIL, 1 PASS; seed 6: FAIL not seed 5", "law *", "replay: * --seed 6"]
    )


# -- The end


def test_the_fork_servers_end_with_the_run(run, pytester):
    body = 'open("pid", "w").write(str(__import__("os").getppid()))'
    run(one("passes", body)).assert_outcomes(passed=1)
    pid = int((pytester.path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.usefixtures("_interruptible")
def test_ctrl_c_ends_pytest(run):
    """It comes to pytest while a scenario runs."""
    # In the fork server that loads the module, and in its children, this is pytest.
    result = run(
        "import os\nimport signal\n\nPYTEST = os.getppid()\n\n\n",
        one("interrupts", "os.kill(PYTEST, signal.SIGINT)\nsignal.pause()"),
        one("is-not-reached"),
    )
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*KeyboardInterrupt*"])
    result.stdout.no_fnmatch_line("*is-not-reached*")
