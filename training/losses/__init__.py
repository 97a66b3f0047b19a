"""Losses: short free functions on (N, 3, H, W) tensors in working space, each returning a scalar."""
