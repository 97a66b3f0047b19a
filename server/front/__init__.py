"""The front: the process that owns the sockets, talks to clients and keeps the workers; never torch."""
