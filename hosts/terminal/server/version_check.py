"""A server of another version than this command, in words.

Within a major version of the protocol the two work together. So an old server would go on painting after an upgrade.
"""

from __future__ import annotations

import re
from importlib.metadata import version


def own_version() -> str:
    """What a server of this installation calls itself."""
    return f"impasto {version('impasto')}"


def numbers_in(text: str) -> tuple[int, ...]:
    """'2.13.0+cpu' as (2, 13, 0), for comparison."""
    return tuple(int(number) for number in re.findall(r"\d+", text.partition("+")[0])[:3])


def is_older(server: str) -> bool:
    """Whether the version that a server reports is before this command's."""
    return numbers_in(server) < numbers_in(own_version())


def version_note(server: str, *, local: bool) -> str | None:
    """A warning for a user whose server is of another version, None where it is of this one."""
    own = own_version()
    if server == own:
        return None
    facts = f"the server is {server}, this command is {own}"
    if not local:
        return f"{facts}; upgrade the older of the two"
    if is_older(server):
        return f"{facts}: it was started before the upgrade; run `impasto stop`, the next render starts the new one"
    return f"{facts}; upgrade this installation, or run `impasto stop` and the next render here starts its own"
