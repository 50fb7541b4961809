"""A run that has everything a run can have, for the tests of the report's forms."""

from __future__ import annotations

import dataclasses

from harness.model import Attempt, Result, Run, RunInfo, Status

#: What a scenario, a kernel or an expectation file might say to break a page.
HOSTILE = (
    "<script>alert('own')</script> ]]> --> </pre></details></table> {{ 7 * 7 }} {% x %} "
    "| a\tpipe | `tick` ``` \n# not a heading\n \x00\x07\x1b[31mred\x1b[0m\r \x85\u2028\u202e\ud800\uffff"
    ' &amp; "double" \'single\' javascript:alert(1) https://example.org/?a=<b>&c="d" [rich] [/]'
)

HUNG = "hang.waits-for-ever"


def events(number):
    return [
        {"seq": seq, "who": "recv", "event": "start", "detail": str(seq)} for seq in range(number)
    ]


def timeline():
    return [
        {"t": 0.001, "thread": "main", "task": "recv", "event": "start", "detail": "100"},
        {"t": 0.002, "thread": "main", "task": "recv", "event": "runs", "detail": ""},
        {"t": 0.003, "thread": "main", "task": "lab", "event": "permit", "detail": "late"},
        {"t": 0.004, "thread": "helper", "task": "recv", "event": "ends", "detail": "value b'x'"},
        {"t": 0.004, "thread": "main", "task": "recv", "event": "outcome", "detail": "value b'x'"},
        {"t": 0.005, "thread": "main", "task": "send", "event": "start", "detail": "7 bytes"},
    ]


def result(id, status=Status.PASS, **more):  # noqa: A002 - as the record calls it
    """One result, with all that a scenario that ran leaves, unless it did not run."""
    made = Result(
        id=id,
        family=id.partition(".")[0],
        law=4,
        law_text=f"The law of {id} holds.",
        strictness="MUST",
        title=id.partition(".")[2],
        provenance="corosio 192; recv(2)",
        status=status,
        replay=f"reactorlab run --backend epoll -k {id} --seed 7",
    )
    if status not in {Status.UNSUPPORTED, Status.SKIP, Status.NOTRUN}:
        made.attempts = [Attempt(status, 0.25, more.get("reason", ""), 7)]
        made.duration_s = 0.25
        made.counters = {"waits": 3, "parks": 0}
        made.info = {"drained": "1 of 2", "rounds": 3, "ratio": 0.5, "sizes": [1, None]}
        made.trace, made.timeline = events(3), timeline()
        made.oracles = [{"name": "no-leaked-fd", "ok": True, "detail": ""}]
    return dataclasses.replace(made, **more)


def results():
    """One of each status, and of each way in which a status meets its expectation."""
    permits = {"late": "the event came late", "early": "it came early (BSD)"}
    known = {"expected": [Status.FAIL, Status.PASS], "expected_reason": "the kernel rounds up"}
    broken = [{"name": "no-leaked-fd", "ok": False, "detail": "1 left open: /dev/null"}]
    return [
        result("good.passes", digest="0123abcd"),
        result("good.shows-a-permit", variant="late", permits=permits),
        result("good.only-informs", Status.FAIL, strictness="INFO", reason="slow here"),
        result("bad.fails", Status.FAIL, unexpected=True, reason="no-leaked-fd: 1", oracles=broken),
        result("bad.known-to-fail", Status.FAIL, reason="10 ms late", **known),
        result(
            "bad.passes-after-all",
            unexpected=True,
            expected=[Status.FAIL],
            expected_reason="the kernel rounds up",
            reason="it passed, but expectations.toml:7 expects FAIL: the kernel rounds up",
        ),
        result(
            "bad.disagrees",
            Status.FLAKY,
            unexpected=True,
            reason="1 PASS, 1 FAIL; seed 8: FAIL odd",
            attempts=[Attempt(Status.PASS, 0.1, "", 7), Attempt(Status.FAIL, 0.1, "odd", 8)],
        ),
        result(
            HUNG,
            Status.TIMEOUT,
            unexpected=True,
            reason="no result within 20.0 s; last: recv start 2",
            duration_s=20.0,
            stacks='Thread 0x7f (most recent call first):\n  File "lab.py", line 1 in wait',
            dump="1 task: recv PARKED",
            output="trying again\n",
        ),
        result("hang.dies", Status.CRASH, unexpected=True, reason="killed by SIGSEGV"),
        result("hang.breaks-the-harness", Status.ERROR, unexpected=True, reason="the lab broke"),
        result("gap.needs-kqueue", Status.UNSUPPORTED, reason="no kqueue: Python lacks it here"),
        result("gap.finds-out", Status.UNSUPPORTED, reason="no such thing here"),
        result(
            "gap.left-out",
            Status.SKIP,
            reason="takes an hour",
            expected=[Status.SKIP],
            expected_reason="takes an hour",
        ),
        result("gap.comes-too-late", Status.NOTRUN, unexpected=True, reason="interrupted"),
    ]


def run(*found, **more):
    """A run of these results, by default of `results()`; every optional field has a value."""
    info = RunInfo(
        id="20270102T030405Z-epoll-abcdef",
        started="2027-01-02T03:04:05.678+00:00",
        finished="2027-01-02T03:04:27.678+00:00",
        duration_s=22.0,
        spec="epoll",
        backend="epoll",
        variant="eventfd+timeout",
        seed=7,
        platform={"os": "linux", "release": "6.1", "machine": "x86_64", "libc": "glibc 2.36"},
        python={"version": "3.11.7", "implementation": "CPython", "gil": True},
        subject_version="1.0",
        repeat=2,
        jobs=2,
        git={"sha": "0123456789abcdef", "dirty": True},
        argv=["/somewhere/bin/reactorlab", "run", "--backend", "epoll", "-k", "two words"],
        env_name="linux-epoll",
        harness_version="1.0",
        capabilities=[
            {"name": "unix", "available": True, "evidence": "bound a path"},
            {"name": "queue", "available": False, "evidence": "Python lacks it here"},
            {"name": "kqueue", "available": False, "evidence": "Python lacks it here"},
        ],
        counters={"waits": 30},
        place={"name": "desk", "spec": "popen//id=desk", "status": "complete"},
        stale_expectations=["expectations.toml:9: there is no scenario 'gone.long-ago'"],
    )
    return Run(dataclasses.replace(info, **more), list(found) or results())


def hostile_run():
    """The same in which every text of the run's own making is an attack."""

    def bad(value):
        if isinstance(value, Status):
            return value
        if isinstance(value, str):
            return f"{value} {HOSTILE}"
        if isinstance(value, list):
            return [bad(item) for item in value]
        if isinstance(value, dict):
            return {bad(key) if key not in KEYS else key: bad(item) for key, item in value.items()}
        if isinstance(value, Attempt):
            return dataclasses.replace(value, reason=bad(value.reason))
        return value

    made = run()
    fields = [item.name for item in dataclasses.fields(RunInfo)]
    info = {name: bad(getattr(made.info, name)) for name in fields}
    found = [
        Result(**{item.name: bad(getattr(one, item.name)) for item in dataclasses.fields(Result)})
        for one in made.results
    ]
    return Run(RunInfo(**info), found)


#: Keys that a record is looked up by; every other key is the run's own text.
KEYS = {
    *("seq", "who", "event", "detail", "t", "thread", "task"),
    *("name", "ok", "available", "evidence", "spec", "status"),
    *("os", "release", "machine", "libc", "version", "implementation", "gil", "sha", "dirty"),
}


def test_the_sample_has_every_status_and_gives_every_field_a_value():
    made = run()
    assert set(made.counts) == set(Status)
    for record in (RunInfo, Result):
        simulated = run(ground="sim", dialect="freebsd").info
        holders = [made.info, simulated] if record is RunInfo else made.results
        for item in dataclasses.fields(record):
            assert any(getattr(holder, item.name) for holder in holders), item.name
