"""Other interpreters and other machines: the same scenarios there, the results here as they come.

`spec` reads what ``--on`` says, `cargo` packs what a place needs, and `gather` runs them side by side,
each through a process of its own (`link`), so that one that hangs or dies costs only its own column.
At the place, `far` unpacks the cargo and `worker` is its engine; they do without execnet.
"""
