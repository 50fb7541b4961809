"""The project's own catalogue: what it has, and the rules that its scenarios keep."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any

import pytest

from harness import capabilities, scenario
from harness.scenario import LAWS

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Every row of the families that the catalogue began with; a scenario may be added, none may go.
ROWS = {
    "cancel": (
        "accept-keeps-connection",
        "armed-in-callback",
        "batch-mate",
        "before-wait",
        "completion-already-queued",
        "connect-releases-fd",
        "data-in-same-turn",
        "from-other-thread",
        "idempotent",
        "inline-completion",
        "one-direction-only",
        "one-of-many-waiters",
        "partial-send",
        "pending-recv",
        "pre-cancelled",
        "retry-same-tick",
        "shutdown-flag-crash",
        "shutdown-with-parked-ops",
        "tie-with-deadline",
    ),
    "partial": (
        "duplex-no-deadlock",
        "eintr",
        "eof-behind-data",
        "et-residue",
        "exact-fill-then-eof",
        "gather-resume",
        "iov-max",
        "no-read-without-recv",
        "over-int-max",
        "pollhup-short-read",
        "read-write-same-event",
        "rearm-after-false-ready",
        "reset-behind-data",
        "second-waiter",
        "send-all-tiny",
        "send-order",
        "writability-threshold",
        "zero-byte-recv",
        "zero-byte-send",
    ),
    "accept": (
        "aborted-connection",
        "aborted-option-einval",
        "aborted-then-good",
        "addrlen-zero",
        "backlog-overflow",
        "burst",
        "close-while-pending",
        "emfile-backoff",
        "emfile-no-lost-listener",
        "fairness",
        "flags-normalised",
        "not-listening",
        "pending-before-start",
        "pending-network-error",
        "stolen-connection",
        "stop-race",
        "unix-peer-address",
        "waiters-fifo",
    ),
    "timer": (
        "cancel-in-callback",
        "cancel-self-in-callback",
        "cancelled-head",
        "capped-wait-is-silent",
        "clock-jump",
        "deadline-order-when-late",
        "earlier-than-current-sleep",
        "far-future",
        "idle-no-fds",
        "infinite",
        "io-flood-starvation",
        "kernel-timer-drained",
        "kernel-timer-stale",
        "mass",
        "never-early",
        "never-early-live",
        "no-spin-before-deadline",
        "past-deadline",
        "rearm-zero-in-callback",
        "reschedule",
        "resolution",
        "run-for-bound",
        "same-deadline-fifo",
        "shutdown-owned",
        "signal-storm",
        "timeout-and-io-same-turn",
        "timerfd-zero",
        "zero-delay-yields",
    ),
}

#: The same of the families that came later.
LATER = {
    "wake": (
        "add-interest-while-waiting",
        "arm-in-callback",
        "cloexec",
        "coalescing-flag",
        "exception-keeps-batch",
        "fork-child",
        "mechanism-parity",
        "no-spin-after",
        "post-flood-vs-io",
        "post-from-thread",
        "reentrant-run",
        "remove-interest-while-waiting",
        "run-does-not-return-early",
        "run-returns-when-idle",
        "self-post",
        "send-after-close",
        "stop-before-run",
        "stop-from-thread",
        "storm",
        "thundering-herd",
        "two-loops-one-fd",
    ),
    "stress": ("everything-at-once",),
    "close": ("dup-keeps-registration",),
    "connect": ("refused-not-success",),
    "datagram": (
        "burst",
        "close",
        "empty",
        "no-room",
        "order",
        "receive-cancel",
        "refused",
        "too-big",
        "truncation",
    ),
}

#: Added to the first families since: without them a mutant survived (see docs/mutants.md).
ADDED = {
    "cancel": ("false-readiness", "handed-over-turn", "partial-receive"),
    "partial": ("failed-send", "unix-ancillary-boundary"),
    "timer": ("set-anew",),
}

CATALOGUE = scenario.load()
FILES = sorted(CATALOGUE.folder.glob("*.py"))
ALL = [pytest.param(item, id=item.id) for item in CATALOGUE]


@pytest.mark.parametrize(
    ("family", "names"),
    [item for part in (ROWS, LATER, ADDED) for item in part.items()],
)
def test_no_row_of_a_family_is_missing(family, names):
    rows = {f"{family}.{row}" for row in names}
    assert rows - {item.id for item in CATALOGUE} == set()
    assert {CATALOGUE.get(row).family for row in rows} == {family}


def test_the_rows_are_84():
    assert sum(len(set(rows)) for rows in ROWS.values()) == 84


@pytest.mark.parametrize("item", ALL)
def test_every_scenario_has_a_law_a_provenance_and_reasons(item):
    assert 1 <= item.law <= LAWS
    assert len(item.provenance) > 10, "more than a word, so that it can be looked up"
    assert item.law_text.endswith("."), "the law is a sentence"
    for variant, reason in item.permits.items():
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", variant)
        assert len(reason) > 10


def test_every_law_is_known():
    contract = CATALOGUE.folder.parent / "docs" / "contract.md"
    numbers = re.findall(r"^(\d+)\. \*\*", contract.read_text(encoding="utf-8"), re.MULTILINE)
    assert numbers == [str(number) for number in range(1, LAWS + 1)]


def test_every_need_is_probed():
    probed = {item.name for item in capabilities.probe("select")}
    assert {name for item in CATALOGUE for name in item.needs} <= probed


def test_every_variant_is_seen_by_its_scenario():
    """A permit that the code does not give is a permit for nothing."""
    for item in CATALOGUE:
        file = CATALOGUE.folder / item.source.partition(":")[0]
        source = file.read_text(encoding="utf-8")
        for variant in item.permits:
            assert source.count(f'"{variant}"') >= 2, (item.id, variant)


# -- No scenario names a backend

BACKENDS = ("epoll", "kqueue", "kevent", "poll", "select", "selectors")
PLATFORMS = ("linux", "darwin", "macos", "freebsd", "netbsd", "openbsd", "dragonfly", "win32")

#: Attributes by which a scenario could ask what it runs on.
QUESTIONS = ("backend", "spec", "platform", "uname", "edge_triggered")


def named(source: str) -> Iterator[tuple[int, str]]:
    """Find where a scenario module names a backend or a platform, or asks for one.

    Prose may: docstrings, comments, provenance and the reasons of permits.
    """
    tree = ast.parse(source)
    prose: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                prose.update(ast.walk(first))
        if isinstance(node, ast.keyword) and node.arg in {"provenance", "title"}:
            prose.update(ast.walk(node.value))
        if isinstance(node, ast.keyword) and node.arg == "permits":
            assert isinstance(node.value, ast.Dict)
            for value in node.value.values:
                prose.update(ast.walk(value))
    for node in ast.walk(tree):
        if node not in prose:
            for word in _words(node):
                yield getattr(node, "lineno", 0), word


def _words(node: ast.AST) -> Iterator[str]:
    found: Any = None
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield from _told(alias.name.partition(".")[0], (*BACKENDS, "platform"))
    elif isinstance(node, ast.ImportFrom):
        for name in ((node.module or "").split(".")[0], *(alias.name for alias in node.names)):
            yield from _told(name, (*BACKENDS, "platform", "backends"))
    elif isinstance(node, ast.Name):
        yield from _told(node.id, BACKENDS)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        found = node.func
        # `context.poll()` runs what can run without waiting: a method of the library.
        if found.attr == "poll" and not (
            isinstance(found.value, ast.Name) and found.value.id == "context"
        ):
            yield "poll"
    elif isinstance(node, ast.Attribute):
        yield from _told(node.attr, (*BACKENDS, *QUESTIONS), but=("poll",))
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        for word in re.findall(r"[a-z0-9]+", node.value.lower()):
            yield from _told(word, (*BACKENDS, *PLATFORMS))


def _told(name: str, words: tuple[str, ...], but: tuple[str, ...] = ()) -> Iterator[str]:
    if (name in words and name not in but) or name.startswith(("EPOLL", "KQ_")):
        yield name


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_no_scenario_names_a_backend_or_a_platform(file):
    assert list(named(file.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ('"""epoll and kqueue in prose."""\nx = 1  # poll\n', []),
        ('async def f(lab):\n    """On select."""\n    await lab.settle()\n', []),
        ('@scenario(id="a.b", provenance="epoll(7)", permits={"x": "on kqueue"})\ndef f(): 0', []),
        ("context.poll()", []),
        ("selected = polls = x.selection", []),
        ('x = "the selected ones, polled"', []),
        ("import select", ["select"]),
        ("import selectors, os", ["selectors"]),
        ("import platform", ["platform"]),
        ("from select import epoll", ["select", "epoll"]),
        ("from reactor.backends import epoll", ["epoll"]),
        ("from reactor import backends", ["backends"]),
        ("poll = 1", ["poll"]),
        ("select.epoll()", ["epoll", "select"]),
        ("select.EPOLLIN", ["EPOLLIN", "select"]),
        ("lab.poll()", ["poll"]),
        ("lab.context.poll()", ["poll"]),
        ("if lab.subject.context.backend: 0", ["backend"]),
        ("sys.platform", ["platform"]),
        ("os.uname()", ["uname"]),
        ("x == 'epoll'", ["epoll"]),
        ("x = 'epoll'", ["epoll"]),
        ("x == 'epoll+pipe'", ["epoll"]),
        ("x.startswith('darwin')", ["darwin"]),
        ("f'on {x} with kqueue'", ["kqueue"]),
        ('@scenario(id="a.b", needs=("epoll",))\ndef f(): 0', ["epoll"]),
        ('@scenario(id="timer.poll")\ndef f(): 0', ["poll"]),
        ('@scenario(permits={"epoll": "prose"})\ndef f(): 0', ["epoll"]),
    ],
)
def test_the_search_for_names_finds_them(source, words):
    assert sorted(word for _, word in named(source)) == sorted(words)


# -- No scenario calls the operating system: it asks the lab's world, which may be a simulated one

#: Modules that reach the operating system. Constants of them, in capitals, are not calls.
SYSTEM_MODULES = {
    *("fcntl", "os", "pty", "resource", "select", "selectors", "signal", "socket", "subprocess"),
    *("tempfile", "threading", "time", "tty", "pathlib", "io", "asyncio", "concurrent"),
}
#: What may be used all the same, with the reason.
USED = {
    ("timer.py", "time.time"): "it is replaced, to see that nobody asks it",
    ("partial.py", "socket.socket"): "a type",
}


def system_calls(source: str) -> set[str]:
    """What a module uses of `SYSTEM_MODULES`, constants aside."""
    tree = ast.parse(source)
    found = set()
    modules: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.asname or alias.name: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found |= {
                f"{node.module}.{alias.name}"
                for alias in node.names
                if str(node.module).partition(".")[0] in SYSTEM_MODULES and not alias.name.isupper()
            }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module = modules.get(node.value.id, "")
            if module.partition(".")[0] in SYSTEM_MODULES and not node.attr.isupper():
                found.add(f"{module}.{node.attr}")
        elif isinstance(node, ast.Name) and node.id == "open":
            found.add("open")
    return found


def test_no_scenario_calls_the_operating_system():
    found = {
        (file.name, name)
        for file in FILES
        for name in system_calls(file.read_text(encoding="utf-8"))
    }
    assert found == set(USED)


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("async def f(lab):\n    await lab.subject.sleep(1)\n    await reactor.sleep(1)\n", set()),
        ("import time\nasync def f(lab):\n    time.sleep(1)\n", {"time.sleep"}),
        ("import time as t\nasync def f(lab):\n    lab.thread(t.sleep, 1)\n", {"time.sleep"}),
        ("from time import sleep as nap\nnap(1)\n", {"time.sleep"}),
        ("from reactor import sleep\nsleep(1)\n", set()),
        ("import socket\nx = socket.AF_UNIX\n", set()),
        ("import socket\nx = socket.socket()\n", {"socket.socket"}),
        ("open('x')", {"open"}),
    ],
)
def test_the_search_for_system_calls_finds_them(source, names):
    assert system_calls(source) == names
