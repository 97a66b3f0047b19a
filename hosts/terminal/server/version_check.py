"""A server of another version than this command: said once, or replaced where nobody needs it.

Within a major version of the protocol the two get along, so that after an upgrade the old server would go on painting.
"""

from __future__ import annotations

import re
from importlib.metadata import version

from impasto.core.errors import ServerError

PATIENCE_S = 5.0
"""How long an idle server may take to leave."""


def own_version() -> str:
    """What a server of this installation calls itself."""
    return f"impasto {version('impasto')}"


def numbers_in(text: str) -> tuple[int, ...]:
    """'2.13.0+cpu' as (2, 13, 0), for comparison."""
    return tuple(int(number) for number in re.findall(r"\d+", text.partition("+")[0])[:3])


def is_older(server: str) -> bool:
    """Whether a server's version, as it says it itself, is before this one's."""
    return numbers_in(server) < numbers_in(own_version())


def version_note(server: str, *, local: bool) -> str | None:
    """What to tell a user whose server is of another version, None where it is of this one."""
    own = own_version()
    if server == own:
        return None
    facts = f"the server is {server}, this command is {own}"
    if not local:
        return f"{facts}; upgrade the older of the two"
    if is_older(server):
        return f"{facts}: it was started before the upgrade; run `impasto stop`, the next render starts the new one"
    return f"{facts}; upgrade this installation, or run `impasto stop` and the next render here starts its own"


def replace_idle_server(name: str) -> None:
    """End the user's server if it is older than this command and nobody uses it; whoever connects next starts another.

    Only one that was started in the background, for one that somebody started by hand has options of theirs. What
    hinders that is passed over: the older server serves too.
    """
    from impasto.server.runtime_dir import running, runtime_folder

    owner = running(runtime_folder())
    if owner is None or not is_older(owner.version) or not _was_launched(owner.pid):
        return
    from impasto.hosts.terminal.server.stop import await_end
    from impasto.server.client import Client

    try:
        with Client.connect(start=False, timeout_s=PATIENCE_S, name=name, control_only=True) as client:
            found = client.status()
            if found.queued or found.running or found.jobs or len(found.clients) > 1:
                return
            client.shut_down()
        await_end(PATIENCE_S)
    except ServerError:
        return


def _was_launched(pid: int) -> bool:
    """Whether a process is a server that a client started in the background."""
    import psutil

    from impasto.server.launcher import ARGUMENTS

    try:
        return tuple(psutil.Process(pid).cmdline()[-len(ARGUMENTS) :]) == ARGUMENTS
    except psutil.Error:
        return False
