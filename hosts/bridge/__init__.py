"""What the adapters of Nuke and Resolve share: running the `impasto` command, and the values around it.

Standard library and Python 3.7 alone, because these files run inside hosts that bring a Python of their own.
`impasto nuke install` and `impasto resolve install` copy them, under the same names, beside the adapter.
"""
