"""Thin adapters: what an artist's host needs to reach the engine, and nothing more."""
