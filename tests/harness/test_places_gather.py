"""Places at work: what comes back from them, and what one that fails costs."""

from __future__ import annotations

import getpass
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from harness import engine, environment
from harness.model import Run
from harness.places.gather import gather
from harness.places.spec import parse
from tests.harness.distant import ALL_PASS, run, statuses


def other_python():
    """Another interpreter of this machine that is new enough, this one's own binary if there is none."""
    for name in ("python3.15", "python3.14", "python3.13", "python3.12", "python3.11"):
        path = shutil.which(name)
        if path and Path(path).resolve() != Path(sys.executable).resolve():
            found = subprocess.run([path, "-c", ""], check=False, capture_output=True)
            if found.returncode == 0:
                return path
    return sys.executable


def test_places_run_the_same_and_say_where_they_are(demo, monkeypatch):
    """Two interpreters: the same scenarios, one seed, and results as they come."""
    monkeypatch.setattr(sys, "argv", ["reactorlab", "run"])
    runs = run(["popen", f"popen//python={other_python()}"], demo)
    for found in runs:
        assert statuses(found) == ALL_PASS
        assert found.exit_code == 0
        assert found.info.place["status"] == "complete"
        assert found.info.backend == "poll"
        assert found.info.platform == environment.platform_info()
        assert found.info.finished
        assert found.info.argv == ["reactorlab", "run"]
        spec = found.info.place["spec"]
        assert found.results[0].replay.startswith(f"reactorlab run --on {spec} --backend poll ")
        assert " --seed 7" in found.results[0].replay
    assert len({found.info.seed for found in runs}) == 1


def test_without_a_seed_all_places_get_the_same(demo_folder):
    asked = engine.RunOptions(
        spec="", scenarios_dir=demo_folder, jobs=1, ids=("demo.first", "demo.odd"), seed=None
    )
    runs = run(["popen", "popen"], asked)
    assert len({found.info.seed for found in runs}) == 1
    assert {found.info.backend for found in runs} <= {"epoll", "kqueue"}


needs_proc = pytest.mark.skipif(
    sys.platform != "linux", reason="finds the engine's process in /proc, and waits for it by pidfd"
)


@needs_proc
def test_a_place_that_is_killed_costs_only_its_own_column(demo):
    """The others are complete; what had come is kept; the rest is NOTRUN, and says why."""
    good, killed, other = run(["popen", "popen//env:DEMO_SIGNAL=SIGKILL", "popen"], demo)
    for found in (good, other):
        assert statuses(found) == ALL_PASS
        assert found.exit_code == 0
    assert statuses(killed) == ALL_PASS | dict.fromkeys(("marked", "last", "odd"), "NOTRUN")
    assert killed.info.place["status"] == "lost"
    assert killed.info.place["reason"].startswith("it went away")
    assert killed.info.backend == "poll"  # it had said so
    assert killed.exit_code == 1
    by_id = {result.id: result for result in killed.results}
    assert by_id["demo.last"].unexpected
    assert not by_id["demo.odd"].unexpected
    assert "went away" in by_id["demo.last"].reason
    assert "--on popen//env:DEMO_SIGNAL=SIGKILL" in by_id["demo.last"].replay


def ends(pid: int) -> bool:
    """Wait for the end of a process that is not our child; tells whether it came."""
    if sys.platform != "linux":
        raise AssertionError("only Linux has a descriptor for a process that is not a child")
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    ended, _, _ = select.select([process], [], [], 60)
    os.close(process)
    return bool(ended)


@needs_proc
def test_a_place_that_falls_silent_is_given_up(demo, tmp_path):
    """Its process is stopped, so that only its silence tells; it is not waited for, nor left behind."""
    file = tmp_path / "pid"
    spec = f"popen//env:DEMO_SIGNAL=SIGSTOP//env:DEMO_FILE={file}"
    (found,) = run([spec], demo, silence_s=3.0)
    assert found.info.place["status"] == "silent"
    assert statuses(found)["first"] == "PASS"
    assert statuses(found)["last"] == "NOTRUN"
    assert found.exit_code == 1
    assert ends(int(file.read_text(encoding="utf-8")))


def test_what_never_began_has_a_run_too(demo, tmp_path):
    """With the reason, an exit code, and a file that its schema allows."""
    (found,) = run([f"popen//python={tmp_path}/no-such-python"], demo)
    assert statuses(found) == dict.fromkeys(ALL_PASS, "NOTRUN")
    assert found.info.place["status"] == "lost"
    assert "no-such-python" in found.info.place["reason"]
    assert found.exit_code == 1
    found.save(tmp_path / "run.json")
    assert Run.load(tmp_path / "run.json").info.place == found.info.place


def test_what_an_interpreter_says_at_its_end_is_the_reason(demo, tmp_path):
    """A stand-in that writes to standard error and ends, as ssh does where nobody answers."""
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'nobody at home' >&2\nexit 1\n", encoding="utf-8")
    python.chmod(0o755)
    (found,) = run([f"popen//python={python}"], demo)
    assert found.info.place["status"] == "lost"
    assert found.info.place["reason"].endswith("nobody at home")


def test_what_a_place_cannot_run_it_refuses(demo_folder):
    """A backend that it lacks costs the column, with the place's own words."""
    lacking = "kqueue" if sys.platform == "linux" else "epoll"
    asked = engine.RunOptions(spec=lacking, scenarios_dir=demo_folder, jobs=1)
    (found,) = run(["popen"], asked)
    assert found.info.place["status"] == "refused"
    assert f"backend {lacking} is not available" in found.info.place["reason"]
    assert found.exit_code == 1


def test_ctrl_c_keeps_what_has_come(demo):
    """What has not is NOTRUN, and the processes are gone."""
    seen = []

    def interrupt(place, result):
        seen.append(result.id)
        raise KeyboardInterrupt

    (found,) = gather(parse(["popen"]), demo, interrupt)
    assert found.info.place["status"] == "interrupted"
    assert statuses(found)[seen[0].removeprefix("demo.")] == "PASS"
    assert "NOTRUN" in statuses(found).values()


def test_nothing_is_left_behind(demo, tmp_path, monkeypatch):
    """No process, and no file, also of a place that was killed."""
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", None)  # it remembers
    (tmp_path / "tmp").mkdir()
    run(["popen", "popen//env:DEMO_SIGNAL=SIGKILL"], demo)
    assert list((tmp_path / "tmp").iterdir()) == []


# -- ssh


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.fixture
def sshd(tmp_path):
    """An ssh server of our own on loopback, on an unprivileged port, with keys made for it; its spec."""
    server = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
    if server is None or shutil.which("ssh") is None:
        pytest.skip("there is no sshd here")
    tmp_path.chmod(0o700)
    for name in ("host", "user"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)], check=True
        )
    port = free_port()
    (tmp_path / "sshd_config").write_text(
        f"""Port {port}
ListenAddress 127.0.0.1
HostKey {tmp_path}/host
AuthorizedKeysFile {tmp_path}/user.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
""",
        encoding="utf-8",
    )
    known = (tmp_path / "host.pub").read_text(encoding="utf-8")
    (tmp_path / "known").write_text(f"[127.0.0.1]:{port} {known}", encoding="utf-8")
    (tmp_path / "ssh_config").write_text(
        f"""Host box
HostName 127.0.0.1
Port {port}
User {getpass.getuser()}
IdentityFile {tmp_path}/user
IdentitiesOnly yes
UserKnownHostsFile {tmp_path}/known
""",
        encoding="utf-8",
    )
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where it insists on locking itself up
    log = tmp_path / "log"
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            [server, "-D", "-e", "-f", str(tmp_path / "sshd_config")], stderr=errors
        ) as process,
    ):
        try:
            wait_for(port, process, log)
            # One that is killed there leaves its cargo: in the test's own folder.
            yield (
                f"ssh=box//ssh_config={tmp_path}/ssh_config//python={sys.executable}"
                f"//env:TMPDIR={tmp_path}"
            )
        finally:
            process.kill()


def wait_for(port, process, log):
    """Return when somebody accepts on the port; there is no other sign that a server is up."""
    deadline = time.monotonic() + 60
    while True:
        assert process.poll() is None, log.read_text()
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
                assert sock.recv(4) == b"SSH-"
                return
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.01)


@needs_proc
def test_a_machine_over_ssh_is_a_place(sshd, demo):
    """Beside one that is killed: it is complete, with its own name; the other is marked."""
    here, there, killed = run(["popen", sshd, f"{sshd}//id=killed//env:DEMO_SIGNAL=SIGKILL"], demo)
    for found in (here, there):
        assert statuses(found) == ALL_PASS, found.info.place
        assert found.exit_code == 0
    assert there.info.place["name"].startswith("box-python")
    assert killed.info.place["status"] == "lost"
    assert statuses(killed)["first"] == "PASS"
    assert killed.exit_code == 1


def test_a_machine_that_nobody_answers_on_is_lost(demo):
    (found,) = run([f"ssh=-p {free_port()} 127.0.0.1"], demo)
    assert found.info.place["status"] == "lost"
    assert "cannot be reached" in found.info.place["reason"]


def test_a_machine_that_nobody_answers_on_is_lost_however_early_ssh_ends():
    """Its end breaks the pipe where it comes before the greeting: once in some hundred runs."""
    program = """
import execnet
from harness.places import link

def ended(group, spec):
    raise BrokenPipeError(32, "Broken pipe")

execnet.Group.makegateway = ended
link.main("ssh=127.0.0.1", "cargo")
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("{}\n")
        process.stdin.flush()
        said = json.loads(process.stdout.readline())
    assert said == {"kind": "lost", "reason": "it cannot be reached"}
