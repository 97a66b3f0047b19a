"""The node for Nuke 13 to 17. Standard library and the bridge alone: these files run in the Python of the host."""
