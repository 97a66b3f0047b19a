"""What the page Runs asks: runs, their curves and sheets, and training from painted frames."""

from __future__ import annotations

import os
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from impasto.core.errors import NotPermitted, OutputExists, UnreadableMedia, UsageError
from impasto.core.media.formats import PICTURE_EXTENSIONS
from impasto.core.media.numbering import number_in
from impasto.hosts.web.answers import json_body
from impasto.hosts.web.look import STYLE_ENDING
from impasto.hosts.web.pictures import Picture8, encoded
from impasto.hosts.web.plates import plate_path
from impasto.hosts.web.runs import ENDING, curves_of, notes_of, run_facts, runs_below, sheet_steps
from impasto.hosts.web.settings import WebSettings
from impasto.hosts.web.sheets import sheet_png, sheets_in
from impasto.hosts.web.training_jobs import TrainingOrder
from impasto.server.file_roots import is_plain_name, resolve, resolve_folder

KEYS: Final = ".keys"
MOST_KEYS: Final = 5
MOST_MINUTES: Final = 24 * 60
SIZES: Final = ("", "draft", "standard", "fine")


def routes() -> list[Route]:
    """The routes below /api that this page uses."""
    return [
        Route("/api/runs", list_runs),
        Route("/api/run", show_run),
        Route("/api/sheet", show_sheet),
        Route("/api/run/style", take_style),
        Route("/api/keys", list_keys),
        Route("/api/keys", add_key, methods=["POST"]),
        Route("/api/keys", drop_key, methods=["DELETE"]),
        Route("/api/training", start_training, methods=["POST"]),
        Route("/api/training/stop", stop_training, methods=["POST"]),
    ]


async def list_runs(request: Request) -> Response:
    """Every run below the roots, and what was started here."""
    settings = _settings(request)
    found = await to_thread.run_sync(runs_below, settings.runs)
    roots = [{"name": name, "writable": root.writable} for name, root in settings.runs.items()]
    jobs = request.app.state.training.facts()
    return JSONResponse({"roots": roots, "runs": [asdict(run) for run in found], "jobs": jobs})


async def show_run(request: Request) -> Response:
    """One run: facts, curves, notes, the steps of its sheets."""
    path, folder = _run(request)

    def read() -> dict[str, Any]:
        return {
            "facts": asdict(run_facts(folder, path, path.partition(":")[0])),
            "curves": asdict(curves_of(folder)),
            "notes": [asdict(note) for note in notes_of(folder)],
            "sheets": sheet_steps(folder),
        }

    found = await to_thread.run_sync(read)
    return JSONResponse({**found, "job": request.app.state.training.facts().get(path)})


async def show_sheet(request: Request) -> Response:
    """The contact sheet of a step; -1 is the newest."""
    path, folder = _run(request)
    step = request.query_params.get("step", "-1")

    def read() -> bytes | None:
        if step == "-1":
            return resolve(f"{path}/preview.png", _settings(request).runs, write=False).read_bytes()
        found = next((sheet for sheet in sheets_in(folder) if str(sheet.step) == step), None)
        return None if found is None else sheet_png(found)

    png = await to_thread.run_sync(read)
    if png is None:
        raise UnreadableMedia(f"expected a contact sheet at step {step[:20]}, found none; reload the page")
    return Response(await to_thread.run_sync(smaller, png), media_type="image/jpeg")


async def take_style(request: Request) -> Response:
    """The style of a run, to be stored elsewhere."""
    path = request.query_params.get("path", "")
    settings = _settings(request)
    file = await to_thread.run_sync(lambda: resolve(path, settings.runs, write=False, endings=(STYLE_ENDING,)))
    return FileResponse(file, media_type="application/octet-stream", filename=file.name)


async def list_keys(request: Request) -> Response:
    """The painted frames that are there for a training."""
    folder = _keys_folder(request, request.query_params.get("root", ""), request.query_params.get("name", ""))
    return JSONResponse({"keys": await to_thread.run_sync(_key_names, folder)})


async def add_key(request: Request) -> Response:
    """Store a painted frame for a training; its file name, in the header X-Name, bears the number of its frame."""
    folder = _keys_folder(request, request.query_params.get("root", ""), request.query_params.get("name", ""))
    name = unquote(request.headers.get("x-name", ""))
    if not is_plain_name(name) or Path(name).suffix.lower() not in PICTURE_EXTENSIONS:
        raise UsageError(f"expected a painted picture such as hero.0012.png, got '{name[:80]}'; save it as PNG")
    if number_in(name) is None:
        raise UsageError(f"expected the number of its frame at the end of the name, got '{name[:80]}'; "
                         "rename it, for frame 12, to hero.0012.png")  # fmt: skip
    data = await request.body()

    def store() -> list[str]:
        request.app.state.pictures.take(data, name)  # whether it is a picture at all
        names = _key_names(folder)
        if name not in names and len(names) >= MOST_KEYS:
            raise UsageError(f"expected one to {MOST_KEYS} painted frames, got more; remove one first")
        folder.mkdir(exist_ok=True)
        if folder.is_symlink():
            raise NotPermitted(f"expected a folder of its own for painted frames, '{folder.name}' is a link; remove it")
        fd, partial = tempfile.mkstemp(prefix=".", suffix=".part", dir=folder)
        with os.fdopen(fd, "wb") as file:
            file.write(data)
        Path(partial).replace(folder / name)
        return _key_names(folder)

    return JSONResponse({"keys": await to_thread.run_sync(store)})


async def drop_key(request: Request) -> Response:
    """Remove a painted frame again."""
    folder = _keys_folder(request, request.query_params.get("root", ""), request.query_params.get("name", ""))
    name = request.query_params.get("key", "")
    if name in await to_thread.run_sync(_key_names, folder):
        await to_thread.run_sync((folder / name).unlink)
    return JSONResponse({"keys": await to_thread.run_sync(_key_names, folder)})


async def start_training(request: Request) -> Response:
    """Train a style on the painted frames that were added under its name."""
    asked, settings = await json_body(request), _settings(request)
    root, name = str(asked.get("root", "")), str(asked.get("name", ""))
    keys = _keys_folder(request, root, name)
    plates = await to_thread.run_sync(plate_path, str(asked.get("plates", "")), settings.plates)
    minutes, size = asked.get("minutes"), asked.get("size", "")
    if not isinstance(minutes, int | float) or not 0 < minutes <= MOST_MINUTES:
        raise UsageError(f"expected minutes from 1 to {MOST_MINUTES}, got {minutes!r}; give for example 10")
    if size not in SIZES:
        raise UsageError(f"expected a size among {', '.join(filter(None, SIZES))}, got '{str(size)[:20]}'")
    if not await to_thread.run_sync(_key_names, keys):
        raise UsageError("expected at least one painted frame, got none; drop one in")
    output = settings.runs[root].folder / f"{name}{STYLE_ENDING}"
    if output.exists() or output.with_suffix(ENDING).exists():
        raise OutputExists(f"expected a new name, a style '{name}' is there already; choose another")
    order = TrainingOrder(f"{root}:{name}{ENDING}", plates, keys, output, float(minutes), size)
    await to_thread.run_sync(request.app.state.training.start, order)
    return JSONResponse({"run": order.run})


async def stop_training(request: Request) -> Response:
    """Stop a training that was started here; it keeps its best weights."""
    asked = await json_body(request)
    await to_thread.run_sync(request.app.state.training.stop, str(asked.get("run", "")))
    return JSONResponse({})


def smaller(png: bytes) -> bytes:
    """A contact sheet as JPEG, a tenth of the bytes: a slider asks for many."""
    import cv2
    import numpy as np

    sheet = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    if sheet is None:
        raise UnreadableMedia("expected a PNG as contact sheet, got what is none; it may just be written, look again")
    pixels: Picture8 = np.asarray(sheet[..., ::-1], np.uint8)
    return encoded(pixels, "jpeg")


def _run(request: Request) -> tuple[str, Path]:
    """'ROOT:relative/NAME.run' of the request, and its folder."""
    path = request.query_params.get("path", "")
    if not path.endswith(ENDING):
        raise UsageError(f"expected the folder of a run, which ends in {ENDING}, got '{path[:80]}'; choose one")
    return path, resolve_folder(path, _settings(request).runs)


def _keys_folder(request: Request, root: str, name: str) -> Path:
    """Where painted frames of a training go: below a root that may be written to."""
    found = _settings(request).runs.get(root)
    if found is None or not found.writable:
        raise NotPermitted(
            f"expected a folder of runs that may be written to, '{root[:60]}' is none; give --runs DIR:rw"
        )
    if not name or not is_plain_name(name) or len(name) > 60:
        raise UsageError(f"expected a name of letters, digits, '-' and '_' for the style, got '{name[:60]}'")
    return found.folder / f"{name}{KEYS}"


def _key_names(folder: Path) -> list[str]:
    if folder.is_symlink() or not folder.is_dir():
        return []
    return sorted(each.name for each in folder.iterdir() if each.suffix.lower() in PICTURE_EXTENSIONS and each.is_file()
                  and not each.name.startswith("."))  # fmt: skip


def _settings(request: Request) -> WebSettings:
    settings: WebSettings = request.app.state.settings
    return settings
