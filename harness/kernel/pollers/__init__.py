"""The pollers: epoll, kqueue, poll and select, each with the interface that `select` gives it."""
