"""Runs one of the servers: ``NAME [--receive BYTES] [--limit SECONDS] [--path PATH] [--datagrams]``."""

from __future__ import annotations

import argparse
from importlib import import_module

from . import SERVERS
from .settings import Settings


def main() -> None:
    """Serve until somebody ends the process."""
    default = Settings()
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=SERVERS)
    parser.add_argument("--receive", type=int, default=default.receive)
    parser.add_argument("--limit", type=float)
    parser.add_argument("--path")
    parser.add_argument("--datagrams", action="store_true")
    chosen = parser.parse_args()
    server = SERVERS[chosen.name]
    serve = server.datagrams if chosen.datagrams else server.serve
    if serve is None:
        parser.error(f"{chosen.name} has nothing for datagrams")
    where, *more = serve
    module, _, function = where.partition(":")
    settings = Settings(chosen.receive, chosen.limit, chosen.path)
    getattr(import_module(f".{module}", __package__), function)(settings, *more)


if __name__ == "__main__":
    main()
