"""Benchmarks: what the network, a shot and a large frame cost on this machine. Run by `make bench`."""
