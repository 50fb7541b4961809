"""The expectation file: its form, when an entry holds, and when it is out of date."""

from __future__ import annotations

import datetime as dt
import re

import pytest

from harness import expectations, scenario
from harness.errors import HarnessError
from harness.expectations import Circumstances, ExpectationError, load, parse
from harness.model import Status

HERE = Circumstances(
    facts={
        "backend": "poll",
        "platform": "linux",
        "os_version": "6.1.0-13",
        "python": "3.11.4",
        "gil": "true",
        "subject": "reactor",
        "spec": "poll+pipe",
        "system": "live",
        "ground": "live",
        "dialect": "",
    },
    capabilities=frozenset({"unix", "tcp"}),
)
TODAY = dt.date(2026, 6, 1)


def entry(body, name="toy.one"):
    """Parse one entry; `status` and `reason` are given unless the body has them."""
    if "status" not in body:
        body += '\nstatus = "FAIL"'
    if "reason" not in body:
        body += '\nreason = "because"'
    (found,) = parse(f'[["{name}"]]\n{body}\n')
    return found


def test_an_entry_has_what_stands_in_it():
    found = entry(
        'backend = ["poll", "select"]\nplatform = "openbsd"\nstatus = ["FAIL", "TIMEOUT"]\n'
        'reason = " it rounds up "\nbug = "https://bugs/1"\nuntil = 2027-06-01'
    )
    assert found.scenario == "toy.one"
    assert found.place == "expectations.toml:1"
    assert found.statuses == (Status.FAIL, Status.TIMEOUT)
    assert found.conditions == {"backend": ("poll", "select"), "platform": ("openbsd",)}
    assert found.until == dt.date(2027, 6, 1)
    assert (found.reason, found.bug) == ("it rounds up", "https://bugs/1")
    assert found.text == "it rounds up (https://bugs/1)"
    assert entry("").text == "because"


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("", True),
        ('backend = "poll"', True),
        ('backend = "select"', False),
        ('backend = ["select", "poll"]', True),
        ('backend = ["select", "epoll"]', False),
        ('backend = "*"', True),
        ('backend = "p*"', True),
        ('backend = "poll"\nplatform = "linux"', True),
        ('backend = "poll"\nplatform = "darwin"', False),
        ('os_version = "6.*"', True),
        ('os_version = "5.*"', False),
        ('python = "3.11.*"', True),
        ('python = "3.1"', False),
        ("gil = true", True),
        ("gil = false", False),
        ('gil = "true"', True),
        ('subject = "reactor"', True),
        ('spec = "poll+pipe"', True),
        ('spec = "*+eventfd*"', False),
        ('system = "live"', True),
        ('system = "posix"', False),
        ('ground = "sim"', False),
        ('ground = "live"', True),
        ('dialect = "freebsd"', False),
        ('dialect = "*bsd"', False),
        ('capability = "unix"', True),
        ('capability = "!unix"', False),
        ('capability = "pty"', False),
        ('capability = "!pty"', True),
        ('capability = ["pty", "tcp"]', True),
        ('capability = ["pty", "oob"]', False),
        ("until = 2026-06-02", True),
        ("until = 2026-06-01", False),
        ("until = 2026-05-31", False),
        ('until = 2026-06-02\nbackend = "select"', False),
    ],
)
def test_when_an_entry_holds(condition, holds):
    found = expectations.Expectations([entry(condition)])
    assert (found.find("toy.one", HERE, TODAY) is not None) is holds


def test_globs_see_the_case_of_letters():
    assert not entry('os_version = "X*"').holds(HERE, TODAY)
    assert entry('subject = "reac*"').holds(HERE, TODAY)
    assert not entry('subject = "Reac*"').holds(HERE, TODAY)


def test_the_first_entry_that_holds_decides():
    found = parse(
        """
        [["toy.one"]]
        backend = "select"
        status = "TIMEOUT"
        reason = "not here"

        [["toy.two"]]
        status = "CRASH"
        reason = "another scenario"

        [['toy.one']]  # in the other quotes
        backend = "poll"
        status = "PASS"
        reason = "but here it works"

        [[ "toy.one" ]]
        status = "FAIL"
        reason = "everywhere else"
        """,
        "x.toml",
    )
    first = found.find("toy.one", HERE, TODAY)
    assert first is not None
    assert (first.statuses, first.place) == ((Status.PASS,), "x.toml:11")
    assert [(one.scenario, one.place) for one in found] == [
        ("toy.one", "x.toml:2"),
        ("toy.one", "x.toml:11"),
        ("toy.one", "x.toml:16"),
        ("toy.two", "x.toml:7"),
    ]
    assert found.find("toy.three", HERE, TODAY) is None


def test_today_is_today_unless_given():
    yesterday, tomorrow = (
        dt.datetime.now(dt.UTC).date() + dt.timedelta(days=days) for days in (-1, 2)
    )
    assert expectations.Expectations([entry(f"until = {yesterday}")]).find("toy.one", HERE) is None
    assert expectations.Expectations([entry(f"until = {tomorrow}")]).find("toy.one", HERE)
    assert expectations.Expectations([entry(f"until = {yesterday}")]).stale(["toy.one"])


def test_an_entry_is_stale_when_its_scenario_is_gone_or_its_day_has_come():
    found = expectations.Expectations(
        [
            entry("", "toy.gone"),
            entry("until = 2026-06-01", "toy.late"),
            entry("until = 2026-06-02", "toy.early"),
            entry("", "toy.always"),
        ]
    )
    assert found.stale(["toy.late", "toy.early", "toy.always"], TODAY) == [
        "expectations.toml:1: there is no scenario 'toy.gone'",
        "expectations.toml:1: toy.late was expected until 2026-06-01",
    ]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('platfrom = "linux"', "unknown key 'platfrom'; allowed: backend, platform, "),
        ('reason = " "', "a reason is required"),
        ("reason = 3", "a reason is required"),
        ("bug = 3", "bug must be text"),
        ('until = "2027-06-01"', "until must be a day, such as 2027-06-01, without quotes"),
        ("until = 2027-06-01T00:00:00", "until must be a day"),
        ("status = []", "status is required: one, or a list"),
        ("status = 3", "status is required"),
        ('status = "BROKEN"', "status 'BROKEN' cannot be expected; allowed: PASS, FAIL, TIMEOUT"),
        ('status = "fail"', "status 'fail' cannot be expected"),
        ('status = ["FAIL", "ERROR"]', "status 'ERROR' cannot be expected"),
        ('status = "NOTRUN"', "status 'NOTRUN' cannot be expected"),
        ('status = "PASS"', "PASS without a condition is what is expected anyway"),
        ('status = "PASS"\nuntil = 2027-06-01', "PASS without a condition"),
        ("backend = 3", "backend must be text, true, false, or a list of these"),
        ("backend = []", "backend must be text"),
        ('backend = ["poll", 3]', "backend must be text"),
        ('backend = "pol"', "backend 'pol' is unknown; there are: epoll, kqueue, poll, select"),
        ('backend = ["poll", "x*"]', "backend 'x*' is unknown"),
        ('platform = "macos"', "platform 'macos' is unknown; there are: linux, darwin, "),
        ('system = "possix"', "system 'possix' is unknown; there are: live, posix"),
        ('ground = "moon"', "ground 'moon' is unknown"),
        ('dialect = "moon"', "dialect 'moon' is unknown"),
    ],
)
def test_a_malformed_entry_is_one_line_that_says_where(body, message):
    with pytest.raises(ExpectationError) as caught:
        entry(body)
    said = str(caught.value)
    assert said.startswith(f"expectations.toml:1: toy.one[0]: {message}")
    assert "\n" not in said
    assert isinstance(caught.value, HarnessError)


def test_the_second_entry_of_a_scenario_is_named_by_its_line():
    good = '[["toy.one"]]\nstatus = "FAIL"\nreason = "because"\n\n'
    with pytest.raises(ExpectationError, match=r"^x\.toml:5: toy\.one\[1\]: a reason is required"):
        parse(f'{good}[["toy.one"]]\nstatus = "FAIL"\n', "x.toml")


def test_reason_and_status_are_required():
    for body in ('status = "FAIL"', 'reason = "because"'):
        with pytest.raises(ExpectationError, match="is required"):
            parse(f'[["toy.one"]]\n{body}\n')


@pytest.mark.parametrize(
    "text",
    [
        '["toy.one"]\nstatus = "FAIL"\nreason = "one bracket"\n',
        '[[toy.one]]\nstatus = "FAIL"\nreason = "no quotes"\n',
        '"toy.one" = "FAIL"\n',
        '"toy.one" = ["FAIL"]\n',
    ],
)
def test_an_entry_in_another_form_is_answered_with_the_right_one(text):
    with pytest.raises(ExpectationError, match=re.escape('write an entry as [["scenario-id"]]')):
        parse(text)


def test_what_is_not_toml_is_named_with_its_line():
    with pytest.raises(ExpectationError, match=r"^x\.toml: .*line 2"):
        parse("a = 1\nb =\n", "x.toml")


def test_a_file_that_is_not_there_expects_nothing(tmp_path):
    assert list(load(tmp_path / "nowhere.toml")) == []


def test_a_file_that_cannot_be_read_is_an_error(tmp_path):
    (tmp_path / "latin.toml").write_bytes(b'"\xe9" = 1')
    for path in (tmp_path, tmp_path / "latin.toml"):
        with pytest.raises(ExpectationError, match=f"^{re.escape(str(path))}: "):
            load(str(path))


def test_a_file_is_read_with_its_name(tmp_path):
    path = tmp_path / "x.toml"
    path.write_text('\n[["toy.one"]]\nstatus = "SKIP"\nreason = "not now"\n', encoding="utf-8")
    (found,) = load(path)
    assert found.place == f"{path}:2"
    assert found.statuses == (Status.SKIP,)


def test_the_entry_shown_in_the_docs_is_a_good_one():
    assert expectations.__doc__ is not None
    block = expectations.__doc__.split("\n\n")[1]
    (found,) = parse("\n".join(line.strip() for line in block.splitlines()))
    assert found.statuses == (Status.FAIL,)
    assert found.conditions == {"backend": ("poll", "select"), "platform": ("openbsd",)}


def test_the_projects_own_file_is_in_order():
    catalogue = scenario.load()
    found = load(catalogue.folder / "expectations.toml")
    assert found.stale(item.id for item in catalogue) == []
