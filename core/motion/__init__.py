"""The motion vectors of renderers: how they are read, and the way over them from a frame to a painted key."""
