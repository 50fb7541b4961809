"""The explorer: the real scheduler under every interleaving of its threads.

`control` runs threads one at a time and asks a strategy before every step which goes on; `ground`
is what they stand on instead of an operating system; `track` makes every access to shared state of
the reactor a step; `search` runs every schedule and `state` tells when it has been there before;
`strategies` follow a plan; `programs` are what is explored, and `laws` says of which race each is.
"""
