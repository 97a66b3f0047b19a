"""Shots painted by many machines: job bundles for farms, and one loop that hands chunks of frames to seats."""
