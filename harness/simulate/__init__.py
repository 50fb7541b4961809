"""Whole programs over the reactor's public API, on the simulated kernel.

`draw` makes them from a seed, `play` runs one and holds it to the laws, `shorten` makes a failing
one short, and `search` does that for many. docs/simulation.md says how to read what comes out.
"""

from __future__ import annotations

from .draw import draw
from .player import Outcome, play
from .program import GROUPS, Program, Step
from .shrink import shorten

__all__ = ["GROUPS", "Outcome", "Program", "Step", "draw", "play", "shorten"]
