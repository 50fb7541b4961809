"""Runs one of the servers: ``NAME [--receive BYTES] [--limit SECONDS] [--path PATH] [--http]``."""

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
    parser.add_argument("--http", action="store_true")
    chosen = parser.parse_args()
    end_with_input()
    where, *more = SERVERS[chosen.name].serve
    module, _, function = where.partition(":")
    settings = Settings(chosen.receive, chosen.limit, chosen.path, chosen.http)
    getattr(import_module(f".{module}", __package__), function)(settings, *more)


if __name__ == "__main__":
    main()
