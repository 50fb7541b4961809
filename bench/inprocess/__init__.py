"""Loops measured from inside, without any I/O: each library in a process of its own."""
