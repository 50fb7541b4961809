"""JUnit XML: its counts, what is a failure, and that nothing breaks it."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from harness.column import Column
from harness.model import Status
from harness.report import junit
from tests.harness.test_report_sample import HUNG, hostile_run, result, run

#: What XML 1.0 does not allow, whether it is escaped or not.
ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def parse(made):
    data = junit.render(made)
    root = ET.fromstring(data)
    assert root.tag == "testsuites"
    (suite,) = root
    assert suite.tag == "testsuite"
    return root, suite, {case.get("name"): case for case in suite.iter("testcase")}


def kind(case):
    """The element that says how a test case ended."""
    (found,) = [item.tag for item in case if item.tag != "system-out"] or ["passed"]
    return found


def test_each_result_is_one_case_of_its_kind():
    _, suite, cases = parse(run())
    assert {name: kind(case) for name, case in cases.items()} == {
        "good.passes": "passed",
        "good.shows-a-permit": "passed",
        "good.only-informs": "skipped",
        "bad.fails": "failure",
        "bad.known-to-fail": "skipped",
        "bad.passes-after-all": "failure",
        "bad.disagrees": "failure",
        HUNG: "failure",
        "hang.dies": "failure",
        "hang.breaks-the-harness": "error",
        "gap.needs-kqueue": "skipped",
        "gap.finds-out": "skipped",
        "gap.left-out": "skipped",
        "gap.comes-too-late": "skipped",
    }
    assert suite.get("name") == Column.of(run().info).name
    assert cases["bad.fails"].get("classname") == "bad"
    assert float(cases[HUNG].get("time")) == 20.0


def test_a_simulated_run_is_a_suite_of_its_own():
    _, suite, _ = parse(run(ground="sim", dialect="netbsd"))
    assert "@ sim netbsd" in suite.get("name", "")
    properties = {item.get("name"): item.get("value") for item in suite.iter("property")}
    assert (properties["ground"], properties["dialect"]) == ("sim", "netbsd")


@pytest.mark.parametrize("make", [run, hostile_run])
def test_the_counts_are_those_of_the_cases(make):
    root, suite, cases = parse(make())
    kinds = [kind(case) for case in cases.values()]
    for item in (root, suite):
        assert int(item.get("tests")) == len(kinds) == 14
        assert int(item.get("failures")) == kinds.count("failure") == 5
        assert int(item.get("errors")) == kinds.count("error") == 1
        assert int(item.get("skipped")) == kinds.count("skipped") == 6


def test_a_failure_has_its_reason_replay_and_evidence():
    _, _, cases = parse(run())
    case = cases[HUNG]
    failure = case.find("failure")
    assert failure.get("message") == "TIMEOUT: no result within 20.0 s; last: recv start 2"
    assert failure.get("type") == "TIMEOUT"
    for text in ("Law 4, Cancel: The law of", "--seed 7", "in wait", "recv PARKED"):
        assert text in failure.text
    output = case.find("system-out").text
    for text in ("trying again", "2 recv start 2", "--seed 7"):
        assert text in output


def test_what_is_skipped_says_why():
    _, _, cases = parse(run())
    messages = {name: case.find("skipped") for name, case in cases.items()}
    assert {name: item.get("message") for name, item in messages.items() if item is not None} == {
        "good.only-informs": "FAIL: slow here (for information)",
        "bad.known-to-fail": "FAIL: 10 ms late (expected: the kernel rounds up)",
        "gap.needs-kqueue": "UNSUPPORTED: no kqueue: Python lacks it here",
        "gap.finds-out": "UNSUPPORTED: no such thing here",
        "gap.left-out": "SKIP: takes an hour",
        "gap.comes-too-late": "NOTRUN: interrupted (unexpected)",
    }


def test_the_properties_say_where_it_ran():
    _, suite, _ = parse(run())
    found = {item.get("name"): item.get("value") for item in suite.find("properties")}
    assert found["platform.os"] == "linux"
    assert found["python.version"] == "3.11.7"
    assert found["seed"] == "7"
    assert found["command"] == "reactorlab run --backend epoll -k 'two words'"
    assert found["git.dirty"] == "True"


def test_no_text_of_the_run_breaks_the_file():
    made = hostile_run()
    text = junit.render(made).decode()
    assert not ILLEGAL.search(text)
    assert not ILLEGAL.search("".join(ET.fromstring(text.encode()).itertext()))
    _, _, cases = parse(made)
    assert len(cases) == len(made.results)
    failure = cases[next(name for name in cases if name.startswith("bad.fails"))].find("failure")
    # Nothing is lost either: what XML forbids is shown by its number.
    for kept in ("<script>alert('own')</script> ]]> -->", r"\x00\x07\x1b[31m", r"\ud800\uffff"):
        assert kept in failure.get("message")
        assert kept in failure.text


def test_an_unexpected_status_is_a_failure_whatever_it_is():
    for status in (Status.PASS, Status.FAIL, Status.TIMEOUT, Status.CRASH, Status.FLAKY):
        _, _, cases = parse(run(result("a.b", status, unexpected=True)))
        assert kind(cases["a.b"]) == "failure", status
        _, _, cases = parse(run(result("a.b", status, expected=[status])))
        assert kind(cases["a.b"]) == ("passed" if status is Status.PASS else "skipped"), status
