"""Mutants: reactors with one thing broken, to see whether the laboratory notices.

A mutant is a small edit of the source of `reactor`, made in a copy that a child process imports
instead of the real one. The source itself is what is edited, so the explorer works on a mutant as
on the real thing, a mutant reads like a diff, and one whose place in the code has changed fails
loudly instead of breaking nothing.
"""
