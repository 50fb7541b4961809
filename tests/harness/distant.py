"""What the tests of places share: a small catalogue, in which a place can be told to end itself."""

from __future__ import annotations

from harness.model import Status
from harness.places.gather import gather
from harness.places.spec import parse

SCENARIOS = '''
import os
import signal
from harness.scenario import scenario


def place():
    """The process of the engine: the fork server's parent."""
    with open(f"/proc/{os.getppid()}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])


@scenario(id="demo.first", law=1, provenance="the tests")
async def first(lab):
    """Nothing happens."""


@scenario(id="demo.marked", law=1, provenance="the tests")
async def marked(lab):
    """What is to happen happens where the test says so, in an environment variable of the place."""
    what = os.environ.get("DEMO_SIGNAL")
    if what:
        if "DEMO_FILE" in os.environ:
            with open(os.environ["DEMO_FILE"], "w") as file:
                file.write(str(place()))
        os.kill(place(), getattr(signal, what))
        await lab.subject.sleep(3600)


@scenario(id="demo.last", law=1, provenance="the tests")
async def last(lab):
    """Nothing happens."""


@scenario(id="demo.odd", law=1, provenance="the tests", strictness="INFO")
async def odd(lab):
    """Nothing happens."""
'''


def run(specs, options, silence_s=60.0):
    """Gather, and see that what was streamed is what is in the runs."""
    streamed: dict[str, list[str]] = {}
    places = parse(specs)
    runs = gather(
        places,
        options,
        lambda place, result: streamed.setdefault(place.name, []).append(result.id),
        silence_s,
    )
    assert [run.info.place["name"] for run in runs] == [place.name for place in places]
    for run in runs:
        ran = {result.id for result in run.results if result.status is not Status.NOTRUN}
        assert ran == set(streamed.get(run.info.place["name"], ()))
    return runs


def statuses(run):
    return {result.id.removeprefix("demo."): str(result.status) for result in run.results}


ALL_PASS = dict.fromkeys(("first", "marked", "last", "odd"), "PASS")
