"""What is explored: small programs, each around one race of the scheduler's signalling.

A module for each kind of race; importing it puts its programs on the list.
"""

from . import closing, descriptors, posting, scopes, strands, timers, waiting  # noqa: F401 - see above
from .registry import PROGRAMS, Program, get

__all__ = ["PROGRAMS", "Program", "get"]
