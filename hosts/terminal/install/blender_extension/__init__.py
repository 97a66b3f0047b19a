"""Blender's extension as one file, and its way into the Blender that is installed."""
