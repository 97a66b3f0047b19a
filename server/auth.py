"""Key pairs and the allow-list: who may use a server that listens on a network (CURVE).

    client.key, client.key_secret    the user's own pair, which they show to servers
    server.key, server.key_secret    the pair of the server that this user runs
    allowed/NAME.key                 public keys of the people who may use this user's server
    servers/HOST_PORT.key            public keys of the servers that this user trusts

The files have the format of `zmq.auth`. Only the user may open the folder (0700) and the files (0600). A file or
folder with a wider mode is refused.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Literal, TypeAlias, cast, get_args

from impasto.core.errors import NotPermitted, UnknownName, UsageError
from impasto.server.runtime_dir import TCP

Role: TypeAlias = Literal["render", "admin"]
"""'render' paints and asks for the status; 'admin' may end the server too."""
ROLES: Final[tuple[str, ...]] = get_args(Role)

CLIENT, SERVER = "client", "server"
ALLOWED, SERVERS = "allowed", "servers"
PUBLIC, SECRET = ".key", ".key_secret"
KEY_BYTES: Final = 32
KEY_LETTERS: Final = 40
"""A key as text, in Z85."""
FILE_BYTES: Final = 4096

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}", re.IGNORECASE)
_FIELD = re.compile(r'^\s*(?P<name>[a-z-]+)\s*=\s*"(?P<value>[^"]*)"\s*$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A public key and its secret, both as 40 letters of Z85."""

    public: bytes
    secret: bytes


@dataclass(frozen=True, slots=True)
class ClientAuth:
    """The keys that a client connects with: its own pair, and the public key of the server."""

    public: bytes
    secret: bytes
    server: bytes


@dataclass(frozen=True, slots=True)
class AllowedClient:
    """An entry of the allow-list: whose key it is, and what its holder may do."""

    name: str
    role: Role
    public: bytes = b""


def auth_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """The user's folder of key files: $IMPASTO_KEYS, else the usual place on this system."""
    if named := environ.get("IMPASTO_KEYS"):
        return Path(named).absolute()
    if sys.platform == "win32":
        return Path(environ.get("APPDATA") or Path.home()) / "impasto" / "keys"
    return Path(environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "impasto" / "keys"


def prepare_auth_folder(folder: Path) -> Path:
    """Make the folder if it does not exist. Raises NotPermitted if other users can open it."""
    for path in (folder, folder / ALLOWED, folder / SERVERS):
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise NotPermitted(
                f"expected a folder for keys at '{path}', got: {error.strerror}; name another one in IMPASTO_KEYS"
            ) from error
        require_private(path, 0o700)
    return folder


def require_private(path: Path, mode: int) -> None:
    """Raise NotPermitted for a file or folder of another user, for a link, and for a mode wider than `mode`."""
    if sys.platform == "win32":
        return
    facts = path.lstat()
    if stat.S_ISLNK(facts.st_mode):
        raise NotPermitted(f"expected '{path}' itself, found a link; put the folder or file in its place")
    if facts.st_uid != os.geteuid():
        raise NotPermitted(
            f"expected '{path}' to belong to user {os.geteuid()}, it belongs to {facts.st_uid};"
            f" run: chown {os.geteuid()} '{path}'"
        )
    found = stat.S_IMODE(facts.st_mode)
    if found & ~mode:
        raise NotPermitted(
            f"expected mode {mode:04o} for '{path}', so that nobody else reads it, found {found:04o};"
            f" run: chmod {mode:o} '{path}'"
        )


def new_pair(folder: Path, name: str, *, replace: bool = False) -> KeyPair:
    """Make the pair `name` ('client' or 'server'). Raises UsageError if there is one already."""
    import zmq.auth

    prepare_auth_folder(folder)
    if (folder / f"{name}{SECRET}").exists() and not replace:
        raise UsageError(
            f"expected no {name} keys in '{folder}', but there are; keep them, or give --overwrite: whoever knows the"
            " old public key must then be given the new one"
        )
    with TemporaryDirectory(dir=folder, prefix=".new-") as scratch:
        public, secret = (Path(path) for path in zmq.auth.create_certificates(scratch, name))
        while _fields(public)["public-key"].startswith("-"):  # a command line would take it for an option
            zmq.auth.create_certificates(scratch, name)
        public.chmod(0o600)
        secret.chmod(0o600)
        secret.replace(folder / secret.name)
        public.replace(folder / public.name)
    return _pair(folder, name)


def server_pair(folder: Path) -> KeyPair:
    """The server's pair, made at the first call. Raises NotPermitted if other users can read it."""
    prepare_auth_folder(folder)
    return _pair(folder, SERVER) if (folder / f"{SERVER}{SECRET}").exists() else new_pair(folder, SERVER)


def own_pair(folder: Path) -> KeyPair:
    """The user's own pair. Raises NotPermitted if there is none, or if other users can read it."""
    if not (folder / f"{CLIENT}{SECRET}").exists():
        raise NotPermitted(
            f"expected your keys in '{folder}', found none; run `impasto auth new`, and `impasto auth add` with what it"
            " prints on the server's machine"
        )
    prepare_auth_folder(folder)
    return _pair(folder, CLIENT)


def client_auth(folder: Path, address: str, server: str | None = None) -> ClientAuth:
    """The keys for the server at 'tcp://HOST:PORT': the client's own pair and the server's public key.

    `server` is that public key; None takes the one that `trust` stored. Raises NotPermitted if a key is missing.
    """
    own = own_pair(folder)
    if server is not None:
        return ClientAuth(own.public, own.secret, public_key(server))
    known = folder / SERVERS / f"{_file_of(address)}{PUBLIC}"
    if not known.exists():
        raise NotPermitted(
            f"expected to know the public key of {address}, which is how a server is told from a stranger; run"
            f" `impasto auth trust {address} KEY` with the key that `impasto serve --listen` prints there"
        )
    return ClientAuth(own.public, own.secret, public_key(str(known)))


def trust(folder: Path, address: str, key: str) -> None:
    """Store the public key of a server. Raises UsageError for a text that is no address or no key."""
    name = _file_of(address)
    public = public_key(key)
    prepare_auth_folder(folder)
    _write(folder / SERVERS / f"{name}{PUBLIC}", public, {"address": address})


def add(folder: Path, name: str, key: str, role: str = "render") -> AllowedClient:
    """Let the holder of a public key use this user's server. UsageError for a name that is taken, a bad name or key."""
    if role not in ROLES:
        raise UsageError(f"expected the role render or admin, got '{role}'; give --role render")
    path = _allowed_path(folder, name)
    public = public_key(key)
    prepare_auth_folder(folder)
    if path.exists():
        raise UsageError(f"expected a new name, '{name}' has a key already; run `impasto auth revoke {name}` before")
    holder = AllowList(folder).user_of(public)
    if holder is not None:
        raise UsageError(f"expected a new key, '{holder.name}' has this one; run `impasto auth revoke {holder.name}`")
    _write(path, public, {"role": role})
    return AllowedClient(name, cast("Role", role), public)


def revoke(folder: Path, name: str) -> None:
    """Remove the key of this name. A running server sees it at once. Raises UnknownName if no key has the name."""
    path = _allowed_path(folder, name)
    try:
        path.unlink()
    except FileNotFoundError:
        known = [each.name for each in AllowList(folder).entries()]
        raise UnknownName("key", name, known) from None


def trusted(folder: Path) -> dict[str, bytes]:
    """Address -> public key, of the servers that this user trusts."""
    found = {}
    for path in sorted((folder / SERVERS).glob(f"*{PUBLIC}")):
        fields = _fields(path)
        if "address" in fields and "public-key" in fields:
            found[fields["address"]] = fields["public-key"].encode()
    return found


def public_key(text: str) -> bytes:
    """A public key from its 40 letters, or from the file that holds it. Raises UsageError for anything else."""
    from zmq.utils import z85

    path = Path(text)
    if len(text) != KEY_LETTERS and (path.suffix == PUBLIC or path.is_file()):
        if path.suffix == SECRET:
            raise UsageError(
                f"expected a public key, got the secret '{path}'; a secret never leaves its machine: give '{PUBLIC}'"
            )
        try:
            text = _fields(path)["public-key"]
        except (OSError, KeyError) as error:
            raise UsageError(f"expected a public key in '{path}', found none; copy the file again") from error
    try:
        sound = len(text) == KEY_LETTERS and len(z85.decode(text.encode("ascii"))) == KEY_BYTES
    except Exception:  # noqa: BLE001  # the codec raises whatever its tables raise: KeyError, struct.error, UnicodeError
        sound = False
    if not sound:
        shown = text if len(text) <= 60 else f"{text[:60]}…"
        raise UsageError(
            f"expected a public key of {KEY_LETTERS} letters, or its file, got '{shown}'; `impasto auth list` prints it"
            " (put it in quotes: it may hold signs that the shell reads)"
        )
    return text.encode("ascii")


class AllowList:
    """The keys that are allowed. It reads them again when the folder or a file in it changes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / ALLOWED
        self._state: tuple[tuple[str, int, int, int], ...] | None = None
        self._known: dict[bytes, AllowedClient] = {}
        self.problems: tuple[str, ...] = ()
        """Why files in the folder are no keys and allow nobody, or why the folder could not be read."""

    def user_of(self, public: bytes) -> AllowedClient | None:
        """The holder of a public key (32 bytes, or its 40 letters); None for a key that is not allowed."""
        from zmq.utils import z85

        letters = z85.encode(public) if len(public) == KEY_BYTES else public
        self._refresh()
        return self._known.get(letters)

    def entries(self) -> tuple[AllowedClient, ...]:
        """All holders of allowed keys, by name."""
        self._refresh()
        return tuple(sorted(self._known.values(), key=lambda each: each.name))

    def _refresh(self) -> None:
        """Read the folder again if it changed. If it cannot be read now, keep the last list."""
        try:
            self._read()
        except OSError as error:
            self._state = None
            why = error.strerror or error
            self.problems = (f"could not read the keys in '{self._folder}' ({why}); the last list stays",)

    def _read(self) -> None:
        """Raises OSError if the folder cannot be read, for want of a file number or for any other reason."""
        try:
            names = [name for name in os.listdir(self._folder) if name.endswith(PUBLIC)]
        except FileNotFoundError:
            names = []
        files = [self._folder / name for name in sorted(names)]
        state = tuple(each for each in map(_stamp, (self._folder, *files)) if each is not None)
        if state == self._state:
            return
        known: dict[bytes, AllowedClient] = {}
        problems = []
        for path in files:
            try:
                require_private(self._folder, 0o700)
                holder = _holder(path)
            except FileNotFoundError:
                continue
            except (PermissionError, UsageError, NotPermitted) as error:
                problems.append(f"'{path}' lets nobody in: {error}")
            else:
                known[holder.public] = holder
        self._state, self._known, self.problems = state, known, tuple(problems)


def _stamp(path: Path) -> tuple[str, int, int, int] | None:
    """Facts that change when the file changes; None if it no longer exists."""
    try:
        facts = path.lstat()
    except FileNotFoundError:
        return None
    return path.name, facts.st_ino, facts.st_mtime_ns, facts.st_mode


def _holder(path: Path) -> AllowedClient:
    require_private(path, 0o600)
    if not stat.S_ISREG(path.lstat().st_mode):
        raise UsageError(f"expected a plain file at '{path}', found a pipe, folder or device; remove it")
    fields = _fields(path)
    role = fields.get("role", "render")
    if role not in ROLES or not _NAME.fullmatch(path.stem):
        raise UsageError(f"expected a name and a role, got '{path.stem}' and '{role}'")
    return AllowedClient(path.stem, cast("Role", role), public_key(fields.get("public-key", "")))


def _pair(folder: Path, name: str) -> KeyPair:
    path = folder / f"{name}{SECRET}"
    require_private(path, 0o600)
    fields = _fields(path)
    if "public-key" not in fields or "secret-key" not in fields:
        raise NotPermitted(
            f"expected a pair of keys in '{path}', found none; run `impasto auth new --overwrite`"
            if name == CLIENT
            else f"expected a pair of keys in '{path}', found none; remove the file, and the server makes new ones"
        )
    return KeyPair(fields["public-key"].encode(), fields["secret-key"].encode())


def _fields(path: Path) -> dict[str, str]:
    """The fields of a key file. UsageError if it is no plain file: to read a pipe would wait for its writer."""
    file = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise UsageError(f"expected a plain file at '{path}', found a pipe, folder or device; remove it")
        text = os.read(file, FILE_BYTES).decode("utf-8", "replace")
    finally:
        os.close(file)
    return {match["name"]: match["value"] for match in _FIELD.finditer(text)}


def _write(path: Path, public: bytes, facts: Mapping[str, str]) -> None:
    lines = ["#   impasto: a public key; it may be given to anybody", "metadata"]
    lines += [f'    {name} = "{value}"' for name, value in facts.items()]
    lines += ["curve", f'    public-key = "{public.decode()}"', ""]
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    fd = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(fd, "w", encoding="utf-8") as stream:
        stream.write("\n".join(lines))
    scratch.replace(path)


def _allowed_path(folder: Path, name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise UsageError(f"expected a name of letters, digits, '.', '_' and '-', got {name!r}; give for example anna")
    return folder / ALLOWED / f"{name}{PUBLIC}"


def _file_of(address: str) -> str:
    match = TCP.fullmatch(address)
    if match is None or not 0 < int(match["port"]) < 65535:
        raise UsageError(
            f"expected an address as tcp://HOST:PORT, got '{address}'; give for example tcp://render1:7780"
        )
    return f"{match['host'].lower().strip('[]').replace(':', '_')}_{int(match['port'])}"
