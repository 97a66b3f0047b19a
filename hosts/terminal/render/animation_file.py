"""The file behind `--animate`: which parameters change over a shot, and their values at some of its frames."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from impasto.core.animation import Animation, animation_of
from impasto.core.errors import UsageError

BYTES = 16 << 20
EXAMPLE = '{"strength": {"1001": 0.2, "1100": 1.0}}'
_FRAME = re.compile(r"-?\d{1,10}")


def read_animation(path: str) -> Animation:
    """The keys of a JSON file: parameter -> frame number, as text -> value.

    Raises UsageError for a file that is not that, naming parameter, frame and value; UnknownName for no parameter.
    """
    found = _parsed(path)
    if not isinstance(found, dict) or not found:
        raise UsageError(f"expected {EXAMPLE} or the like in '{path}', got {_shown(found)}; name a parameter")
    return animation_of({name: _keys(name, track, path) for name, track in found.items()})


def _keys(name: str, track: Any, path: str) -> dict[int, float]:
    if not isinstance(track, dict) or not track:
        raise UsageError(
            f"expected values by frame for {name} in '{path}', such as {EXAMPLE}, got {_shown(track)}; give at least "
            f"one"
        )
    keys: dict[int, float] = {}
    for frame, value in track.items():
        if not _FRAME.fullmatch(frame):
            raise UsageError(f"expected frame numbers as keys of {name} in '{path}', got '{frame}'; write \"1001\"")
        if type(value) not in (int, float):
            raise UsageError(f"expected a number for {name} at frame {frame} in '{path}', got {_shown(value)}")
        if int(frame) in keys:
            raise UsageError(f"expected frame {int(frame)} of {name} once in '{path}', got it twice; remove one")
        keys[int(frame)] = value
    return keys


def _parsed(path: str) -> Any:
    try:
        file = Path(path)
        if file.stat().st_size > BYTES:
            raise UsageError(f"expected at most {BYTES >> 20} MiB of keys, got more in '{path}'; give fewer")
        return json.loads(file.read_text(encoding="utf-8"), object_pairs_hook=_unlike)
    except OSError as error:
        raise UsageError(
            f"expected a file of keys at '{path}', got: {error.strerror}; give --animate its path"
        ) from None
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        said = " ".join(str(error).split())
        raise UsageError(f"expected JSON such as {EXAMPLE} in '{path}', got what is none ({said}); mend it") from None


def _unlike(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key '{next(name for name in names if names.count(name) > 1)}' stands twice")
    return found


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}…"
