"""The persistent render server, and the way to talk to it."""
