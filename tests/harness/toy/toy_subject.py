"""A subject for the tests of the engine: it drives a coroutine that never waits."""

from __future__ import annotations

import random

from harness.errors import ScenarioUnsupported
from harness.subject import SubjectReport


class HarnessBroke(BaseException):
    """What a toy scenario raises to act for a harness that breaks."""


class ToyLab:
    def __init__(self, axes, sink, report):
        self.axes = axes
        self.rng = random.Random(axes["seed"])
        self.report = report
        self._sink = sink
        self._count = 0

    def event(self, event, detail=""):
        entry = {"who": "toy", "event": event, "detail": detail}
        self._sink({"kind": "trace", "seq": self._count, **entry})
        self._sink({"kind": "timeline", "t": 0.0, "thread": "main", "task": "toy", **entry})
        self._count += 1


def run_scenario(scenario, *, spec, system, seed, threads, sink, ground, dialect):
    report = SubjectReport(counters={"waits": 2})
    axes = {"spec": spec, "system": system, "seed": seed, "threads": threads}
    lab = ToyLab(axes, sink, report)
    try:
        scenario.function(lab).send(None)
    except StopIteration:
        report.status = report.status if report.status != "ERROR" else "PASS"
    except ScenarioUnsupported as exc:
        report.status, report.reason = "UNSUPPORTED", str(exc)
    except Exception as exc:  # noqa: BLE001 - the result
        report.status, report.reason = "FAIL", f"{type(exc).__name__}: {exc}"
    return report


def current_dump():
    return "the toy's own dump"
