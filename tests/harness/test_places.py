"""Other interpreters and machines: what is sent there, what comes back, and what one that fails costs."""

from __future__ import annotations

import getpass
import io
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import pytest

from harness import engine
from harness.cli import main
from harness.errors import HarnessError
from harness.model import Run, Status
from harness.places import cargo, far, worker
from harness.places.gather import gather
from harness.places.spec import Place, parse

ROOT = Path(__file__).resolve().parents[2]

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


@pytest.fixture
def folder(tmp_path):
    """A small catalogue, in which a place can be told to end itself."""
    made = tmp_path / "scenarios"
    made.mkdir()
    (made / "demo.py").write_text(SCENARIOS, encoding="utf-8")
    return made


@pytest.fixture
def options(folder):
    return engine.RunOptions(spec="poll", scenarios_dir=folder, jobs=1, seed=7)


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


def other_python():
    """Another interpreter of this machine that is new enough, this one's own binary if there is none."""
    for name in ("python3.15", "python3.14", "python3.13", "python3.12", "python3.11"):
        path = shutil.which(name)
        if path and Path(path).resolve() != Path(sys.executable).resolve():
            found = subprocess.run([path, "-c", ""], check=False, capture_output=True)
            if found.returncode == 0:
                return path
    return sys.executable


# -- What --on says


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("popen", "popen"),
        ("popen//python=/usr/bin/python3.12", "popen-python3.12"),
        ("popen//python=python3.14t -X dev", "popen-python3.14t"),
        ("ssh=me@bsd", "me@bsd"),
        ("ssh=-p 2222 -i key me@bsd.example//python=python3.11", "me@bsd.example-python3.11"),
        ("ssh=me@bsd//id=the box/under my desk", "the-box-under-my-desk"),
        ("popen//env:A=b//nice=5//id=..", "place"),
    ],
)
def test_a_place_has_a_name_that_is_good_for_a_folder(spec, name):
    assert parse([spec]) == [Place(name, spec)]


def test_places_of_one_kind_are_told_apart():
    assert [place.name for place in parse(["popen", "popen", "popen"])] == [
        "popen",
        "popen-2",
        "popen-3",
    ]


@pytest.mark.parametrize(
    "specs",
    [
        [""],
        ["//"],
        ["nonsense"],
        ["popen=yes"],
        ["ssh"],
        ["ssh="],
        ["popen//ssh=host"],
        ["popen//python"],
        ["popen//popen"],
        ["socket=localhost:8888"],
        ["popen//via=x"],
        ["popen//_x=1"],
        ["popen//id=a", "popen//id=a"],
    ],
)
def test_a_malformed_place_is_one_line_and_exit_code_2(specs, capsys):
    with pytest.raises(HarnessError):
        parse(specs)
    arguments = [word for spec in specs for word in ("--on", spec)]
    assert main(["run", "--family", "close", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"reactorlab: --on {specs[-1]}")
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize("more", [["--silence", "0"], ["--silence", "nan"], ["--repeat", "0"]])
def test_other_mistakes_are_found_before_anything_is_started(more, capsys):
    assert main(["run", "--family", "close", "--on", "popen", *more]) == 2
    assert capsys.readouterr().err.count("\n") == 1


# -- What is sent


def test_the_cargo_has_the_packages_and_the_catalogue(folder, tmp_path):
    """With another catalogue and another expectation file in place of the project's."""
    other = tmp_path / "other.toml"
    other.write_text("# other\n", encoding="utf-8")
    for packed, scenario, expectations in (
        (cargo.pack(), "cancel.py", None),
        (cargo.pack(folder, other), "demo.py", "# other\n"),
    ):
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            names = archive.namelist()
            assert len(set(names)) == len(names)
            assert {"reactor/__init__.py", "harness/engine.py", "harness/matrix.toml"} <= set(names)
            assert f"harness/_scenarios/{scenario}" in names
            assert not [name for name in names if "__pycache__" in name]
            if expectations is not None:
                text = archive.read("harness/_scenarios/expectations.toml").decode()
                assert text == expectations


BARE = """
import json, sys
sys.path.insert(0, sys.argv[1])
from harness.places import worker
worker.run(json.loads(sys.argv[2]), lambda message: print(json.dumps(message)))
"""


def test_a_bare_interpreter_is_enough(tmp_path, folder):
    """The engine of the cargo needs nothing but the standard library."""
    with zipfile.ZipFile(io.BytesIO(cargo.pack(folder))) as archive:
        archive.extractall(tmp_path / "there")
    order = worker.order(engine.RunOptions(spec="poll", seed=7, jobs=1, ids=("demo.first",)))
    said = subprocess.run(
        [
            sys.executable,
            *("-I", "-S", "-c", BARE),
            str(tmp_path / "there"),
            json.dumps(order),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert said.returncode == 0, said.stderr
    kinds = [json.loads(line)["kind"] for line in said.stdout.splitlines()]
    assert kinds == ["begin", "result", "end"]


class OldChannel:
    """A channel to a place, as seen from there."""

    def __init__(self):
        self.inbox = ["{}", b""]
        self.outbox: list[dict[str, str]] = []

    def receive(self):
        return self.inbox.pop(0)

    def send(self, text):
        self.outbox.append(json.loads(text))


def test_an_old_python_refuses(monkeypatch):
    """Before it reads anything that it could not compile; what it reads first, any Python 3 can."""
    channel = OldChannel()
    monkeypatch.setattr(sys, "version_info", (3, 8, 18, "final", 0))
    far.main(channel)
    assert channel.outbox == [{"kind": "refused", "reason": "Python 3.8 is too old; it takes 3.11"}]
    compile(Path(far.__file__).read_text(encoding="utf-8"), "far", "exec", dont_inherit=True)


# -- What comes back


def test_places_run_the_same_and_say_where_they_are(options):
    """Two interpreters: the same scenarios, one seed, and results as they come."""
    runs = run(["popen", f"popen//python={other_python()}"], options)
    for found in runs:
        assert statuses(found) == ALL_PASS
        assert found.exit_code == 0
        assert found.info.place["status"] == "complete"
        assert found.info.backend == "poll"
        assert found.info.platform["os"] == sys.platform
        assert found.info.finished
        assert found.info.argv == sys.argv
        spec = found.info.place["spec"]
        assert found.results[0].replay.startswith(f"reactorlab run --on {spec} --backend poll ")
        assert " --seed 7" in found.results[0].replay
    assert len({found.info.seed for found in runs}) == 1


def test_without_a_seed_all_places_get_the_same(folder):
    asked = engine.RunOptions(
        spec="", scenarios_dir=folder, jobs=1, ids=("demo.first", "demo.odd"), seed=None
    )
    runs = run(["popen", "popen"], asked)
    assert len({found.info.seed for found in runs}) == 1
    assert {found.info.backend for found in runs} <= {"epoll", "kqueue"}


needs_proc = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="finds the engine's process in /proc"
)


@needs_proc
def test_a_place_that_is_killed_costs_only_its_own_column(options):
    """The others are complete; what had come is kept; the rest is NOTRUN, and says why."""
    good, killed, other = run(["popen", "popen//env:DEMO_SIGNAL=SIGKILL", "popen"], options)
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


@needs_proc
def test_a_place_that_falls_silent_is_given_up(options, tmp_path):
    """Its process is stopped, so that only its silence tells; it is not waited for, nor left behind."""
    file = tmp_path / "pid"
    spec = f"popen//env:DEMO_SIGNAL=SIGSTOP//env:DEMO_FILE={file}"
    (found,) = run([spec], options, silence_s=3.0)
    assert found.info.place["status"] == "silent"
    assert statuses(found)["first"] == "PASS"
    assert statuses(found)["last"] == "NOTRUN"
    assert found.exit_code == 1
    try:
        process = os.pidfd_open(int(file.read_text(encoding="utf-8")))
    except ProcessLookupError:
        return
    ended, _, _ = select.select([process], [], [], 60)
    os.close(process)
    assert ended


def test_what_never_began_has_a_run_too(options, tmp_path):
    """With the reason, an exit code, and a file that its schema allows."""
    (found,) = run([f"popen//python={tmp_path}/no-such-python"], options)
    assert statuses(found) == dict.fromkeys(ALL_PASS, "NOTRUN")
    assert found.info.place["status"] == "lost"
    assert "no-such-python" in found.info.place["reason"]
    assert found.exit_code == 1
    found.save(tmp_path / "run.json")
    assert Run.load(tmp_path / "run.json").info.place == found.info.place


def test_what_an_interpreter_says_at_its_end_is_the_reason(options, tmp_path):
    """A stand-in that writes to standard error and ends, as ssh does where nobody answers."""
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'nobody at home' >&2\nexit 1\n", encoding="utf-8")
    python.chmod(0o755)
    (found,) = run([f"popen//python={python}"], options)
    assert found.info.place["status"] == "lost"
    assert found.info.place["reason"].endswith("nobody at home")


def test_what_a_place_cannot_run_it_refuses(folder):
    """A backend that it lacks costs the column, with the place's own words."""
    lacking = "kqueue" if sys.platform == "linux" else "epoll"
    asked = engine.RunOptions(spec=lacking, scenarios_dir=folder, jobs=1)
    (found,) = run(["popen"], asked)
    assert found.info.place["status"] == "refused"
    assert f"backend {lacking} is not available" in found.info.place["reason"]
    assert found.exit_code == 1


def test_ctrl_c_keeps_what_has_come(options):
    """What has not is NOTRUN, and the processes are gone."""
    seen = []

    def interrupt(place, result):
        seen.append(result.id)
        raise KeyboardInterrupt

    (found,) = gather(parse(["popen"]), options, interrupt)
    assert found.info.place["status"] == "interrupted"
    assert statuses(found)[seen[0].removeprefix("demo.")] == "PASS"
    assert "NOTRUN" in statuses(found).values()


def test_nothing_is_left_behind(options, tmp_path, monkeypatch):
    """No process, and no file, also of a place that was killed."""
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", None)  # it remembers
    (tmp_path / "tmp").mkdir()
    run(["popen", "popen//env:DEMO_SIGNAL=SIGKILL"], options)
    assert list((tmp_path / "tmp").iterdir()) == []


# -- The command


def test_the_command_leaves_a_folder_for_each_place_and_one_listing(folder, tmp_path, capsys):
    out = tmp_path / "out"
    code = main(
        [
            *("run", "--backend", "poll", "--jobs", "1", "--scenarios-dir", str(folder)),
            *("--on", "popen", "--on", f"popen//id=gone//python={tmp_path}/none"),
            *("--out", str(out)),
        ]
    )
    captured = capsys.readouterr()
    assert code == 1
    assert {path.name for path in out.iterdir()} == {"popen", "gone", "places.md"}
    assert Run.load(out / "popen").exit_code == 0
    assert Run.load(out / "gone").info.place["status"] == "lost"
    listed = (out / "places.md").read_text(encoding="utf-8")
    assert "[popen](popen/index.html)" in listed
    assert "gone was lost" in listed
    assert "gone was lost" in " ".join(captured.out.split())
    assert (out / "gone/summary.md").read_text(encoding="utf-8").count("gone was lost") >= 1


def test_json_is_a_list_of_runs(folder, capsys):
    assert (
        main(
            [
                *("run", "--backend", "poll", "--jobs", "1", "--scenarios-dir", str(folder)),
                *("--on", "popen", "--json", "-k", "demo.first"),
            ]
        )
        == 0
    )
    (only,) = json.loads(capsys.readouterr().out)
    assert Run.from_json(only).results[0].id == "demo.first"


def test_nothing_that_matches_starts_nothing(folder, capsys):
    arguments = ("run", "--scenarios-dir", str(folder), "--on", "popen", "-k", "nihil")
    assert main([*arguments]) == 3
    assert capsys.readouterr().err.count("\n") == 1


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
def test_a_machine_over_ssh_is_a_place(sshd, options):
    """Beside one that is killed: it is complete, with its own name; the other is marked."""
    here, there, killed = run(
        ["popen", sshd, f"{sshd}//id=killed//env:DEMO_SIGNAL=SIGKILL"], options
    )
    for found in (here, there):
        assert statuses(found) == ALL_PASS, found.info.place
        assert found.exit_code == 0
    assert there.info.place["name"].startswith("box-python")
    assert killed.info.place["status"] == "lost"
    assert statuses(killed)["first"] == "PASS"
    assert killed.exit_code == 1


def test_a_machine_that_nobody_answers_on_is_lost(options):
    (found,) = run([f"ssh=-p {free_port()} 127.0.0.1"], options)
    assert found.info.place["status"] == "lost"
    assert "cannot be reached" in found.info.place["reason"]
