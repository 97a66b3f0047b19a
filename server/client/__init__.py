"""The way for a host to have frames and shots painted: connect or launch, submit, await, cancel."""

from impasto.server.client.client import Client
from impasto.server.client.futures import FrameFuture, FrameResult, ShotFuture

__all__ = ["Client", "FrameFuture", "FrameResult", "ShotFuture"]
