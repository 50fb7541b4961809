"""Runs one of the servers: ``NAME`` and the options below, which are those of `Settings`."""

from __future__ import annotations

import argparse
from importlib import import_module

from . import SERVERS
from .lifeline import end_with_input
from .settings import Settings


def main() -> None:
    """Serve until somebody ends the process, or its input."""
    default = Settings()
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=SERVERS)
    parser.add_argument("--receive", type=int, default=default.receive)
    parser.add_argument("--limit", type=float)
    parser.add_argument("--path")
    serves = parser.add_mutually_exclusive_group()
    serves.add_argument("--http", action="store_true")
    serves.add_argument("--datagrams", action="store_true")
    chosen = parser.parse_args()
    end_with_input()
    server = SERVERS[chosen.name]
    serve = server.datagrams if chosen.datagrams else server.serve
    if serve is None:
        parser.error(f"{chosen.name} has nothing for datagrams")
    where, *more = serve
    module, _, function = where.partition(":")
    settings = Settings(chosen.receive, chosen.limit, chosen.path, chosen.http)
    getattr(import_module(f".{module}", __package__), function)(settings, *more)


if __name__ == "__main__":
    main()
