"""New entries of the expectation file, of what runs showed: ``reactorlab expect update``.

For each scenario that ended otherwise than the file says, the smallest set of conditions is looked
for that holds wherever it did so, and nowhere where it did not. What the runs do not show is not
known: an entry is as narrow as the runs that it was made of are many.
"""

from __future__ import annotations

import datetime as dt
import glob
import itertools
import json
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from . import expectations
from .expectations import Circumstances, Expectation, Expectations
from .model import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from .model import Run

#: Conditions in the order in which they are tried: what most often explains a difference first.
_KEYS: Final = (
    "backend",
    "platform",
    "ground",
    "dialect",
    "system",
    "spec",
    "subject",
    "capability",
    "gil",
    "python",
    "os_version",
)

#: So many conditions are looked for in every way.
_EXHAUSTIVE: Final = 3

_NO_RESULT: Final = (Status.UNSUPPORTED, Status.SKIP, Status.NOTRUN)


@dataclass(frozen=True, slots=True)
class _Place:
    """The circumstances of some results, as far as a condition can tell them apart."""

    facts: tuple[tuple[str, str], ...]
    capabilities: frozenset[str]

    @classmethod
    def of(cls, here: Circumstances) -> _Place:
        facts = {name: glob.escape(value) for name, value in here.facts.items()}
        # A patch release is the same Python.
        facts["python"] = ".".join([*facts["python"].split(".")[:2], "*"])
        allowed = [name for name in _KEYS if name in expectations.CONDITIONS]
        return cls(
            tuple((name, facts.get(name, "")) for name in allowed if name != "capability"),
            here.capabilities,
        )


@dataclass(slots=True)
class _Seen:
    """What was seen of one scenario in one place."""

    here: Circumstances
    statuses: Counter[Status] = field(default_factory=Counter)
    reason: str = ""

    @property
    def words(self) -> tuple[Status, ...]:
        """The statuses, the usual one first."""
        return tuple(sorted(self.statuses, key=lambda word: (-self.statuses[word], str(word))))


@dataclass(slots=True)
class Update:
    """What is to be done to the file.

    Attributes:
        text: the whole new file.
        added: entries that it has now.
        replaced: entries that had to go for them.
        stale: entries that the runs contradict, in words; they stay until a person removes them.
        unfit: results for which no entry can be written, in words.
    """

    text: str
    added: list[Expectation] = field(default_factory=list)
    replaced: list[Expectation] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    unfit: list[str] = field(default_factory=list)


def update(
    text: str,
    runs: Iterable[Run],
    *,
    name: str = "expectations.toml",
    known: Iterable[str] | None = None,
    reason: str = "",
    bug: str = "",
    today: dt.date | None = None,
) -> Update:
    """Work out a new expectation file.

    Args:
        text: of the present one; may be empty.
        runs: what was seen.
        name: of the file, for messages.
        known: ids of the catalogue, to find entries whose scenario is gone; None to leave that.
        reason: of the new entries; by default what the results say.
        bug: of the new entries.
        today: to judge entries that have an end.

    Raises:
        ExpectationError: the present file is malformed.
    """
    day = today or dt.datetime.now(dt.UTC).date()
    present = expectations.parse(text, name)
    made = Update(text)
    if known is not None:
        made.stale += present.stale(known, day)
    for scenario, places in _evidence(runs, made).items():
        _scenario(scenario, list(places.values()), present, made, (reason, bug), day)
    made.text = _rewrite(text, made)
    return made


def _evidence(runs: Iterable[Run], made: Update) -> dict[str, dict[_Place, _Seen]]:
    found: dict[str, dict[_Place, _Seen]] = {}
    for run in sorted(runs, key=lambda run: (run.info.started, run.info.id)):
        here = Circumstances.of(run.info)
        place = _Place.of(here)
        for result in run.results:
            if result.status in _NO_RESULT or result.strictness == "INFO":
                continue
            if result.status is Status.ERROR:
                made.unfit.append(f"{result.id}: ERROR cannot be expected: {result.reason}")
                continue
            seen = found.setdefault(result.id, {}).setdefault(place, _Seen(here))
            seen.statuses[result.status] += 1
            if result.status is not Status.PASS:
                seen.reason = result.reason
    return found


def _scenario(
    name: str,
    places: list[_Seen],
    present: Expectations,
    made: Update,
    said: tuple[str, str],
    day: dt.date,
) -> None:
    """Find what is wrong with the entries of one scenario, and the entries that mend it."""
    by_entry: dict[Expectation | None, list[_Seen]] = {}
    for seen in places:
        by_entry.setdefault(present.find(name, seen.here, day), []).append(seen)
    needs: list[tuple[_Seen, Expectation | None]] = []
    for entry, own in by_entry.items():
        allowed = entry.statuses if entry else (Status.PASS,)
        right = [seen for seen in own if set(seen.statuses) <= set(allowed)]
        wrong = [seen for seen in own if seen not in right]
        failing = [seen for seen in wrong if set(seen.statuses) != {Status.PASS}]
        needs += [(seen, None) for seen in failing]
        if entry is None:
            continue
        if not right:
            shown = sorted({str(word) for seen in wrong for word in seen.statuses})
            made.stale.append(
                f"{entry.place}: {name} is expected {' or '.join(entry.statuses)}, and was "
                f"{', '.join(shown)} wherever that applied"
            )
        elif len(failing) < len(wrong):  # it passes in some of the places, and has to be narrower
            made.replaced.append(entry)
            needs += [(seen, entry) for seen in right if set(seen.statuses) != {Status.PASS}]
    groups: dict[tuple[Expectation | None, frozenset[Status]], list[_Seen]] = {}
    for seen, entry in needs:
        groups.setdefault((entry, frozenset(seen.statuses)), []).append(seen)
    for (entry, words), own in groups.items():
        others = [seen for seen in places if set(seen.statuses) != set(words)]
        for positives, conditions in _explain(own, others):
            if conditions is None:
                made.unfit.append(f"{name}: no conditions tell where it is {', '.join(words)}")
                continue
            total: Counter[Status] = Counter()
            for seen in positives:
                total += seen.statuses
            made.added.append(
                Expectation(
                    scenario=name,
                    place="",
                    statuses=_Seen(own[0].here, total).words if entry is None else entry.statuses,
                    reason=entry.reason if entry else said[0] or _reason(positives),
                    conditions=conditions,
                    bug=entry.bug if entry else said[1],
                    until=entry.until if entry else None,
                )
            )


def _reason(positives: list[_Seen]) -> str:
    from .report import words

    text = words.one_line(next((seen.reason for seen in positives if seen.reason), ""))
    return f"seen, not explained: {text[:200] or 'no reason was given'}"


def _explain(
    positives: list[_Seen], negatives: list[_Seen]
) -> Iterator[tuple[list[_Seen], Mapping[str, tuple[str, ...]] | None]]:
    """Cover the positives with as few sets of conditions as can be found, each without a negative."""
    found = _smallest(positives, negatives)
    if found is not None or len(positives) == 1:
        yield positives, found
        return
    # No one set does it: part them by the condition that makes the fewest parts.
    best: list[list[_Seen]] | None = None
    for key in _KEYS:
        if key == "capability":
            continue
        parts: dict[str, list[_Seen]] = {}
        for seen in positives:
            parts.setdefault(dict(_Place.of(seen.here).facts).get(key, ""), []).append(seen)
        if len(parts) > 1 and (best is None or len(parts) < len(best)):
            best = list(parts.values())
    for part in best or [[seen] for seen in positives]:
        yield from _explain(part, negatives)


def _smallest(
    positives: list[_Seen], negatives: list[_Seen]
) -> Mapping[str, tuple[str, ...]] | None:
    """Return the fewest conditions that hold at all positives and at no negative; None without any.

    Each condition keeps some of the negatives out, so this is a cover of them by conditions. Up to
    `_EXHAUSTIVE` of them every choice is tried; beyond that, each next one is that which keeps most of
    the rest out, as a search through all choices would take for ever.
    """
    atoms = []
    for key, values in _atoms(positives, negatives):
        trial = Expectation("", "", (), "", {key: values})
        held = [trial.holds(seen.here, dt.date.min) for seen in negatives]
        atoms.append((key, values, frozenset(at for at, holds in enumerate(held) if not holds)))
    everything = frozenset(range(len(negatives)))
    for size in range(_EXHAUSTIVE + 1):
        for chosen in itertools.combinations(atoms, size):
            if len({key for key, _, _ in chosen}) == size and everything == frozenset().union(
                *(out for _, _, out in chosen)
            ):
                return {key: values for key, values, _ in chosen}
    left, found = everything, dict[str, tuple[str, ...]]()
    while left:
        free = [atom for atom in atoms if atom[0] not in found]
        key, values, out = max(free, key=lambda atom: len(atom[2] & left), default=("", (), left))
        if not out & left or not key:
            return None
        found[key] = values
        left -= out
    return found


def _atoms(
    positives: Sequence[_Seen], negatives: Sequence[_Seen]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield every condition that holds at all positives, and could part them from the negatives."""
    elsewhere = frozenset[str]().union(*(seen.here.capabilities for seen in negatives))
    places = [_Place.of(seen.here) for seen in positives]
    facts = [dict(place.facts) for place in places]
    for key in _KEYS:
        if key == "capability":
            shared = frozenset.intersection(*(place.capabilities for place in places))
            anywhere = frozenset.union(*(place.capabilities for place in places))
            yield from (("capability", (name,)) for name in sorted(shared))
            yield from (("capability", (f"!{name}",)) for name in sorted(elsewhere - anywhere))
        elif key in facts[0]:
            values = sorted({own[key] for own in facts})
            if all(values) and all(expectations.known(key, value) for value in values):
                yield key, tuple(values)


def _rewrite(text: str, made: Update) -> str:
    """Take the replaced entries out of the file, and put the new ones before others of theirs."""
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    headers = [index for index, line in enumerate(lines) if line.lstrip().startswith("[[")]
    gone: set[int] = set()
    for entry in made.replaced:
        first = int(entry.place.rpartition(":")[2]) - 1
        end = next((index for index in headers if index > first), len(lines))
        while end > first + 1 and (not lines[end - 1].strip() or lines[end - 1].startswith("#")):
            end -= 1  # blank lines and comments belong to what follows
        gone |= set(range(first, end))
    inserts: dict[int, list[Expectation]] = {}
    for entry in made.added:
        header = re.compile(rf"""\s*\[\[\s*["']?{re.escape(entry.scenario)}["']?\s*\]\]""")
        at = next((index for index in headers if header.match(lines[index])), len(lines))
        inserts.setdefault(at, []).append(entry)
    found: list[str] = []
    for index in range(len(lines) + 1):
        for entry in inserts.get(index, ()):
            if index == len(lines) and found and found[-1].strip():
                found.append("\n")
            found.append(render(entry) + ("\n" if index < len(lines) else ""))
        if index < len(lines) and index not in gone:
            found.append(lines[index])
    return "".join(found)


def render(entry: Expectation) -> str:
    """Return the text of an entry."""
    rows = [f"[[{_quoted(entry.scenario)}]]"]
    rows += [f"{key} = {_value(values)}" for key, values in entry.conditions.items()]
    rows.append(f"status = {_value([str(word) for word in entry.statuses])}")
    rows.append(f"reason = {_quoted(entry.reason)}")
    if entry.bug:
        rows.append(f"bug = {_quoted(entry.bug)}")
    if entry.until is not None:
        rows.append(f"until = {entry.until.isoformat()}")
    return "\n".join(rows) + "\n"


def _value(values: Sequence[str]) -> str:
    texts = [_quoted(value) for value in values]
    return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"


def _quoted(text: str) -> str:
    """Return a TOML string; what JSON may not hold bare, TOML may not either, and DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
