"""The script for DaVinci Resolve Studio. Standard library and the bridge alone: it runs in the host's Python."""
