"""Record how the messages of the wire are written today: `python -m tests.compat.record`.

It adds the recordings that are missing and leaves every other as it is. A recording that differs from what is written
today is a broken promise to programs that are in use; this command names it and changes nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from impasto.server.protocol.codec import encode
from tests.compat.samples import CLIENTS, SERVERS

FOLDER = Path(__file__).parent / "v1_0"


def written_today() -> Iterator[tuple[Path, bytes]]:
    """Where each recording is, and the preamble and header that it must hold."""
    sides: dict[str, Any] = {"client": CLIENTS, "server": SERVERS}
    for side, samples in sides.items():
        for name, message in samples.items():
            yield FOLDER / side / f"{name}.message", b"".join(encode(message))


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
