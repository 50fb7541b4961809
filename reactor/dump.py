"""What a context is doing right now, as data and as text: for hang reports and for the curious."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from .counters import Counters
from .errors import Cause
from .operation import PARKED

if TYPE_CHECKING:
    from .descriptor import Slot
    from .scheduler import Scheduler


@dataclass(frozen=True)
class Dump:
    """A snapshot of a context; ``str(dump)`` is meant to be read."""

    data: dict[str, Any]

    def __str__(self) -> str:
        data = self.data
        signal = ", ".join(f"{name} {value}" for name, value in data["signal"].items())
        timers = data["timers"]
        lines = [
            f"IoContext on {data['backend']}: {signal}",
            f"queue: {data['queued']} items",
            (
                f"timers: {timers['armed']} armed, next in {timers['next_in']}, "
                f"{timers['garbage']} cancelled entries"
            ),
            f"tasks: {len(data['tasks'])}",
        ]
        lines += [
            f"  {task['name']}: {task['state']}"
            + (f", waits for {task['waits_for']}" if task["waits_for"] else "")
            for task in data["tasks"]
        ]
        lines.append(f"descriptors: {len(data['descriptors'])}")
        lines += [
            f"  fd {item['fd']} {item['kind']}"
            f"{'' if item['registered'] else ', not registered'}: "
            f"read {item['read']}; write {item['write']}"
            for item in data["descriptors"]
        ]
        counters = ", ".join(f"{name} {value}" for name, value in data["counters"].items())
        lines.append(f"counters: {counters}")
        return "\n".join(lines)


def count(scheduler: Scheduler) -> Counters:
    """Add up the counters. The mutex is held."""
    hits, misses, partials = scheduler.retired
    parked = 0
    for descriptor in scheduler.descriptors:
        for slot in (descriptor.read, descriptor.write):
            hits += slot.hits
            misses += slot.misses
            partials += slot.partials
            parked += slot.op.state is PARKED
    claims = scheduler.claims
    return Counters(
        waits=scheduler.waits,
        interrupts=scheduler.interrupts,
        interest_changes=scheduler.backend.interest_changes,
        speculative_hits=hits,
        speculative_misses=misses,
        inline_completions=hits - partials,
        deferrals=scheduler.deferrals,
        parks=parked + scheduler.readied + scheduler.parks_ended,
        claims_ready=claims[Cause.READY] + scheduler.readied,
        claims_cancel=claims[Cause.CANCEL],
        claims_close=claims[Cause.CLOSE],
        claims_deadline=claims[Cause.DEADLINE],
        timers_fired=scheduler.timers_fired,
        handlers=scheduler.handlers,
        tasks_spawned=scheduler.spawned,
    )


def _slot(slot: Slot) -> str:
    believed = "believed ready" if slot.edges != slot.seen else "waiting for an edge"
    return f"{slot.op.state.name.lower()}, {believed}"


def dump(scheduler: Scheduler) -> Dump:
    """Take a snapshot. The mutex is held."""
    next_deadline = scheduler.timers.next_deadline()
    tasks = [
        {
            "name": task.name,
            "state": "running or queued" if operation is None else "suspended",
            "waits_for": None if operation is None else operation.describe(),
        }
        # Looked up once: a thread that steps the task takes it away without the mutex.
        for task, operation in [(task, task.operation) for task in scheduler.tasks]
    ]
    descriptors = [
        {
            "fd": descriptor.fd,
            "kind": descriptor.kind,
            "registered": descriptor.registered != 0,
            "read": _slot(descriptor.read),
            "write": _slot(descriptor.write),
        }
        for descriptor in scheduler.descriptors
    ]
    return Dump(
        {
            "backend": scheduler.backend.spec,
            "signal": scheduler.signal.as_dict(),
            "queued": scheduler.queued(),
            "tasks": tasks,
            "descriptors": descriptors,
            "timers": {
                "armed": len(scheduler.timers),
                "garbage": scheduler.timers.garbage,
                "next_in": "never"
                if next_deadline == float("inf")
                else f"{next_deadline - scheduler.now():.3f} s",
            },
            "counters": asdict(count(scheduler)),
        }
    )
