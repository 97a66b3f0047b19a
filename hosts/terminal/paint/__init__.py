"""`impasto paint`: keys of a shot in the way of a painting."""
