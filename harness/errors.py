"""Errors of the harness itself; each is one line for the person at the command line."""

from __future__ import annotations


class HarnessError(Exception):
    """The harness was asked for something that it cannot do; the message says what is allowed."""


class ScenarioUnsupported(Exception):
    """Raised by a scenario, through its lab, when this machine cannot provoke what it needs."""
