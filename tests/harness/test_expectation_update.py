"""`reactorlab expect update`: the smallest conditions that say what runs showed, and no more."""

from __future__ import annotations

import datetime as dt
import itertools

import pytest
from hypothesis import given, settings, strategies as st

from harness import expectation_update, expectations
from harness.expectations import Circumstances
from harness.model import Run, RunInfo, Status
from tests.harness.test_model import result

TODAY = dt.date(2027, 1, 1)
P, F, T = Status.PASS, Status.FAIL, Status.TIMEOUT
_NUMBER = itertools.count()


def run(
    statuses, backend="poll", os="linux", python="3.11.7", release="6.1", lacks=(), reason="odd"
):
    """A run: statuses by scenario."""
    caps = [{"name": n, "available": n not in lacks, "evidence": ""} for n in ("ipv6", "pty")]
    return Run(
        RunInfo(
            id=f"run-{next(_NUMBER):05}",
            started="2027-01-01T00:00:00",
            spec=backend,
            backend=backend,
            variant="",
            seed=1,
            platform={"os": os, "release": release},
            python={"version": python, "gil": True},
            capabilities=caps,
        ),
        [
            result(name, status, reason="" if status is P else reason)
            for name, status in statuses.items()
        ],
    )


def update(text, runs, **more):
    return expectation_update.update(text, runs, today=TODAY, **more)


def conditions(made):
    return [(entry.scenario, dict(entry.conditions), entry.statuses) for entry in made.added]


def judged(text, runs):
    """The results that the file does not allow."""
    found = expectations.parse(text)
    wrong = []
    for one in runs:
        for item in one.results:
            entry = found.find(item.id, Circumstances.of(one.info), TODAY)
            if item.status not in (entry.statuses if entry else (P,)):
                wrong.append((one.info.backend, item.id, item.status))
    return wrong


def test_what_is_as_expected_changes_nothing():
    text = "# a comment\n"
    made = update(text, [run({"a.b": P}), run({"a.b": P}, "select")])
    assert (made.text, made.added, made.stale, made.unfit) == (text, [], [], [])


@pytest.mark.parametrize(
    ("failing", "passing", "wanted"),
    [
        ([{}], [], {}),
        ([{}], [{"backend": "select"}], {"backend": ("poll",)}),
        (
            [{}, {"backend": "select"}],
            [{"backend": "epoll"}],
            {"backend": ("poll", "select")},
        ),
        ([{"os": "openbsd"}], [{}], {"platform": ("openbsd",)}),
        ([{"python": "3.13.1"}], [{}], {"python": ("3.13.*",)}),
        ([{"lacks": ["ipv6"]}], [{}], {"capability": ("!ipv6",)}),
        ([{}], [{"lacks": ["pty"]}], {"capability": ("pty",)}),
        ([{"release": "5.4"}], [{}], {"os_version": ("5.4",)}),
        (
            [{"os": "openbsd"}],
            [{"os": "openbsd", "backend": "select"}, {}],
            {"backend": ("poll",), "platform": ("openbsd",)},
        ),
    ],
)
def test_the_conditions_are_the_fewest_that_part_failures_from_passes(failing, passing, wanted):
    runs = [run({"a.b": F}, **kind) for kind in failing]
    runs += [run({"a.b": P}, **kind) for kind in passing]
    made = update("", runs)
    assert conditions(made) == [("a.b", wanted, (F,))]
    assert judged(made.text, runs) == []
    assert update(made.text, runs).text == made.text


def test_failures_that_no_one_set_of_conditions_covers_become_several_entries():
    runs = [
        run({"a.b": F}, "poll", "linux"),
        run({"a.b": F}, "select", "openbsd"),
        run({"a.b": P}, "select", "linux"),
        run({"a.b": P}, "poll", "openbsd"),
    ]
    made = update("", runs)
    assert len(made.added) == 2
    assert judged(made.text, runs) == []


def test_two_statuses_are_two_entries_and_both_in_one_place_are_a_list():
    runs = [run({"a.b": F}), run({"a.b": T}, "select"), run({"a.b": T}, "select")]
    runs.append(run({"a.b": P}, "select"))
    made = update("", runs)
    assert sorted(conditions(made), key=str) == [
        ("a.b", {"backend": ("poll",)}, (F,)),
        ("a.b", {"backend": ("select",)}, (T, P)),
    ]
    assert judged(made.text, runs) == []


OLD = """# what is known
[["a.b"]]
backend = ["poll", "select"]
status = "FAIL"
reason = "the kernel rounds"
bug = "https://bugs.example/1"
until = 2030-01-01

# about the other
[["c.d"]]
status = "FAIL"
reason = "known"
"""


def test_an_entry_that_is_too_wide_is_made_narrower_and_keeps_its_reason():
    runs = [run({"a.b": F}), run({"a.b": P}, "select")]
    made = update(OLD, runs)
    (entry,) = made.added
    assert (entry.reason, entry.bug) == ("the kernel rounds", "https://bugs.example/1")
    assert entry.until == dt.date(2030, 1, 1)
    assert dict(entry.conditions) == {"backend": ("poll",)}
    assert made.text.count('[["a.b"]]') == 1
    assert made.text.index("# about the other") < made.text.index('[["c.d"]]')
    assert judged(made.text, runs) == []
    assert update(made.text, runs).text == made.text


def test_an_entry_that_nothing_shows_any_more_is_told_and_stays():
    made = update(OLD, [run({"a.b": P, "c.d": P})], known=["a.b"])
    assert made.text == OLD
    assert [line.partition(": ")[0] for line in made.stale] == [
        "expectations.toml:10",
        "expectations.toml:2",
        "expectations.toml:10",
    ]
    assert "there is no scenario 'c.d'" in made.stale[0]
    assert "a.b is expected FAIL, and was PASS wherever that applied" in made.stale[1]


def test_an_entry_of_another_status_is_overruled_from_in_front_of_it():
    runs = [run({"c.d": T})]
    made = update(OLD, runs)
    assert judged(made.text, runs) == []
    assert made.text.index('status = "TIMEOUT"') < made.text.index('reason = "known"')
    assert len(made.stale) == 1


def test_what_says_nothing_about_the_subject_is_no_evidence():
    runs = [run({"a.b": status}) for status in (Status.UNSUPPORTED, Status.SKIP, Status.NOTRUN)]
    informing = run({"a.b": F})
    informing.results[0].strictness = "INFO"
    assert update("", [*runs, informing]).text == ""
    broken = update("", [run({"a.b": Status.ERROR}, reason="no fork")])
    assert broken.text == ""
    assert broken.unfit == ["a.b: ERROR cannot be expected: no fork"]


def test_the_reason_and_the_bug_can_be_given():
    made = update("", [run({"a.b": F})], reason="it rounds", bug="issue 7")
    assert expectations.parse(made.text).find("a.b", Circumstances({}, frozenset())) is not None
    assert 'reason = "it rounds"\nbug = "issue 7"\n' in made.text


@pytest.mark.parametrize(
    "hostile", ['x"]]\nstatus = "PASS"', "</script>", "a\x1b[31m\x00\x7f", "\u2028", "é ' \\", "#"]
)
def test_hostile_text_stays_text(hostile):
    runs = [run({f"a.{hostile}": F}, reason=hostile)]
    made = update("# mine\n", runs)
    (entry,) = expectations.parse(made.text)
    assert entry.scenario == f"a.{hostile}"
    assert entry.statuses == (F,)
    assert judged(made.text, runs) == []


def test_a_backend_that_was_added_is_no_condition_that_the_file_may_have():
    runs = [run({"a.b": F}, "mine", lacks=["pty"]), run({"a.b": P})]
    made = update("", runs)
    assert conditions(made) == [("a.b", {"spec": ("mine",)}, (F,))]
    expectations.parse(made.text)


def test_the_fewest_conditions_are_found_where_the_widest_one_leads_astray():
    """Python tells most of the passes apart, but is not needed beside the other two."""
    runs = [run({"a.b": F}, "poll", "openbsd", "3.13.1")]
    for backend, os, python in (
        *(("select", "openbsd", "3.13.1"), ("select", "openbsd", "3.12.1")),
        *(("epoll", "openbsd", "3.12.1"), ("poll", "linux", "3.12.1")),
        *(("poll", "netbsd", "3.12.1"), ("poll", "linux", "3.13.1")),
    ):
        runs.append(run({"a.b": P}, backend, os, python))
    made = update("", runs)
    assert conditions(made) == [("a.b", {"backend": ("poll",), "platform": ("openbsd",)}, (F,))]


def test_two_capabilities_at_once_are_no_condition_that_the_file_may_have():
    runs = [run({"a.b": F}), run({"a.b": P}, lacks=["ipv6"]), run({"a.b": P}, lacks=["pty"])]
    made = update("", runs)
    assert made.text == ""
    assert made.unfit == ["a.b: no conditions tell where it is FAIL"]


def test_a_value_that_looks_like_a_pattern_stands_for_itself():
    runs = [run({"a.b": F}, release="7*"), run({"a.b": P}, release="7.1")]
    made = update("", runs)
    assert conditions(made) == [("a.b", {"os_version": ("7[*]",)}, (F,))]
    assert judged(made.text, runs) == []


def test_many_conditions_are_found_without_trying_every_choice():
    """Each negative differs in one thing alone, so that all five are needed."""
    there = {"backend": "poll", "os": "openbsd", "python": "3.13.1", "release": "7.8"}
    runs = [run({"a.b": F}, **there, lacks=["pty"])]
    for key, value in (
        *(("backend", "select"), ("os", "netbsd"), ("python", "3.12.1"), ("release", "7.7")),
        ("lacks", ()),
    ):
        runs.append(run({"a.b": P}, **({**there, "lacks": ["pty"]} | {key: value})))
    made = update("", runs)
    ((_, found, _),) = conditions(made)
    assert len(found) == 5
    assert judged(made.text, runs) == []


SPACE = st.lists(
    st.tuples(
        st.sampled_from(["epoll", "poll", "select"]),
        st.sampled_from(["linux", "openbsd"]),
        st.sampled_from(["3.11.7", "3.13.1", "3.13.2"]),
        st.sampled_from([(), ("ipv6",), ("ipv6", "pty")]),
        st.dictionaries(st.sampled_from(["a.b", "c.d"]), st.sampled_from([P, P, F, T]), min_size=1),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(SPACE, st.sampled_from(["", OLD]))
def test_after_an_update_the_runs_are_as_expected_and_a_second_one_changes_nothing(drawn, text):
    runs = [
        run(statuses, backend, os, python, lacks=lacks)
        for backend, os, python, lacks, statuses in drawn
    ]
    made = update(text, runs)
    left = judged(made.text, runs)
    if not made.stale:  # a stale entry is for a person to remove
        assert left == []
    assert all(status is P for _, _, status in left) or made.unfit
    assert update(made.text, runs).text == made.text
    backwards = update(text, list(reversed(runs)))
    assert sorted(map(str, backwards.added)) == sorted(map(str, made.added))
