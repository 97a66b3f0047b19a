"""Painted frames that are kept by their content, for all who paint on this machine."""
