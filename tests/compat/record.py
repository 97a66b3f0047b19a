"""Record how the messages of the wire are written today: `python -m tests.compat.record`.

It adds the recordings that are missing and leaves every other as it is. A recording that differs from what is written
today is a broken promise to programs that are in use; this command names it and changes nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from impasto.server.protocol.codec import encode
from tests.compat.samples import SAMPLES

FOLDER = Path(__file__).parent
MINOR = 5
"""Where a preamble says the minor version of whoever wrote it."""


def written_today() -> Iterator[tuple[Path, bytes]]:
    """Where each recording is, and the preamble and header that it must hold, the writer's minor as it was then."""
    for (minor, side), samples in SAMPLES.items():
        for name, message in samples.items():
            data = bytearray(b"".join(encode(message)))
            data[MINOR] = minor
            yield path_of(minor, side, name), bytes(data)


def path_of(minor: int, side: str, name: str) -> Path:
    """Where the message of this name is recorded."""
    return FOLDER / f"v1_{minor}" / side / f"{name}.message"


def main() -> int:
    """Add what is missing; 1 where a recording is not what is written today."""
    broken = 0
    for path, data in written_today():
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            print(f"recorded {path.relative_to(FOLDER)}")
        elif path.read_bytes() != data:
            broken = 1
            print(f"{path.relative_to(FOLDER)} is no longer written as it was; mend the codec or the message, not this")
    return broken


if __name__ == "__main__":
    sys.exit(main())
