"""Generated programs: drawn, played, held to the laws, made short, saved and played again."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings, strategies as st

from harness.cli import main
from harness.simulate import (
    GROUPS,
    Program,
    Step,
    draw,
    finding,
    play,
    program as programs,
    shorten,
)
from harness.simulate.search import Tally, nth, search
from reactor.backends.poll import PollBackend
from reactor.descriptor import IoOperation
from reactor.timerqueue import TimerQueue

SAVED = sorted((Path(__file__).parent / "programs").glob("*.json"))
#: Points at which a saved program of several threads is also pre-empted: the one that mattered moves
#: when the code does.
POINTS = 60

each_group = pytest.mark.parametrize(
    ("backend", "dialect"), GROUPS, ids=["-".join(group) for group in GROUPS]
)


def problems(program):
    return [f"{one.law}: {one.detail}" for one in play(program).findings]


def law_of(program):
    first = play(program).first
    return None if first is None else first.law


@pytest.fixture
def early(monkeypatch):
    """Break the reactor: timers fire 5 ms early."""
    right = TimerQueue.pop_due
    monkeypatch.setattr(TimerQueue, "pop_due", lambda self, now: right(self, now + 0.005))


#: What timers that fire early may break first: a deadline ends something that it must not yet.
EARLY = {"never-early", "no-cancel-unasked"}


# -- Every law holds


@each_group
@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def test_every_law_holds_for_any_program(data, backend, dialect):
    program = draw(data.draw(st.randoms(use_true_random=False)), backend, dialect)
    law = law_of(program)
    if law is not None:  # Hypothesis shrinks choices; a program of fewer steps can be read
        short = shorten(program, law)
        lines = [*programs.script(short), *play(short, timeline=True).timeline]
        pytest.fail("\n".join([law, *lines]))


@pytest.mark.parametrize("path", SAVED, ids=lambda path: path.stem)
def test_what_was_found_once_stays_away(path):
    program = finding.load(path).program
    assert problems(program) == []
    if program.threads > 1 or program.outside:
        for point in range(1, POINTS):
            assert problems(replace(program, switches=(point,))) == [], f"switch at {point}"


def test_there_are_saved_programs():
    assert len(SAVED) >= 5


# -- The same again


@each_group
def test_the_same_seed_makes_the_same_program_and_the_same_play(backend, dialect):
    one, two = (nth(3, backend, dialect, 5) for _ in range(2))
    assert one == two
    assert play(one).digest == play(two).digest
    assert nth(4, backend, dialect, 5) != one


def test_another_process_plays_the_same():
    code = (
        "from harness.simulate.search import nth\n"
        "from harness.simulate import GROUPS, play\n"
        "print([play(nth(9, *group, number)).digest for group in GROUPS for number in range(10)])\n"
    )
    said = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert said[0] == said[1]
    assert len(set(json.loads(said[0].replace("'", '"')))) > 90


# -- As data


@each_group
def test_a_program_survives_json(backend, dialect):
    for number in range(50):
        program = nth(0, backend, dialect, number)
        assert programs.from_data(json.loads(json.dumps(program.to_data()))) == program


GOOD = Program("poll", "linux", tasks=((Step("sleep", 5),),)).to_data()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"backend": "devpoll"}, "devpoll"),
        ({"backend": 5}, "backend cannot be 5"),
        ({"dialect": "minix"}, "minix"),
        ({"threads": 0}, "threads"),
        ({"threads": True}, "threads"),
        ({"threads": 10_000}, "threads"),
        ({"drive": "walk"}, "walk"),
        ({"seconds": float("inf")}, "seconds"),
        ({"tasks": [[["explode"]]]}, "explode"),
        ({"tasks": [[["sleep"]]]}, "a step sleep has ms"),
        ({"tasks": [[["sleep", -1]]]}, "-1"),
        ({"tasks": [[["pause", 1]]]}, "pause"),
        ({"tasks": [[["post", [["recv", 0, 1]]]]]}, "recv"),
        ({"tasks": 1}, "tasks is a list"),
        ({"outside": [[["recv", 0, 1]]]}, "recv"),
        ({"switches": ["1"]}, "'1'"),
        ({"faults": [{"fault": "plague"}]}, "plague"),
        ({"more": 1}, "more"),
    ],
)
def test_what_is_no_program_is_refused(change, words):
    with pytest.raises(
        programs.ProgramError if "faults" not in change else ValueError, match=words
    ):
        programs.from_data({**GOOD, **change})


def test_a_script_can_be_read():
    program = Program(
        "poll", "linux", tasks=((Step("timeout", 5, 0, (Step("recv", 0, 10),)),),), switches=(7,)
    )
    assert programs.script(program) == [
        "poll on linux, seed 0: 1 in run(), end by cancel at 4 s",
        "task 0:",
        "  timeout 5 ms:",
        "    recv socket 0 10 bytes",
        "threads change places at 7",
    ]


# -- What goes wrong is seen


def test_an_early_timer_is_found_and_made_short(early):
    tally = Tally("poll", "linux")
    found = next(found for found in search(tally, 0, count=500) if found is not None)
    assert found.outcome.findings[0].law in EARLY
    assert found.program.size() <= 10
    assert any("FOUND" in line for line in found.outcome.timeline)


def test_a_lost_wake_up_is_found(monkeypatch):
    monkeypatch.setattr(PollBackend, "interrupt", lambda self: True)
    program = Program("poll", "linux", tasks=((Step("in_thread", 1),),))
    assert law_of(program) == "no-lost-wake-up"


def test_a_spin_is_found(monkeypatch):
    monkeypatch.setattr(PollBackend, "wait", lambda self, timeout: (self._poll.poll(0), [])[1])
    program = Program("poll", "linux", tasks=((Step("sleep", 1),),))
    assert law_of(program) == "no-spin"


def test_a_lost_cancel_is_found(monkeypatch):
    monkeypatch.setattr(IoOperation, "cancel", lambda self, cause: 0)
    steps = (Step("recv", 0, 1),), (Step("sleep", 1), Step("cancel"))
    program = Program("poll", "linux", tasks=((Step("pair"),), *steps))
    assert law_of(program) == "cancel-is-not-lost"


def test_shortening_keeps_the_law(early):
    program = next(
        program for number in range(500) if problems(program := nth(0, "poll", "linux", number))
    )
    law = law_of(program)
    assert law_of(shorten(program, law, budget=20)) == law


# -- The commands


@pytest.fixture
def command(capsys):
    def run(*arguments):
        code = main([str(one) for one in arguments])
        out = capsys.readouterr()
        return code, out.out, out.err

    return run


def test_simulate_without_a_finding(command, tmp_path):
    code, out, err = command("simulate", "--programs", 5, "--seed", 3, "--out", tmp_path, "--json")
    assert code == 0
    data = json.loads(out)
    assert data["seed"] == 3
    assert [(one["backend"], one["dialect"]) for one in data["groups"]] == list(GROUPS)
    assert all(one["programs"] == 5 and not one["found"] for one in data["groups"])
    assert "seed 3" in err
    assert not list(tmp_path.iterdir())


def test_a_finding_is_saved_and_replayed(command, tmp_path, early):
    poll = ("--backend", "poll", "--dialect", "posix")
    options = (*poll, "--programs", 40, "--seed", 1, "--out", tmp_path)
    code, out, _ = command("simulate", *options)
    assert code == 1
    assert any(law in out for law in EARLY)
    path = min(tmp_path.iterdir())  # there may be more than one, of other laws
    assert f"replay: reactorlab replay {path}" in out
    saved = json.loads(path.read_text())
    code, out, _ = command("replay", path, "--json")
    assert code == 1
    data = json.loads(out)
    assert data["as_saved"]
    assert data["digest"] == saved["digest"]
    assert data["findings"][0]["law"] == saved["finding"]["law"]
    assert command("replay", path)[0] == 1


def test_minutes_go_round_the_groups(command, tmp_path):
    code, out, _ = command("simulate", "--minutes", 1e-6, "--seed", 1, "--out", tmp_path, "--json")
    assert code == 0
    assert all(one["programs"] for one in json.loads(out)["groups"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--backend", "devpoll"), "no programs for devpoll"),
        (("--backend", "epoll", "--dialect", "macos"), "no programs for epoll on macos"),
        (("--programs", 0), "--programs must be more than 0"),
        (("--minutes", "nan"), "--minutes must be more than 0"),
        (("--programs", 1, "--minutes", 1), "do not go together"),
    ],
)
def test_a_mistake_is_one_line(command, arguments, words):
    code, out, err = command("simulate", *arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "{",
        "[]",
        "[" * 100_000,
        "null",
        '{"schema": "reactorlab.run/1"}',
        '{"schema": "reactorlab.program/1"}',
        '{"schema": "reactorlab.program/1", "program": {}}',
        json.dumps({"schema": "reactorlab.program/1", "program": GOOD, "digest": 5}),
        json.dumps({"schema": "reactorlab.program/1", "program": GOOD, "finding": 5}),
        "\0",
        " " * (1 << 20) + "{}",
    ],
)
def test_a_foreign_file_is_one_line(command, tmp_path, text):
    path = tmp_path / "file"
    if text is not None:
        path.write_text(text)
    code, out, err = command("replay", path)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert str(path) in err


def test_a_folder_and_bytes_are_one_line(command, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"\xff\xfe")
    for place in (path, tmp_path):
        code, _, err = command("replay", place)
        assert code == 2
        assert err.count("\n") == 1


def test_where_a_finding_cannot_be_saved_it_says_so(command, tmp_path, early):
    place = tmp_path / "file"
    place.write_text("")
    options = ("--backend", "poll", "--programs", 40, "--seed", 1, "--out", place / "folder")
    code, _, err = command("simulate", *options)
    assert code == 2
    assert "cannot write" in err


def test_a_random_seed_is_told(command, tmp_path):
    random.seed(0)
    code, _, err = command("simulate", "--backend", "poll", "--programs", 1, "--out", tmp_path)
    assert code == 0
    assert err.startswith("seed ")
