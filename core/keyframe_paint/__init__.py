"""Painted keys in a style, and their own paint where a plate shows what they show."""
