"""Messages to bytes and back: the preamble, the header, and every rule that a header must keep.

Whatever arrives, decoding returns a message whose every field is within its bounds, or raises `Malformed` or
IncompatibleServer; nothing else, and without taking more than a few MiB for a header of 64 KiB. msgpack's own limits
are set first, because one megabyte of empty maps would become seventy. What it lets through all the same is refused
here: nesting to about a thousand levels, byte strings as keys, the last of two equal keys, an empty extension.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeAlias, TypeVar, get_args

import msgpack  # type: ignore[import-untyped]  # ships no hints

from impasto.core.errors import IncompatibleServer, InvalidRequest, UnknownName
from impasto.server.protocol import limits, messages, worker_messages
from impasto.server.protocol.fields import Refused, record_reader, record_writer
from impasto.server.protocol.text import shown
from impasto.server.protocol.version import refusal

Part: TypeAlias = bytes | bytearray | memoryview
Message = TypeVar("Message")
PairsHook: TypeAlias = Callable[[list[tuple[Any, Any]]], dict[Any, Any]]

LINK_BYTES: Final = 1 << 20
"""A message between front and worker: a request of the wire with what the front adds to it, or 64 long paths."""

_PREAMBLE = struct.Struct("<4sBBH")
_OURS = _PREAMBLE.pack(limits.MAGIC, limits.MAJOR, limits.MINOR, 0)


class Malformed(InvalidRequest):
    """A message that breaks the rules of the wire, so that it says nothing that could be acted on."""

    def __init__(self, message: str, *, field: str = "", id: bytes | None = None, type: str = "") -> None:
        super().__init__(message)
        self.field = field
        """The field of the header that was refused, 'picture.width'; empty where it was none."""
        self.id = id
        """The request that it belongs to, where that much could be read."""
        self.type = type
        """The message that it was meant to be, where that much could be read and is known."""


class TooLong(InvalidRequest):
    """A message of our own that does not fit into a header; whoever made it sends less of it at once."""


@dataclass(frozen=True, slots=True)
class Table(Generic[Message]):
    """The messages that may come from one side, by their names."""

    sender: str
    receiver: str
    kinds: Mapping[str, type[Message]]


def _table(sender: str, receiver: str, union: Any) -> Table[Any]:
    return Table(sender, receiver, {kind.TYPE: kind for kind in get_args(union)})


FROM_CLIENT: Final[Table[messages.FromClient]] = _table("client", "server", messages.FromClient)
FROM_SERVER: Final[Table[messages.FromServer]] = _table("server", "client", messages.FromServer)
FROM_FRONT: Final[Table[worker_messages.FromFront]] = _table("front", "worker", worker_messages.FromFront)
FROM_WORKER: Final[Table[worker_messages.FromWorker]] = _table("worker", "front", worker_messages.FromWorker)


def encode(message: messages.FromClient | messages.FromServer) -> tuple[bytes, bytes]:
    """Preamble and header. Raises TooLong beyond 64 KiB, InvalidRequest for a value that no header can carry."""
    return _OURS, _pack(message, limits.HEADER_BYTES)


def encode_link(message: worker_messages.FromFront | worker_messages.FromWorker) -> bytes:
    """A message between front and worker. Raises as `encode` does, TooLong beyond `LINK_BYTES`."""
    return _pack(message, LINK_BYTES)


def decode(parts: Sequence[Part], table: Table[Message]) -> tuple[Message, Sequence[Part]]:
    """The message, and the parts behind its header, which are as they came.

    Raises Malformed, and IncompatibleServer for another major version.
    """
    if not 2 <= len(parts) <= limits.PARTS:
        raise Malformed(f"expected a message of 2 to {limits.PARTS} parts, got {len(parts)}; {_SEE}")
    _check_preamble(parts[0], table)
    return _unpack(parts[1], table, limits.HEADER_BYTES, _unlike_pairs), parts[2:]


def decode_link(data: Part, table: Table[Message]) -> Message:
    """A message between front and worker. Raises Malformed.

    That every key comes once is not looked at: it was packed by `encode_link`.
    """
    return _unpack(data, table, LINK_BYTES, None)


def fingerprint(*values: Any) -> bytes:
    """16 bytes that stand for what these values say: records of the wire, and what msgpack packs."""
    plain = [
        record_writer(type(each))(each) if hasattr(each, "__dataclass_fields__") else each  # type: ignore[arg-type]
        for each in values
    ]
    return hashlib.blake2b(msgpack.packb(plain), digest_size=16).digest()


_SEE = "impasto.server.protocol.messages describes every message"


def _check_preamble(preamble: Part, table: Table[Any]) -> None:
    came = bytes(preamble[: limits.PREAMBLE_BYTES])
    if came == _OURS and len(preamble) == len(_OURS):
        return
    if len(preamble) != limits.PREAMBLE_BYTES or not came.startswith(limits.MAGIC):
        raise Malformed(
            f"expected the {limits.PREAMBLE_BYTES} bytes 'IMPA', major, minor, flags, got {_size(preamble)} others; "
            f"whoever sent them is no {table.sender} of impasto"
        )
    _, major, minor, flags = _PREAMBLE.unpack(came)
    if major != limits.MAJOR:
        raise IncompatibleServer(refusal(table.sender, (major, minor), table.receiver, (limits.MAJOR, limits.MINOR)))
    if flags:
        raise Malformed(f"expected flags 0 in the preamble, got {flags:#06x}; no flag has a meaning yet")


def _pack(message: Any, most: int) -> bytes:
    kind = type(message)
    plain = {"type": kind.TYPE, **record_writer(kind)(message)}  # type: ignore[arg-type]  # a class can be hashed
    try:
        packed: bytes = msgpack.packb(plain)
    except (TypeError, ValueError, OverflowError) as error:
        # For instance a path that is not UTF-8, or a numpy scalar among the parameters.
        raise InvalidRequest(f"expected plain numbers and UTF-8 text in '{kind.TYPE}', got: {error}") from error
    if len(packed) > most:
        largest = max(plain, key=lambda name: len(msgpack.packb(plain[name])))
        raise TooLong(
            f"expected at most {most} bytes in '{kind.TYPE}', got {len(packed)}; send less in its field {largest}"
        )
    return packed


def _unpack(header: Part, table: Table[Message], most: int, as_map: PairsHook | None) -> Message:
    found = _parse(header, most, as_map)
    if type(found) is not dict:
        raise Malformed(f"expected a map as header, got {shown(found)}; {_SEE}")
    id = found.get("id")
    id = id if type(id) is bytes and len(id) == 16 else None
    name = found.pop("type", None)
    kind = table.kinds.get(name) if type(name) is str else None
    if kind is None:
        raise Malformed(_unknown(name, table), field="type", id=id)
    try:
        message: Message = record_reader(kind)(found)  # type: ignore[arg-type]  # a class can be hashed
    except Refused as refused:
        where = f"{refused.path} to be " if refused.path else ""
        raise Malformed(
            f"expected {where}{refused.expected}, got {refused.came}, in '{name}' of the {table.sender}; {_SEE}",
            field=refused.path,
            id=id,
            type=name,
        ) from None
    return message


def _parse(header: Part, most: int, as_map: PairsHook | None) -> Any:
    """What msgpack makes of the header, under its limits and ours."""
    if _size(header) > most:
        raise Malformed(f"expected a header of at most {most} bytes, got {_size(header)}; pixels belong into parts")
    try:
        return msgpack.unpackb(
            header,
            raw=False,
            strict_map_key=True,
            object_pairs_hook=as_map,
            ext_hook=_no_extension,
            max_str_len=limits.TEXT_BYTES,
            max_bin_len=limits.BLOB_BYTES,
            max_array_len=limits.ARRAY_ITEMS,
            max_map_len=limits.MAP_ITEMS,
            max_ext_len=0,
        )
    except Refused as refused:
        raise Malformed(f"expected {refused.expected} in the header, got {refused.came}; {_SEE}") from None
    except (msgpack.UnpackException, ValueError, TypeError, OverflowError) as error:
        came = shown(str(error) or type(error).__name__)
        raise Malformed(f"expected one map of msgpack as header, got what cannot be read ({came}); {_SEE}") from error


def _unlike_pairs(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        raise Refused("every key once", f"{shown(next(key for key in keys if keys.count(key) > 1))} twice")
    return found


def _no_extension(code: int, data: bytes) -> Any:
    raise Refused("no extension type of msgpack", f"type {code}")


def _unknown(name: Any, table: Table[Any]) -> str:
    if type(name) is not str:
        return f"expected the header's type to be the name of a message, got {shown(name)}; {_SEE}"
    return str(UnknownName(f"message of a {table.sender}", shown(name)[1:-1], table.kinds))


def _size(part: Part) -> int:
    return part.nbytes if isinstance(part, memoryview) else len(part)
