"""Mutants: each fits the code and has a provenance, and is noticed by what is expected to notice it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from harness import board, mutants
from harness.cli import main
from harness.explore import programs
from harness.mutants import catalogue, model, runner
from harness.mutants.model import (
    PROGRAM,
    SCENARIO,
    SIMULATED,
    TEST,
    Edit,
    Killer,
    Mutant,
    MutantError,
)
from harness.report import schema_path
from harness.scenario import load
from harness.simulate import GROUPS
from reactor import backends

ROOT = Path(__file__).resolve().parents[2]
MUTANTS = catalogue.select()
BY_NAME = {mutant.name: mutant for mutant in MUTANTS}

#: Takes a moment, and dies by its own killer.
QUICK = "two-threads-lead"


# -- The catalogue


def test_there_are_enough_of_them():
    assert len(MUTANTS) >= 60
    assert len(catalogue.AREAS["signalling"]) >= 15
    assert len(BY_NAME) == len(MUTANTS)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_fits_the_code_and_changes_it(mutant):
    changed = mutant.changed()
    assert changed
    for file, text in changed.items():
        before = (model.SOURCE / file).read_text(encoding="utf-8")
        assert text != before
        compile(text, file, "exec")


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_says_what_it_imitates_and_who_notices(mutant):
    row, _, source = mutant.imitates.partition(": ")
    family, _, name = row.partition(".")
    assert family.isalpha()
    assert name
    assert len(source) > 5, "where the bug comes from"
    assert mutant.area in catalogue.AREAS
    known = load(None)
    for killer in mutant.dies:
        if killer.kind == SCENARIO:
            assert killer.name in known
            backends.parse(killer.spec.partition("*")[0])
        elif killer.kind == PROGRAM:
            assert killer.name in programs.PROGRAMS
        elif killer.kind == SIMULATED:
            assert (killer.spec, killer.name) in GROUPS
        else:
            assert (ROOT / "tests" / killer.name.partition("::")[0]).is_file()


def test_signalling_mutants_die_by_proof():
    for mutant in catalogue.AREAS["signalling"]:
        assert {killer.kind for killer in mutant.dies} <= {PROGRAM, TEST}, mutant.name


def test_kqueue_mutants_die_on_the_model():
    """On any machine: the tests run the backend on the simulated kernel."""
    on_model = [
        mutant
        for mutant in catalogue.AREAS["kqueue"]
        if any(killer.name.startswith("kernel/test_reactor_kqueue") for killer in mutant.dies)
    ]
    assert len(on_model) >= 10


@pytest.mark.parametrize(
    ("source", "least"),
    [("corosio ca33581", 2), ("corosio 17fa5e5", 1), ("asio ", 2), ("libuv", 2)],
)
def test_signalling_has_the_bugs_of_the_classics(source, least):
    assert sum(source in one.imitates for one in catalogue.AREAS["signalling"]) >= least


# -- Edits

TEXT = """\
class A:
    def one(self):
        self.x = 1

    def two(self):
        self.x = 1
        self.y = 2
"""


def test_an_edit_replaces_whole_lines_at_any_indentation():
    edit = Edit("a.py", "self.x = 1\nself.y = 2", "if self.x:\n    self.y = 3")
    assert edit.apply(TEXT).endswith(
        "    def two(self):\n        if self.x:\n            self.y = 3\n"
    )


def test_an_edit_may_take_lines_away():
    assert "self.y" not in Edit("a.py", "self.y = 2", "").apply(TEXT)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("self.x = 1", "pass", "2 times"),
        ("self.z = 1", "pass", "nowhere"),
        ("self.x", "pass", "nowhere"),
        ("self.y = 2", "self.y = 2", "is the same"),
    ],
)
def test_an_edit_that_does_not_fit_says_so(before, after, words):
    with pytest.raises(MutantError, match=words):
        Edit("a.py", before, after).apply(TEXT)


def test_a_mutant_that_does_not_fit_is_named():
    edit = Edit("no_such_file.py", "a", "b")
    with pytest.raises(MutantError, match="mutant old does not fit the code"):
        Mutant("old", "scope", "row: source", (edit,), ()).changed()


# -- Running them


@pytest.fixture
def bench(monkeypatch):
    """Run mutants against what is expected to notice them, and nothing else."""
    plan = runner.Plan()
    stages = runner.Plan.stages

    def first(self, mutant):
        yield next(iter(stages(self, mutant)))

    monkeypatch.setattr(runner.Plan, "stages", first)
    with runner.Runner(plan) as made:
        yield made


# All of them take minutes: `nox -s mutants`.
@pytest.mark.slow
@pytest.mark.parametrize(
    "mutant", [mutants[0] for mutants in catalogue.AREAS.values()], ids=lambda mutant: mutant.area
)
def test_a_mutant_is_noticed(bench, mutant):
    if not any(bench.plan.has(killer) for killer in mutant.dies):
        pytest.skip("what notices it is not on this machine")
    fate = bench.run(mutant)
    assert fate.broken is None
    assert fate.unreliable == []
    assert fate.killed_by is not None, "it survived"
    if mutant.area == "signalling":
        assert fate.replay
        assert fate.timeline


def harmless(*killers):
    """A mutant that makes no difference."""
    edits = (Edit("scope.py", "import math", "import math as math"),)
    return Mutant("harmless", "scope", "nothing.real: made up", edits, killers)


def test_a_harmless_mutant_survives(bench):
    fate = bench.run(
        harmless(model.scenario("cancel.idempotent"), model.program("cancel-vs-cancel"))
    )
    assert fate.survived
    assert (fate.tried, fate.broken, fate.unreliable) == (3, None, [])


def test_a_killer_that_fails_on_the_unbroken_library_too_does_not_count(bench, monkeypatch):
    # As a scenario that is too slow for this machine would.
    monkeypatch.setattr(runner, "AIMED_S", 0.001)
    monkeypatch.setattr(runner, "can", lambda spec: "poll" in spec)
    monkeypatch.setattr(runner, "BYSTANDER", Killer(SCENARIO, "none", "nowhere"))
    fate = bench.run(harmless(model.scenario("timer.mass")))
    assert fate.survived
    assert fate.unreliable == ["scenario timer.mass on poll"]


def test_a_mutant_that_breaks_everything_is_not_killed_but_broken(bench):
    edit = Edit("operation.py", "self.cause = READY\nreturn True", "raise ArithmeticError")
    fate = bench.run(
        Mutant("gross", "scope", "a.b: made up", (edit,), (model.scenario("cancel.idempotent"),))
    )
    assert fate.survived
    assert "not even scenario partial.zero-byte-recv" in (fate.broken or "")


def test_a_mutant_that_cannot_be_imported_is_broken(bench):
    edit = Edit("operation.py", "BUDGET = 32", "BUDGET = 1 // 0")
    fate = bench.run(
        Mutant("gross", "scope", "a.b: made up", (edit,), (model.scenario("cancel.idempotent"),))
    )
    assert fate.survived
    assert "ZeroDivisionError" in (fate.broken or "")


def test_a_test_kills_too(bench):
    fate = bench.run(BY_NAME["a-hang-up-wakes-nobody"])
    assert (fate.killed_by or "").startswith("test reactor/test_epoll.py::test_")


def test_the_damage_stays_in_the_copy(bench):
    bench.run(BY_NAME[QUICK])
    source = (model.SOURCE / "scheduler.py").read_text(encoding="utf-8")
    assert source.count("self.waits += 1\n            self.queue.append(TURN)") == 0
    assert Path(mutants.__file__).is_relative_to(ROOT)


def test_what_was_edited_decides_which_tests_come_first():
    plan = runner.Plan()
    stages = list(plan.stages(BY_NAME["late-timers-fire-in-reverse"]))
    assert [killer.name for killer in stages[1][0]] == ["reactor/test_timerqueue.py"]
    kinds = {killer.kind for killers, _, _ in stages for killer in killers}
    assert kinds == {SCENARIO, PROGRAM, TEST}


def test_without_a_checkout_there_are_scenarios_and_programs(monkeypatch):
    monkeypatch.setattr(runner, "checkout", lambda: None)
    plan = runner.Plan()
    kinds = {
        killer.kind
        for mutant in (BY_NAME[QUICK], BY_NAME["a-hang-up-wakes-nobody"])
        for killers, _, _ in plan.stages(mutant)
        for killer in killers
    }
    assert kinds == {SCENARIO, PROGRAM}


# -- The command


@pytest.fixture
def command(capsys):
    """Run the command in this process: exit code, standard output, standard error."""

    def call(*args):
        try:
            code: object = main([str(arg) for arg in ("mutants", *args)])
        except SystemExit as exc:
            code = exc.code
        out, err = capsys.readouterr()
        return code, out, err

    return call


VALIDATOR = jsonschema.Draft202012Validator(
    json.loads(schema_path("mutants-1").read_text(encoding="utf-8"))
)


def test_the_schema_and_the_board_know_every_kind_of_killer():
    """Each mutant's expected killers can be written down, and have a column on the board's page."""
    wanted = json.loads(schema_path("mutants-1").read_text(encoding="utf-8"))
    pattern = wanted["$defs"]["mutant"]["properties"]["killed_by"]["pattern"]
    page = (Path(board.__file__).parent / "static/mutants.js").read_text(encoding="utf-8")
    kinds = {killer.kind: str(killer) for mutant in MUTANTS for killer in mutant.dies}
    assert len(kinds) == 4
    for kind, text in kinds.items():
        assert re.match(pattern, text), text
        assert f'"{kind}"' in page, kind


def test_a_killed_mutant_is_reported_with_its_schedule(command, tmp_path):
    code, out, err = command("--only", QUICK, "--out", tmp_path)
    assert code == 0
    assert "1 mutants in" in out
    assert "0 survived" in out
    assert "run-2" in out
    assert f"reactorlab mutants --only {QUICK} --replay" in out
    assert "1 of 1" in err
    data = json.loads((tmp_path / "mutants.json").read_text())
    VALIDATOR.validate(data)
    (one,) = data["mutants"]
    assert data["complete"]
    assert one["killed_by"] == "program stop-vs-two-runners"

    code, out, _ = command("--only", QUICK, "--replay", one["replay"], "--json")
    assert code == 1
    assert json.loads(out)["programs"][0]["violations"]


def test_a_survivor_comes_first_and_is_exit_code_1(command, tmp_path, monkeypatch):
    stages = runner.Plan.stages

    def first(self, mutant):
        yield next(iter(stages(self, mutant)))

    monkeypatch.setattr(runner.Plan, "stages", first)
    chosen = [BY_NAME[QUICK], harmless(model.scenario("cancel.idempotent"))]
    monkeypatch.setattr(catalogue, "select", lambda *_: chosen)
    code, out, _ = command("--out", tmp_path)
    assert code == 1
    assert out.index("SURVIVED") < out.index(QUICK)
    code, out, _ = command("--out", tmp_path, "--json")
    data = json.loads(out)
    VALIDATOR.validate(data)
    assert [(one["name"], one["killed_by"]) for one in data["mutants"]] == [
        ("harmless", None),
        (QUICK, "program stop-vs-two-runners"),
    ]
    assert code == 1


def test_what_cannot_be_noticed_here_is_left_out_and_named(command, tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "checkout", lambda: None)
    code, out, err = command("--only", "a-hang-up-wakes-nobody", "--out", tmp_path)
    assert (code, out) == (3, "")
    assert "there is no checkout with tests/ here" in err
    assert "left out, since what notices them is not here: a-hang-up-wakes-nobody" in err
    code, out, _ = command("--only", "a-hang-up-wakes-nobody", QUICK, "--out", tmp_path)
    assert code == 0
    assert "1 mutants in" in out


@pytest.mark.usefixtures("_interruptible")
def test_after_an_interrupt_the_same_command_goes_on(tmp_path):
    names = [QUICK, "a-run-forgets-the-stop-before-it", "stopping-loses-the-reactor-turn"]
    command = [sys.executable, "-m", "harness", "mutants", "--jobs", "1", "--out", str(tmp_path)]
    command += ["--only", *names]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        while "1 of 3 " not in running.stderr.readline():
            pass
        running.send_signal(signal.SIGINT)
        err = running.stderr.read()
    assert running.returncode == 2
    assert "1 of 3 are done; the same command goes on" in err
    assert "Traceback" not in err
    data = json.loads((tmp_path / "mutants.json").read_text())
    VALIDATOR.validate(data)
    assert not data["complete"]
    assert len(data["mutants"]) == 1

    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert "1 of 3 are done" in again.stderr
    data = json.loads((tmp_path / "mutants.json").read_text())
    assert data["complete"]
    assert {one["name"] for one in data["mutants"]} == set(names)


def test_the_list_says_what_is_imitated_and_shows_one_as_a_diff(command):
    code, out, _ = command("--list")
    assert code == 0
    assert out.count("\n") == 2 * len(MUTANTS)
    code, out, _ = command("--list", "--only", QUICK)
    assert "+            self.queue.append(TURN)" in out
    code, out, _ = command("--list", "--json", "--area", "signalling")
    assert {one["area"] for one in json.loads(out)["mutants"]} == {"signalling"}


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (
            ["--only", "two-threads-leed"],
            "there is no mutant 'two-threads-leed'; is it two-threads-lead",
        ),
        (["--area", "signaling"], "there is no area 'signaling'"),
        (["--replay", "x:1*2"], "--replay needs one mutant"),
        (["--jobs", "0"], "neither auto nor a number"),
        (["--only", QUICK, "--replay", "nonsense"], "replay"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(command, args, words):
    code, out, err = command(*args)
    assert code == 2
    assert out == ""
    assert err.count("\n") == 1
    assert words in err


def test_a_folder_that_cannot_be_written_is_a_mistake_before_the_work(command, tmp_path):
    (tmp_path / "file").touch()
    code, _, err = command("--only", QUICK, "--out", tmp_path / "file")
    assert code == 2
    assert err.count("\n") == 1
