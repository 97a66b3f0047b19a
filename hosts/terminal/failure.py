"""Any exception as one sentence, a word for programs, and an exit code."""

from __future__ import annotations

import os
import sys
import tempfile
import time
import traceback
from pathlib import Path

from impasto.core.errors import ImpastoError
from impasto.hosts.events import RunFailed
from impasto.hosts.terminal.exit_codes import DEVICE, ELSEWHERE, INTERNAL, exit_code_of

EXTRAS = {
    "cluster": ("ray",),
    "export": ("onnx", "onnxruntime", "onnxscript"),
    "farm": ("openjd", "yaml"),
    "timeline": ("mido", "opentimelineio"),
    "web": ("starlette", "uvicorn", "websockets"),
}
"""Extra -> packages that nothing else needs: those of `impasto submit --to ray`, of `impasto style export`, of `impasto
submit`, of markers and notes that drive parameters, and of the pages."""


def failure_of(error: BaseException, *, on_farm: bool = False) -> RunFailed:
    """An exception as the event for a person and a program; the traceback of a fault goes to a log file.

    `on_farm` is that of `exit_code_of`.
    """
    if isinstance(error, ImpastoError):
        message = " ".join(str(error).split())
        return RunFailed(error.code, message, hint_in(message), exit_code_of(error, on_farm=on_farm))
    if isinstance(error, ModuleNotFoundError) and error.name and not error.name.startswith("impasto"):
        return missing_package(error.name)
    if isinstance(error, MemoryError):
        hint = "close other programs, or use a smaller style, smaller tiles or a smaller frame"
        return RunFailed(
            "out_of_memory", f"expected more memory than there is; {hint}", hint, ELSEWHERE if on_farm else DEVICE
        )
    log = write_log(error)
    where = f"the details are in '{log}'" if log else "the details could not be stored"
    hint = "please report it with that file"
    said = f"{type(error).__name__}: {error}".splitlines()[0]
    return RunFailed("internal", f"impasto itself is at fault ({said}); {where}; {hint}", hint, INTERNAL, log)


def missing_package(name: str) -> RunFailed:
    """The failure where a package of an extra is not installed."""
    package = name.partition(".")[0]
    extra = next((extra for extra, packages in EXTRAS.items() if package in packages), "server")
    install = f"pip install 'impasto[{extra}]'"
    message = f"expected the package '{name}', which is not installed; {install}"
    return RunFailed("missing_package", message, install, INTERNAL)


def hint_in(message: str) -> str:
    """The part of a message that says what to do: what stands behind its last semicolon."""
    before, found, after = message.rpartition("; ")
    return after if found and before else ""


def write_log(error: BaseException) -> str | None:
    """Store a traceback where the user can find it and return the path; None where no folder takes it."""
    text = "".join(
        [
            f"impasto on Python {sys.version}\n{' '.join(sys.argv)}\n\n",
            *traceback.format_exception(error),
        ]
    )
    name = f"impasto-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    for folder in (state_folder(), Path(tempfile.gettempdir())):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / name
            path.write_text(text, encoding="utf-8", errors="replace")
        except OSError:
            continue
        return str(path)
    return None


def state_folder() -> Path:
    """The user's own folder for logs, as the system has it."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", tempfile.gettempdir())) / "impasto"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Logs" / "impasto"
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "impasto"
