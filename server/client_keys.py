"""The keys that one connection over a network needs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClientKeys:
    """A client's pair and the public key of the server that it wants to reach, each as 40 letters of Z85."""

    public: bytes
    secret: bytes
    server: bytes
