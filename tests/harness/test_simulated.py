"""Scenarios on the simulated kernel: the same law, virtual time, and the same run for the same seed."""

from __future__ import annotations

import errno

import pytest

from harness import engine
from harness.kernel import DIALECTS
from harness.model import Status
from harness.peer import pattern
from harness.scenario import load, scenario
from harness.subject import run_scenario
from harness.world import SimulatedWorld

#: Every dialect with its best poller, and poll and select.
PLACES = [
    *((name, "kqueue") for name, dialect in DIALECTS.items() if dialect.has("kqueue")),
    *(("linux", spec) for spec in ("epoll", "epoll+pipe", "poll", "select")),
    *(("posix", spec) for spec in ("poll", "select")),
]


def play(function, spec="kqueue", dialect="freebsd", *, seed=1, threads=1, **given):
    """Run an async function as a scenario on the model; its report."""
    function.__doc__ = "It holds."
    made = scenario(id="toy.x", law=1, provenance="a bug", **given)(function).__scenario__
    return run_scenario(
        made,
        spec=spec,
        system="live",
        seed=seed,
        threads=threads,
        sink=lambda _: None,
        ground="sim",
        dialect=dialect,
    )


def broken(report):
    return {oracle["name"]: oracle["detail"] for oracle in report.oracles if not oracle["ok"]}


# -- One scenario, in this process


@pytest.mark.parametrize(("dialect", "spec"), PLACES)
@pytest.mark.parametrize("threads", [1, 3])
def test_the_lab_is_the_same_everywhere(dialect, spec, threads):
    async def uses_much(lab):
        sock, peer = lab.stream_pair(tiny_send=True)
        reader = lab.thread(peer.drain, 50_000)
        (await lab.result_of("sendall", sock.sendall, pattern(50_000))).get()
        lab.equal(await lab.join(reader), pattern(50_000), "what arrived")
        listener = lab.listener("unix")
        accept = await lab.parked("accept", listener.accept)
        peer = lab.connect_peer(listener)
        stream = lab.keep((await lab.outcome(accept)).get())
        recv = lab.start("recv", stream.recv, 10)
        await lab.join(lab.when_asleep(peer.send, b"late", op=recv))
        lab.equal((await lab.outcome(recv)).get(), b"late", "what it received")
        rule = lab.fault("recv", errno.EIO, on=stream)
        (await lab.result_of("faulty", stream.recv, 10)).failed(errno.EIO)
        lab.equal(rule.times, 1, "faults")
        accept = await lab.parked("accept again", listener.accept)
        listener.close()
        (await lab.outcome(accept)).cancelled("close")
        await lab.check_no_spin()

    report = play(uses_much, spec, dialect, threads=threads)
    assert (report.status, report.reason, broken(report)) == ("PASS", "", {})


def test_a_fake_clock_runs_on_the_model_too():
    async def sleeps(lab):
        lab.clock.early(0.5)
        before = lab.subject.now()
        await lab.subject.sleep(3)
        lab.equal(lab.subject.now() - before, 3.0, "seconds slept")
        lab.equal(lab.world.monotonic() < 1001, True, "the kernel's own clock stood nearly still")

    for threads in (1, 3):
        assert play(sleeps, clock="fake", threads=threads).status == "PASS"


@pytest.mark.parametrize("threads", [1, 3])
def test_a_hang_ends_at_once_and_says_who_waits(threads):
    async def hangs(lab):
        sock, _peer = lab.stream_pair()
        await sock.recv(1)

    report = play(hangs, threads=threads)
    assert report.status == "TIMEOUT"
    assert report.reason.startswith("deadlock: main waits for ")
    assert "the latest calls:" in report.dump


def test_a_hang_of_a_helper_thread_is_one_too():
    async def hangs(lab):
        await lab.join(lab.thread(lab.world.event().wait))

    report = play(hangs)
    assert report.status == "TIMEOUT"
    assert "helper-wait waits for a condition" in report.reason


def test_a_hang_in_a_blocking_call_of_the_scenario_is_no_failed_check():
    async def hangs(lab):
        lab.world.event().wait()

    for threads in (1, 3):
        report = play(hangs, threads=threads)
        assert (report.status, report.reason[:10]) == ("TIMEOUT", "deadlock: ")


def test_a_socket_of_the_model_that_is_left_open_is_found():
    async def leaks(lab):
        lab.world.socket()

    assert set(broken(play(leaks))) == {"no-leaked-simulated-fd"}


def test_a_spin_is_seen_in_virtual_time():
    async def spins(lab):
        async def turn_for_ever():
            while True:
                await lab.subject.sleep(0)

        lab.start("spin", turn_for_ever)
        before, cpu = lab.world.monotonic(), lab.world.cpu()
        while lab.world.monotonic() < before + 0.1:
            await lab.turns()
        lab.check(lab.world.cpu() - cpu > 0.05, "it took no time")

    assert play(spins).status == "PASS"


def test_ten_years_pass_and_the_timeline_shows_them():
    async def sleeps(lab):
        lab.note("before")
        await lab.subject.sleep(10 * 365 * 86_400)
        lab.note("after")

    report = play(sleeps, "kqueue", "openbsd")  # which cuts each wait at a day
    assert report.status == "PASS"
    times = [event["t"] for event in report.timeline if event["event"] == "note"]
    assert times[1] - times[0] >= 10 * 365 * 86_400
    assert report.counters["waits"] >= 3650


def test_far_future_lives_its_ten_years_through_on_the_model_only():
    for ground, dialect, waited in (("sim", "openbsd", 315_360_000), ("live", "", None)):
        options = engine.RunOptions(
            "select", ids=("timer.far-future",), ground=ground, dialect=dialect
        )
        (result,) = engine.run(options).results
        assert result.status is Status.PASS
        assert result.info.get("seconds waited") == waited


# -- The same seed, the same run


def results(options):
    return {result.id: result for result in engine.run(options).results}


def same(one, two):
    """Whether two results of one scenario are of the same run, but for the machine's own time."""
    return (one.digest, one.trace, one.timeline, one.info) == (
        two.digest,
        two.trace,
        two.timeline,
        two.info,
    )


@pytest.mark.parametrize("threads", [1, 3])
def test_two_processes_make_the_same_run_of_a_seed(threads):
    ids = (
        *(
            "accept.fairness",
            "cancel.batch-mate",
            "cancel.from-other-thread",
            "connect.refused-not-success",
        ),
        *(
            "partial.send-all-tiny",
            "timer.signal-storm",
            "timer.never-early-live",
            "wake.send-after-close",
        ),
    )
    options = {"ids": ids, "ground": "sim", "dialect": "freebsd", "threads": threads, "jobs": 2}
    one, two, other = (
        results(engine.RunOptions("kqueue", seed=seed, **options)) for seed in (7, 7, 8)
    )
    assert len(one) == len(ids)
    for name, result in one.items():
        if result.status is Status.UNSUPPORTED:
            assert result.digest == ""
            continue
        assert result.status is Status.PASS
        assert len(result.digest) == 32
        assert same(result, two[name]), name
    assert any(one[name].digest != other[name].digest for name in ids)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dialect", "spec", "threads"),
    [("linux", "epoll", 1), ("netbsd", "kqueue", 2), ("posix", "select", 4)],
)
def test_the_whole_catalogue_is_the_same_run_twice(dialect, spec, threads):
    options = engine.RunOptions(
        spec, seed=3, ground="sim", dialect=dialect, threads=threads, jobs=2
    )
    one, two = results(options), results(options)
    assert {name for name, result in one.items() if result.status is not Status.PASS} == UNSUPPORTED
    assert [name for name in one if not same(one[name], two[name])] == []


# -- What a report says of it

#: What needs something that the model leaves out (docs/kernel.md lists them).
UNSUPPORTED = {
    *("partial.pollhup-short-read", "partial.gather-resume", "partial.unix-ancillary-boundary"),
    *("partial.eintr", "timer.signal-storm", "wake.fork-child", "wake.cloexec"),
}


def test_what_the_model_leaves_out_costs_few_scenarios():
    lacking = {item.id for item in load() if set(item.needs) & set(SimulatedWorld.lacks)}
    assert lacking == UNSUPPORTED


def test_a_simulated_run_says_what_it_is():
    options = engine.RunOptions(
        "kqueue", ids=("accept.burst", "wake.cloexec"), ground="sim", dialect="macos", seed=5
    )
    made = engine.run(options)
    assert (made.info.ground, made.info.dialect, made.info.system) == ("sim", "macos", "live")
    burst, cloexec = made.results
    assert burst.replay == (
        "reactorlab run --backend kqueue -k accept.burst --seed 5 --ground sim --dialect macos"
    )
    assert (cloexec.status, cloexec.reason) == (
        Status.UNSUPPORTED,
        "no exec: the model executes no programs",
    )
    assert made.exit_code == 0
    probed = {item["name"]: item for item in made.info.capabilities}
    assert probed["kqueue"]["available"]
    assert probed["eventfd"]["evidence"] == "simulated macos has none"


def test_an_expectation_can_be_about_the_model(tmp_path):
    file = tmp_path / "expectations.toml"
    file.write_text(
        '[["accept.burst"]]\nground = "sim"\ndialect = ["netbsd", "openbsd"]\n'
        'status = "SKIP"\nreason = "for a test"\n'
        '[["accept.waiters-fifo"]]\nplatform = "*n*"\nstatus = "SKIP"\nreason = "a machine\'s"\n'
    )
    for ground, dialect, statuses in (
        ("sim", "netbsd", ["SKIP", "PASS"]),
        ("sim", "freebsd", ["PASS", "PASS"]),
        ("live", "", ["PASS", "SKIP"]),
    ):
        options = engine.RunOptions(
            "select",
            ids=("accept.burst", "accept.waiters-fifo"),
            ground=ground,
            dialect=dialect,
            expectations=file,
        )
        assert [str(result.status) for result in engine.run(options).results] == statuses
