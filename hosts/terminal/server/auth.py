"""`impasto auth`: who may use a server over the network, and which servers are trusted."""

from __future__ import annotations

from typing import Annotated

import typer

from impasto.hosts.terminal.printer import say, say_aside
from impasto.server import auth as store

Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the key pair that is there.")]


def new(overwrite: Overwrite = False) -> None:
    """Make your own key pair, for servers on other machines."""
    pair = store.new_pair(store.auth_folder(), store.CLIENT, replace=overwrite)
    say(f"your public key: {pair.public.decode()}")
    say(f"on the server's machine: impasto auth add NAME '{pair.public.decode()}'")


def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose key it is, for lists and logs.")],
    key: Annotated[str, typer.Argument(metavar="KEY", help="Their public key, in quotes, or the file with it.")],
    role: Annotated[
        str, typer.Option("--role", metavar="render|admin", help="An admin may end the server too.")
    ] = "render",
) -> None:
    """Let somebody use your server over the network. A running server knows at once."""
    holder = store.add(store.auth_folder(), name, key, role)
    say(f"{holder.name} may use the server ({holder.role})")


def revoke(name: Annotated[str, typer.Argument(metavar="NAME", help="As `impasto auth list` shows it.")]) -> None:
    """Take somebody's key off the list. A running server knows at once."""
    store.revoke(store.auth_folder(), name)
    say(f"{name} may not use the server any more")


def trust(
    address: Annotated[str, typer.Argument(metavar="tcp://HOST:PORT", help="The server, as you reach it.")],
    key: Annotated[
        str, typer.Argument(metavar="KEY", help="Its public key, in quotes, as `impasto serve` prints it there.")
    ],
) -> None:
    """Remember the public key of a server on another machine."""
    store.trust(store.auth_folder(), address, key)
    say(f"{address} is trusted; use it with --server {address}")


def show() -> None:
    """Show your public keys, who may use your server, and which servers you trust."""
    folder = store.auth_folder()
    say(f"key files in {folder}")
    for name, text in ((store.CLIENT, "your public key"), (store.SERVER, "your server's public key")):
        public = folder / f"{name}{store.PUBLIC}"
        found = store.public_key(str(public)).decode() if public.exists() else "none yet"
        say(f"  {text}: {found}")
    known = store.AllowList(folder)
    say("may use your server:" if known.entries() else "nobody may use your server over the network")
    for holder in known.entries():
        say(f"  {holder.name}  {holder.role}  {holder.public.decode()}")
    trusted = store.trusted(folder)
    say("servers that you trust:" if trusted else "no servers that you trust")
    for address, key in trusted.items():
        say(f"  {address}  {key.decode()}")
    for problem in known.problems:
        say_aside(f"note: {problem}")
