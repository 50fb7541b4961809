"""The example servers serve, on every backend of this machine, and end when they are told to."""

from __future__ import annotations

import contextlib
import http.client
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from reactor import backends

ROOT = Path(__file__).resolve().parents[1]
SPECS = [*backends.available(), *(["epoll+pipe"] if sys.platform == "linux" else [])]


@contextlib.contextmanager
def serving(example, *args):
    """Run an example; yields its process and its port, and checks that SIGTERM ends it cleanly."""
    with subprocess.Popen(
        [sys.executable, "-m", f"examples.{example}", *args],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            where = process.stdout.readline().strip()
            yield process, where
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=30)
            assert (process.returncode, said) == (0, "")
        finally:
            process.kill()


def rude_client(port):
    """Send half a request and reset the connection."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=10)
    sock.sendall(b"GET / HTTP/1.1\r\nHo")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


@pytest.mark.parametrize("spec", SPECS)
def test_the_http_server_answers(spec):
    """Keep-alive, chunks, a body both ways, and errors, all on connections that are used again."""
    with serving("http_h11", "--backend", spec) as (_, port):
        rude_client(int(port))
        connections = [http.client.HTTPConnection("127.0.0.1", int(port), timeout=30)] * 2
        body = bytes(range(256)) * 2000
        for client in connections:
            for method, path, sent, status, expected in (
                ("GET", "/", None, 200, b"Hello from the reactor.\n"),
                ("GET", "/chunked", None, 200, b"".join(b"line %d\n" % n for n in range(10))),
                ("POST", "/echo", body, 200, body),
                ("HEAD", "/", None, 200, b""),
            ):
                client.request(method, path, body=sent)
                answer = client.getresponse()
                assert (answer.status, answer.read()) == (status, expected), path
        client = connections[0]
        for method, path, status in (("GET", "/nowhere", 404), ("DELETE", "/", 405)):
            client.request(method, path)
            answer = client.getresponse()
            assert answer.status == status
            answer.read()
            client.close()
        client.close()


def test_a_body_that_is_too_large_is_refused_in_words():
    """The peer gets to read the answer although it has not been heard to the end."""
    with serving("http_h11") as (_, port):
        client = http.client.HTTPConnection("127.0.0.1", int(port), timeout=30)
        client.request("POST", "/echo", body=b"x" * (2 << 20))
        answer = client.getresponse()
        assert answer.status == 413
        assert b"1048576 bytes" in answer.read()
        client.close()


@pytest.mark.parametrize("spec", SPECS)
def test_the_echo_server_echoes(spec, tmp_path):
    """Over a Unix socket, to several clients at once; the path is gone afterwards."""
    path = tmp_path / "echo"
    with serving("echo", "--backend", spec, "--unix", str(path)) as (_, where):
        assert where == str(path)
        clients = []
        for number in range(5):
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(30)
            sock.connect(where)
            sock.sendall(bytes([number]) * 100_000)
            sock.shutdown(socket.SHUT_WR)
            clients.append(sock)
        for number, sock in enumerate(clients):
            with sock, sock.makefile("rb") as stream:
                assert stream.read() == bytes([number]) * 100_000
    assert not path.exists()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--backend", "epol"], "'epol'"),
        (["--host", "nowhere.invalid"], "echo.py: "),
        (["--port", "70000"], "70000"),
    ],
)
def test_a_mistake_is_one_line(args, words):
    done = subprocess.run(
        [sys.executable, "-m", "examples.echo", *args],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
