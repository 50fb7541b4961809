"""The README works when pasted."""

from __future__ import annotations

import os
import re
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def echo_server():
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    return code


@pytest.fixture
def server_address(tmp_path):
    """The pasted server, running, as the address that it printed."""
    script = tmp_path / "server.py"
    script.write_text(echo_server(), encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, "-u", str(script)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            said = re.fullmatch(r"listening on \('(.*)', (\d+)\)\n", line)
            assert said is not None, line
            yield said[1], int(said[2])
            assert process.poll() is None, "the server ended"
        finally:
            process.kill()


def test_the_echo_server_is_about_twenty_lines():
    assert len([line for line in echo_server().splitlines() if line.strip()]) <= 20


def test_the_pasted_echo_server_serves(server_address):
    """It answers several clients at once, and survives one that resets its connection."""
    clients = [socket.create_connection(server_address, timeout=10) for _ in range(3)]
    rude = clients.pop()
    rude.sendall(b"x" * 1000)
    rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    rude.close()
    for number, client in enumerate(clients):
        payload = bytes([number]) * 100_000
        client.sendall(payload[:50_000])
        client.sendall(payload[50_000:])
        client.shutdown(socket.SHUT_WR)
        with client.makefile("rb") as stream:
            assert stream.read() == payload
        client.close()


def test_the_commands_of_the_readme_exist():
    """Every `reactorlab` verb and option that the README names is in the command's own help."""
    help_text = subprocess.run(
        [sys.executable, "-m", "harness", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    verbs = set(re.findall(r"\| `reactorlab (\w+)", README))
    assert verbs == {
        *("run", "list", "explain", "trace", "diverge", "explore", "mutants", "backends"),
        *("merge", "diff", "expect", "validate", "matrix", "simulate", "bench"),
    }
    for verb in verbs:
        assert re.search(rf"\b{verb}\b", help_text), verb
    run_help = subprocess.run(
        [sys.executable, "-m", "harness", "run", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for option in (
        "--backend",
        "--family",
        "-k",
        "--jobs",
        "--repeat",
        "--seed",
        "--out",
        "--json",
    ):
        assert option in README
        assert option in run_help
