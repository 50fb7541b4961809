"""`docs/template_backend.py` shows the seam as it is, and what is made from it runs."""

from __future__ import annotations

import ast
import inspect
import select

import pytest

import reactor
from docs.template_backend import TemplateBackend
from reactor import StreamSocket, System, Unsupported, backends
from reactor.backends.base import Backend
from reactor.descriptor import READ, WRITE


def seam():
    """The methods that stand in `Backend` under the ruler for what a backend gives."""
    source = inspect.getsource(Backend)
    first = source.index("# -- What a backend gives")
    last = source.index("# -- What all of them share")
    lines = range(source[:first].count("\n"), source[:last].count("\n"))
    (kind,) = ast.parse(source).body
    assert isinstance(kind, ast.ClassDef)
    return [
        node.name
        for node in kind.body
        if isinstance(node, ast.FunctionDef) and node.lineno in lines
    ]


def test_it_has_exactly_the_methods_of_the_seam():
    own = [name for name, value in vars(TemplateBackend).items() if inspect.isfunction(value)]
    assert sorted(own) == sorted(seam())


@pytest.mark.parametrize("name", seam())
def test_the_signatures_are_those_of_the_seam(name):
    assert inspect.signature(getattr(TemplateBackend, name)) == inspect.signature(
        getattr(Backend, name)
    )
    assert vars(TemplateBackend)[name].__doc__


def test_it_says_every_attribute_of_the_seam():
    annotated = set(inspect.get_annotations(Backend))
    assert {name for name in vars(TemplateBackend) if name in annotated} == annotated


def test_it_can_be_made_and_closed():
    backend = TemplateBackend(System(), waker="pipe")
    assert backend.spec == "template+pipe+timeout"
    assert backend.wait(0) == []
    backend.close()
    with pytest.raises(Unsupported):
        TemplateBackend(System()).open_timer("hourglass")


class AlwaysReady(TemplateBackend):
    """Ten lines: whatever is registered is called ready, a hundred times a second."""

    def wait(self, timeout):
        pause = 0.01 if timeout is None or self.descriptors else timeout
        if select.select([self.waker.fd], [], [], min(pause, 0.01))[0]:
            self.waker.drain()
        return [
            slot
            for descriptor in list(self.descriptors.values())
            for slot in descriptor.slots(READ | WRITE)
        ]


def test_an_always_ready_poller_runs_an_echo(monkeypatch):
    """Spurious reports are harmless: all that a poller must not do is leave one out."""

    async def echo(sock):
        with sock:
            while data := await sock.recv(100):
                await sock.sendall(data)

    async def main():
        with reactor.listen_tcp() as acceptor, reactor.timeout(20):
            async with reactor.TaskGroup() as group:
                connecting = group.spawn(reactor.connect_tcp, *acceptor.getsockname())
                group.spawn(echo, await acceptor.accept())
                with await connecting as client:
                    for size in (1, 50, 1000):
                        await client.sendall(bytes(size))
                        assert await client.recv_exactly(size) == bytes(size)
                    await reactor.sleep(0.001)
        return reactor.current_context().backend.spec

    monkeypatch.setattr(backends, "make", lambda spec, system: AlwaysReady(system, waker="pipe"))
    assert reactor.run(main) == "template+pipe+timeout"


def test_the_poller_that_does_nothing_hangs_a_receive(monkeypatch):
    """What is left out is never made up for by anybody else."""

    async def main():
        left, right = StreamSocket.pair()
        with left, right:
            await right.sendall(b"x")
            assert await left.recv(1) == b"x"  # by speculation
            task = reactor.current_context().spawn(left.recv, 1)
            await reactor.sleep(0)
            await reactor.sleep(0)
            await right.sendall(b"y")
            for _ in range(100):
                await reactor.sleep(0)
            assert not task.done
            task.cancel()

    monkeypatch.setattr(
        backends, "make", lambda spec, system: TemplateBackend(system, waker="pipe")
    )
    reactor.run(main)
