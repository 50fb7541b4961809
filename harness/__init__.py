"""The harness: runs identical scenarios against every backend, each in a process of its own."""
