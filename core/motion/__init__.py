"""Motion vectors of renderers: their conventions, and the chained motion from a frame to a painted key."""
