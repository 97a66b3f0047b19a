"""The painted keys that a style carries, and their paint where a plate shows what they show."""
