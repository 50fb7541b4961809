"""Scenarios that end in every way there is."""

from __future__ import annotations

import faulthandler
import fcntl
import itertools
import os
import signal
import stat
import sys
import tempfile
import threading
from pathlib import Path

from toy_subject import HarnessBroke  # type: ignore[import-not-found]  # beside the folder

from harness.errors import ScenarioUnsupported
from harness.scenario import scenario

KEPT: list[int] = []


def toy(name, **more):
    def decorate(function):
        function.__doc__ = f"It {name.replace('-', ' ')}."
        return scenario(id=f"toy.{name}", law=1, provenance="the tests of the engine", **more)(
            function
        )

    return decorate


def descriptors(kind):
    """The numbers above 2 of open descriptors of a kind."""
    found = []
    for fd in range(3, 64):
        try:
            mode = os.fstat(fd).st_mode
        except OSError:
            continue
        if kind(mode):
            found.append(fd)
    return found


@toy("passes", permits={"loud": "some kernels shout"})
async def passes(lab):
    lab.event("begin")
    lab.event("end", repr(lab.axes))
    lab.report.variant = "loud"
    lab.report.info = {"random": lab.rng.random()}


@toy("fails")
async def fails(lab):
    lab.event("begin")
    raise AssertionError("one is not two")


@toy("says-it-is-unsupported")
async def unsupported(lab):
    raise ScenarioUnsupported("no such thing here")


@toy("breaks-the-harness")
async def breaks(lab):
    raise HarnessBroke("the lab fell over")


@toy("reports-nonsense")
async def nonsense(lab):
    lab.report.status = "SPLENDID"


@toy("breaks-an-oracle-of-the-lab")
async def oracle(lab):
    lab.report.oracles.append({"name": "no-lost-byte", "ok": False, "detail": "3 lost"})


@toy("hangs")
async def hangs(lab):
    lab.event("begin")
    lab.event("wait", "for ever")
    threading.Event().wait()


@toy("hangs-with-patience", patience=1.5)
async def hangs_with_patience(lab):
    threading.Event().wait()


@toy("makes-a-folder-and-hangs")
async def makes_folder(lab):
    tempfile.mkdtemp(prefix="lab-")
    threading.Event().wait()


@toy("spins")
async def spins(lab):
    while True:
        pass


@toy("spins-without-letting-go-of-the-lock")
async def spins_in_c(lab):
    sum(itertools.repeat(0))


@toy("ignores-signals-and-leaves-its-group")
async def escapes(lab):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.setpgid(0, os.getpgid(os.getppid()))
    threading.Event().wait()


@toy("aborts")
async def aborts(lab):
    lab.event("begin")
    os.abort()


@toy("is-killed")
async def killed(lab):
    os.kill(os.getpid(), signal.SIGKILL)


@toy("faults")
async def faults(lab):
    faulthandler._sigsegv()  # type: ignore[attr-defined]  # there, if not in the stubs


@toy("exits")
async def exits(lab):
    os._exit(0)


@toy("exits-with-7")
async def exits_with_7(lab):
    os._exit(7)


@toy("leaks-a-descriptor")
async def leaks(lab):
    KEPT.append(os.open(os.devnull, os.O_RDONLY))


@toy("drops-a-file")
async def drops(lab):
    cycle: list[object] = [Path(os.devnull).open()]  # noqa: SIM115 - the collector closes it
    cycle.append(cycle)


@toy("leaks-a-thread")
async def leaks_thread(lab):
    threading.Thread(target=threading.Event().wait, name="left-behind", daemon=True).start()


@toy("ends-a-thread-late")
async def late_thread(lab):
    threading.Thread(target=lambda: sum(range(100_000)), name="late", daemon=True).start()


@toy("closes-what-is-not-its-own")
async def closes(lab):
    os.close(descriptors(stat.S_ISREG)[0])


@toy("closes-everything")
async def closes_everything(lab):
    os.closerange(3, 64)


@toy("writes-garbage-into-the-result-pipe")
async def garbage(lab):
    for fd in descriptors(stat.S_ISFIFO):
        os.write(fd, b'{"kind": "end", "status": "PASS"}\nfoo')


@toy("prints")
async def prints(lab):
    print("to standard output")
    print("to standard error \udc80", file=sys.stderr)
    os.write(1, b"\xff straight to the descriptor\n")


@toy("prints-without-end")
async def prints_much(lab):
    print("first")
    for _ in range(300):
        print("x" * 1000)
    print("last")


@toy("prints-and-dies")
async def prints_and_dies(lab):
    print("last words")
    os.kill(os.getpid(), signal.SIGKILL)


@toy("records-much")
async def records(lab):
    for number in range(7000):
        lab.event("step", str(number))


@toy("passes-with-even-seeds")
async def flaky(lab):
    if lab.axes["seed"] % 2:
        raise AssertionError("odd")


@toy("leaves-a-process")
async def leaves_process(lab):
    lock = os.open(os.environ["TOY_LOCK"], os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    if os.fork() == 0:
        signal.pause()
    os.close(lock)


@toy("kills-the-fork-server")
async def kills_server(lab):
    os.kill(os.getppid(), signal.SIGKILL)
    lock = os.open(os.environ["TOY_LOCK"], os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    threading.Event().wait()


@toy("stops-the-fork-server")
async def stops_server(lab):
    os.kill(os.getppid(), signal.SIGSTOP)


@toy("only-informs", strictness="INFO")
async def informs(lab):
    raise AssertionError("for your information")


@toy("needs-a-thing-that-is-missing", needs=["present", "missing"])
async def needs_missing(lab):
    raise AssertionError("must not run")


@toy("needs-a-thing-that-is-there", needs=["present"])
async def needs_present(lab):
    pass


@toy("needs-what-nobody-probes", needs=["typo"])
async def needs_typo(lab):
    raise AssertionError("must not run")


@toy("takes-a-signal")
async def takes_signal(lab):
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
    signal.setitimer(signal.ITIMER_REAL, 0.001)
    signal.sigwait([signal.SIGALRM])  # waits for ever if the watchdog can take it


@toy("has-a-clean-process")
async def clean(lab):
    assert signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL
    assert signal.set_wakeup_fd(-1) == -1
    assert os.getpgid(0) == os.getpid()
    assert not descriptors(stat.S_ISSOCK), "the fork server's sockets are open in its child"
