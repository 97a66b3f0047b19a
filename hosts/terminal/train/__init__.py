"""`impasto train`: the commands that make styles, and what they share."""
